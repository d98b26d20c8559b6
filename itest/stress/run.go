//go:build unix

package stress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// A Config says how much stress there is.
type Config struct {
	Nodes    int           // at least [MinNodes]
	K        int           // replication parameter
	For      time.Duration // how long, once all nodes are ready
	Parallel int           // operations at a time
	Every    time.Duration // between two mishaps
	Progress time.Duration // between two lines
	Settling time.Duration // how long a process must have run until it counts; see the package
	Seed     uint64        // from which follows what befalls which node, as far as the scheduler lets it
	Dir      string        // for the program, and for what nodes keep and log; it exists
	Program  string        // examples/node; if empty, it is built with clocks that can be off
}

// validate says what is wrong with a Config.
func (c Config) validate() error {
	switch {
	case c.Nodes < MinNodes:
		return fmt.Errorf("%d nodes: use %d or more", c.Nodes, MinNodes)
	case c.K < 1 || c.K > 32:
		return fmt.Errorf("k is %d: use 1 to 32", c.K)
	case c.For <= 0 || c.Every <= 0 || c.Progress <= 0 || c.Settling <= 0:
		return errors.New("a duration is not above 0")
	case c.Parallel < 1:
		return fmt.Errorf("%d operations at a time: use 1 or more", c.Parallel)
	default:
		return nil
	}
}

// Run runs a network under stress, and writes a line on out now and then. It ends earlier with ctx, and
// then returns what was counted by then. All processes have ended when it returns.
func Run(ctx context.Context, cfg Config, out io.Writer) (*Report, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	_, _ = fmt.Fprintf(out, "building, and starting %d nodes; seed %d\n", cfg.Nodes, cfg.Seed)
	l, err := newLab(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer l.close()
	t := &tally{out: out, since: time.Now(), report: Report{whys: make(map[string]int)}}
	w := &work{lab: l, tally: t}
	ctx, cancel := context.WithTimeout(ctx, cfg.For)
	defer cancel()
	var all sync.WaitGroup
	rng := rand.New(rand.NewPCG(cfg.Seed, 0))
	for i := range cfg.Parallel {
		rng := rand.New(rand.NewPCG(rng.Uint64(), 0))
		all.Go(func() { w.run(ctx, rng, kind(i%int(kinds))) })
	}
	troubled := &trouble{w, cfg.Every}
	all.Go(func() { troubled.run(ctx, rng) })
	for ctx.Err() == nil {
		wait(ctx, cfg.Progress)
		for _, s := range l.dead() {
			t.died(s)
			all.Go(func() { troubled.again(ctx, s) })
		}
		_, _ = fmt.Fprintln(out, t.progress(l))
	}
	all.Wait()
	t.report.Took = time.Since(t.since)
	return &t.report, nil
}
