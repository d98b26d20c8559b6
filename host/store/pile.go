package store

import (
	"container/heap"
	"fmt"
	"time"
)

// nowhere is the place of an entry that is in no heap.
const nowhere = -1

// An entry is a value or an announcement. It does not change once it is stored,
// except for its place: to replace it is to store another one.
type entry struct {
	key      string
	id       string // of the provider; empty for a value
	data     []byte
	received time.Time
	expires  time.Time // zero: never
	place    int       // in the heap of its pile
}

// size returns the bytes that e counts for.
func (e *entry) size() int { return len(e.key) + len(e.id) + len(e.data) }

// expired reports whether e has expired at now. At the zero time nothing has.
func (e *entry) expired(now time.Time) bool {
	return !e.expires.IsZero() && !now.IsZero() && !now.Before(e.expires)
}

// value returns e as a [Value] of its own.
func (e *entry) value() Value {
	return Value{Data: append([]byte(nil), e.data...), Received: e.received, Expires: e.expires}
}

// compareExpiry orders entries by when they expire; those that never do are last.
func compareExpiry(a, b *entry) int {
	switch {
	case a.expires.IsZero() && b.expires.IsZero():
		return 0
	case a.expires.IsZero():
		return +1
	case b.expires.IsZero():
		return -1
	}
	return a.expires.Compare(b.expires)
}

// A pile counts the entries of one kind, and knows which one expires first.
type pile struct {
	name                string
	entries, maxEntries int // a negative maximum is none
	bytes, maxBytes     int
	soonest             expiryHeap // those that expire at all
}

// fits returns [ErrFull] unless next can be added once old, if not nil, is removed.
func (p *pile) fits(old, next *entry) error {
	entries, bytes := p.entries+1, p.bytes+next.size()
	if old != nil {
		entries, bytes = entries-1, bytes-old.size()
	}
	if p.maxEntries >= 0 && entries > p.maxEntries {
		return fmt.Errorf("%w: limit is %d %s", ErrFull, p.maxEntries, p.name)
	}
	if p.maxBytes >= 0 && bytes > p.maxBytes {
		return fmt.Errorf("%w: limit is %d bytes of %s", ErrFull, p.maxBytes, p.name)
	}
	return nil
}

// add counts e in.
func (p *pile) add(e *entry) {
	p.entries++
	p.bytes += e.size()
	if !e.expires.IsZero() {
		heap.Push(&p.soonest, e)
	}
}

// remove counts e out. It must have been added.
func (p *pile) remove(e *entry) {
	p.entries--
	p.bytes -= e.size()
	if e.place != nowhere {
		heap.Remove(&p.soonest, e.place)
	}
}

// first returns the entry that expires first, nil if none ever does.
func (p *pile) first() *entry {
	if len(p.soonest) == 0 {
		return nil
	}
	return p.soonest[0]
}

// firstExpired returns the entry that expired first, nil if none has at now.
func (p *pile) firstExpired(now time.Time) *entry {
	if e := p.first(); e != nil && e.expired(now) {
		return e
	}
	return nil
}

// An expiryHeap is a [heap.Interface] of entries by when they expire. Each
// entry knows its place in it.
type expiryHeap []*entry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements [heap.Interface].
func (h *expiryHeap) Push(x any) {
	e := x.(*entry)
	e.place = len(*h)
	*h = append(*h, e)
}

// Pop implements [heap.Interface].
func (h *expiryHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil // do not keep it alive
	*h = old[:len(old)-1]
	e.place = nowhere
	return e
}
