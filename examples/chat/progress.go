package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"sync"

	lrouting "github.com/libp2p/go-libp2p/core/routing"
)

// sharedBits is how close two points of the network are: the number of leading
// bits in which their SHA-256 hashes agree. It is what a lookup raises with
// every step.
func sharedBits(a, b []byte) int {
	x, y := sha256.Sum256(a), sha256.Sum256(b)
	for i := range x {
		if diff := x[i] ^ y[i]; diff != 0 {
			return 8*i + bits.LeadingZeros8(diff)
		}
	}
	return 8 * len(x)
}

// A progress shows how a lookup closes in on a key.
type progress struct {
	out  io.Writer
	live bool   // a terminal: the line is drawn again and again
	room string // whose key is looked for
	key  []byte // what is hashed to the key
	goal int    // shared bits of the closest node there is

	trail           []int // shared bits of the nodes that answered, each closer than all before
	asked, answered int
	last            string
}

// watch returns a context for an operation of the DHT, whose lookup is shown
// from now on, and a function that ends that.
func (p *progress) watch(ctx context.Context) (watched context.Context, done func()) {
	listening, cancel := context.WithCancel(ctx)
	watched, events := lrouting.RegisterForQueryEvents(listening)
	var wg sync.WaitGroup
	wg.Go(func() {
		for e := range events {
			p.take(e)
			p.draw(false)
		}
	})
	return watched, func() {
		cancel()
		wg.Wait()
		p.draw(true)
	}
}

// take counts an event of the lookup.
func (p *progress) take(e *lrouting.QueryEvent) {
	switch e.Type {
	case lrouting.SendingQuery:
		p.asked++
	case lrouting.PeerResponse:
		p.answered++
		if n := sharedBits([]byte(e.ID), p.key); n > p.best() {
			p.trail = append(p.trail, n)
		}
	}
}

// best is the shared bits of the closest node that has answered, -1 if there is none.
func (p *progress) best() int {
	if len(p.trail) == 0 {
		return -1
	}
	return p.trail[len(p.trail)-1]
}

// draw shows the state: on a terminal in place, else as a line whenever the
// lookup came closer.
func (p *progress) draw(end bool) {
	if len(p.trail) == 0 {
		return // no node has answered
	}
	const width = 12
	filled := width
	if p.goal > 0 {
		filled = min(width, width*p.best()/p.goal)
	}
	bar := strings.Repeat("#", filled) + strings.Repeat(".", width-filled)
	way := strings.Trim(strings.ReplaceAll(fmt.Sprint(p.trail), " ", " > "), "[]")
	state := fmt.Sprintf("  room %q [%s] %s of %d bits", p.room, bar, way, p.goal)
	counts := fmt.Sprintf(", asked %d, answered %d", p.asked, p.answered)
	switch {
	case p.live && end:
		_, _ = fmt.Fprintf(p.out, "\r\x1b[K%s%s\n", state, counts)
	case p.live:
		_, _ = fmt.Fprintf(p.out, "\r\x1b[K%s%s", state, counts)
	case end || state != p.last:
		_, _ = fmt.Fprintf(p.out, "%s%s\n", state, counts)
	}
	p.last = state
}
