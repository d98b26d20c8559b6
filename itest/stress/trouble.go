//go:build unix

package stress

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"
)

// trouble makes trouble: it kills, stops, continues and ends nodes, and starts them again.
type trouble struct {
	*work

	every time.Duration
}

// run makes trouble until ctx ends, and waits until what it has begun is over.
func (t *trouble) run(ctx context.Context, rng *rand.Rand) {
	var under sync.WaitGroup
	defer under.Wait()
	for n := 0; ; n++ {
		wait(ctx, t.every)
		if ctx.Err() != nil {
			return
		}
		what, slots := t.draw(rng)
		if n < int(mishaps) {
			what = mishap(n) // each at least once
		}
		for _, s := range slots {
			rng := rand.New(rand.NewPCG(rng.Uint64(), 0))
			t.tally.trouble(what)
			under.Go(func() {
				defer t.over(s)
				what.to(ctx, t, s, rng)
			})
		}
	}
}

// A mishap is something that befalls a node.
type mishap int

const (
	stopped mishap = iota // and continued after 1 to 15 s
	killed                // and started again after 0.2 to 8 s
	ended                 // likewise, with SIGTERM
	mishaps
)

// String returns the mishap in a word.
func (m mishap) String() string { return [...]string{"stopped", "killed", "ended"}[m] }

// to makes a mishap befall a node, and returns when the node is back.
func (m mishap) to(ctx context.Context, t *trouble, s *slot, rng *rand.Rand) {
	switch m {
	case stopped:
		t.pause(ctx, s, between(rng, time.Second, 15*time.Second))
		t.first(ctx, s, rng)
	case killed:
		t.restart(ctx, s, rng, os.Kill)
	case ended:
		t.restart(ctx, s, rng, syscall.SIGTERM)
	case mishaps:
	}
}

// draw returns what is to happen, and to which nodes: one in most cases, else a third of all. At
// no time is more than half of them in trouble.
func (t *trouble) draw(rng *rand.Rand) (mishap, []*slot) {
	what := []mishap{stopped, stopped, killed, killed, ended}[rng.IntN(5)]
	most := 1
	if rng.IntN(12) == 0 {
		most = len(t.slots) / 3
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	under := 0
	var able []*slot
	for _, i := range rng.Perm(len(t.slots)) {
		s := t.slots[i]
		_, isProcess := s.node.(*process)
		switch {
		case s.trouble:
			under++
		case s.role != firm && isProcess:
			able = append(able, s)
		}
	}
	able = able[:max(0, min(len(able), most, len(t.slots)/2-under))]
	for _, s := range able {
		s.trouble = true
	}
	return what, able
}

// over says that a node is out of its trouble.
func (t *trouble) over(s *slot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.trouble = false
}

// first carries out a few operations through a node that was just continued.
func (t *trouble) first(ctx context.Context, s *slot, rng *rand.Rand) {
	t.mu.Lock()
	via := &chosen{s.node, s.history.id, s.role}
	t.mu.Unlock()
	if via.node == nil {
		return
	}
	var all sync.WaitGroup
	for _, k := range []kind{get, get, providers, find} {
		rng := rand.New(rand.NewPCG(rng.Uint64(), 0))
		all.Go(func() { t.operate(ctx, rng, via, k) })
	}
	all.Wait()
}

// restart ends a node with a signal, and starts it again after a while.
func (t *trouble) restart(ctx context.Context, s *slot, rng *rand.Rand, signal os.Signal) {
	t.end(s, signal)
	wait(ctx, between(rng, 200*time.Millisecond, 8*time.Second))
	t.again(ctx, s)
}

// again starts the node of a slot that is down, and tries until it is up.
func (t *trouble) again(ctx context.Context, s *slot) {
	for ctx.Err() == nil {
		err := t.start(ctx, s)
		if err != nil && ctx.Err() == nil {
			t.tally.unstarted(err)
		}
		t.mu.Lock()
		up := s.node != nil
		t.mu.Unlock()
		if up { // if not ready in time
			return
		}
		wait(ctx, time.Second)
	}
}

// between returns a time between two.
func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rng.Int64N(int64(high-low)))
}
