package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
)

const (
	progressAfter = 500 * time.Millisecond // what is shorter says nothing
	progressTick  = 100 * time.Millisecond // on a terminal, where the line is drawn again
	progressEvery = 5 * time.Second        // elsewhere, where each is a line of its own
)

// A progress says on stderr how far an operation is.
type progress struct {
	out     io.Writer
	live    bool // a terminal
	doing   string
	started time.Time

	mu    sync.Mutex
	tally string // in words, how far it is

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// newProgress begins to say what is done, unless --quiet is given.
func (c *cli) newProgress(ctx context.Context, doing string) (context.Context, *progress) {
	p := &progress{out: c.stderr, doing: doing, started: time.Now()}
	if f, ok := c.stderr.(*os.File); ok {
		p.live = isatty.IsTerminal(f.Fd())
	}
	ctx, p.cancel = context.WithCancel(ctx)
	if !c.quiet {
		p.wg.Go(func() { p.run(ctx) })
	}
	return ctx, p
}

// progress is newProgress for an operation of the DHT, whose lookups it follows.
func (s *session) progress(ctx context.Context, doing string) *progress {
	ctx, p := s.newProgress(ctx, doing)
	if s.quiet {
		return p
	}
	var f follower
	stream, err := s.events(ctx)
	if err != nil {
		return p // the operation has the same error, and says it
	}
	p.wg.Go(func() {
		defer func() { _ = stream.Body.Close() }()
		// The operation goes on without them.
		_ = each(stream.Body, func(text []byte) { p.set(f.take(text)) })
	})
	return p
}

// set says how far it is.
func (p *progress) set(tally string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tally = tally
}

// end stops, and takes the line away. It may be called again.
func (p *progress) end() {
	p.cancel()
	p.wg.Wait()
}

// run shows the state until ctx ends.
func (p *progress) run(ctx context.Context) {
	every := progressEvery
	if p.live {
		every = progressTick
	}
	for wait, turn := progressAfter, 0; ; wait, turn = every, turn+1 {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			p.draw(turn)
		case <-ctx.Done():
			timer.Stop()
			if p.live && turn > 0 {
				_, _ = fmt.Fprint(p.out, "\r\x1b[K")
			}
			return
		}
	}
}

// draw shows the state.
func (p *progress) draw(turn int) {
	p.mu.Lock()
	tally := p.tally
	p.mu.Unlock()
	if tally != "" {
		tally = ": " + tally
	}
	text := fmt.Sprintf("%s%s (%s)", p.doing, tally, time.Since(p.started).Round(100*time.Millisecond))
	if p.live {
		spinner := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
		_, _ = fmt.Fprintf(p.out, "\r\x1b[K%c %s", spinner[turn%len(spinner)], text)
		return
	}
	_, _ = fmt.Fprintln(p.out, "kad:", text)
}

// A follower counts the requests of the lookups that begin while it follows.
type follower struct {
	began           map[uint64]bool
	asked, answered int
	failed          int
	trouble         string // why there is no lookup
}

// take takes one event, as JSON, and returns how far it is.
func (f *follower) take(text []byte) string {
	var e struct {
		Type, Reason string
		Lookup       uint64
	}
	if json.Unmarshal(text, &e) != nil {
		return f.String()
	}
	if f.began == nil {
		f.began = make(map[uint64]bool)
	}
	switch e.Type {
	case "join_failed":
		f.trouble = "cannot join: " + e.Reason
	case "joined":
		f.trouble = ""
	case "lookup_began":
		f.began[e.Lookup] = true
	}
	if f.began[e.Lookup] {
		switch e.Type {
		case "lookup_asked":
			f.asked++
		case "lookup_answered":
			f.answered++
		case "lookup_failed":
			f.failed++
		}
	}
	return f.String()
}

// String returns the counts in words.
func (f *follower) String() string {
	if f.asked == 0 {
		return f.trouble
	}
	return fmt.Sprintf("asked %s, %d answered, %d failed", plural(f.asked, "peer"), f.answered, f.failed)
}

// events opens the stream of events of the node.
func (s *session) events(ctx context.Context) (*http.Response, error) {
	return s.request(ctx, http.MethodGet, "/v1/events", nil, nil)
}

// each hands each event of a stream to take, as JSON, until the stream ends: with an error if
// it was cut off.
func each(stream io.Reader, take func(text []byte)) error {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 1<<20) // an event names up to 64 peers
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			take([]byte(text))
		}
	}
	return lines.Err()
}
