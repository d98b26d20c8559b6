package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxEarly bounds the lines of one peer that wait for an earlier one, and
	// gapPatience how long they do.
	maxEarly    = 64
	gapPatience = 2 * time.Second

	// maxHeard bounds the peers of which is known what they said last.
	maxHeard = 1024

	// maxRecent bounds the lines that are said again to who comes back.
	maxRecent = 50
)

// A hearing brings the lines of one peer into the order in which they were said,
// each once. They can come on several ways, one faster than the other, and what was
// under way when a connection broke comes again.
type hearing struct {
	next   uint64           // the number of the line that is due; 0: not known yet
	early  map[uint64]event // later ones
	awaits uint64           // the line for which a timer runs
}

// expect notes the number of the next line, if none is known: who has just come does
// not wait for what was said before.
func (h *hearing) expect(no uint64) {
	if h.next == 0 {
		h.next = no
	}
}

// take takes a line, and returns those that are to be shown now.
func (h *hearing) take(no uint64, line event) []event {
	h.expect(no)
	if no < h.next {
		return nil // heard before
	}
	if h.early == nil {
		h.early = make(map[uint64]event)
	}
	h.early[no] = line
	if len(h.early) > maxEarly {
		return h.skip()
	}
	return h.due()
}

// due returns the lines that need not wait.
func (h *hearing) due() (lines []event) {
	for {
		line, ok := h.early[h.next]
		if !ok {
			return lines
		}
		delete(h.early, h.next)
		lines = append(lines, line)
		h.next++
	}
}

// skip gives up those that are missing, and returns the others.
func (h *hearing) skip() (lines []event) {
	for _, no := range slices.Sorted(maps.Keys(h.early)) {
		lines = append(lines, h.early[no])
		h.next = no + 1
	}
	clear(h.early)
	return lines
}

// hearingOf returns the hearing of a peer.
func (r *room) hearingOf(from peer.ID) *hearing {
	h := r.heard[from]
	if h != nil {
		return h
	}
	for id := range r.heard {
		if len(r.heard) < maxHeard {
			break
		}
		delete(r.heard, id)
	}
	h = &hearing{}
	r.heard[from] = h
	return h
}

// hear shows a line, now or when those before it have come.
func (r *room) hear(ctx context.Context, h *hearing, no uint64, line event) {
	r.show(h.take(no, line))
	if len(h.early) == 0 || h.awaits == h.next {
		return
	}
	missing := h.next
	h.awaits = missing
	time.AfterFunc(gapPatience, func() {
		_ = r.do(ctx, func() {
			if h.next == missing {
				r.show(h.skip())
			}
		})
	})
}

// show notifies of lines.
func (r *room) show(lines []event) {
	for _, line := range lines {
		r.notify(line)
	}
}
