package store

import (
	"cmp"
	"container/heap"
	"time"
)

// nowhere is the place of an entry that is in no heap.
const nowhere = -1

// An entry is a value or an announcement. It does not change once it is stored,
// except for its place: to replace it is to store another one.
type entry struct {
	key      string
	hash     uint64 // of the key, in an [index]
	id       string // of the provider, or of the publisher of a value
	data     []byte // nil in a [Datastore]
	length   int    // of the data
	received time.Time
	expires  time.Time // zero: never
	origin   uint64    // of an announcement: see Provider.Origin
	place    int       // in the heap of its pile
}

// valueEntry returns the entry of a value, with the data of v itself.
func valueEntry(key []byte, v Value) *entry {
	e := newEntry(string(key), string(v.Publisher), v.Data, v.Received, v.Expires)
	e.hash = hashOf(key)
	return e
}

// providerEntry returns the entry of an announcement, with the addresses of p
// themselves.
func providerEntry(key []byte, p Provider) *entry {
	e := newEntry(string(key), p.ID, p.Addrs, p.Received, p.Expires)
	e.hash, e.origin = hashOf(key), p.Origin
	return e
}

func newEntry(key, id string, data []byte, received, expires time.Time) *entry {
	return &entry{
		key: key, id: id, data: data, length: len(data),
		received: received.Round(0), expires: expires.Round(0), place: nowhere,
	}
}

// size returns the bytes that e counts for.
func (e *entry) size() int { return len(e.key) + len(e.id) + e.length }

// expired reports whether e has expired at now. At the zero time nothing has.
func (e *entry) expired(now time.Time) bool {
	return !e.expires.IsZero() && !now.IsZero() && !now.Before(e.expires)
}

// value returns e as a [Value] of its own.
func (e *entry) value() Value {
	v := Value{Data: append([]byte(nil), e.data...), Received: e.received, Expires: e.expires}
	if e.id != "" {
		v.Publisher = []byte(e.id)
	}
	return v
}

// provider returns e as a [Provider] of its own.
func (e *entry) provider() Provider {
	return Provider{ID: e.id, Addrs: append([]byte(nil), e.data...), Received: e.received, Expires: e.expires, Origin: e.origin}
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

// compareYield orders the entries of one key by which of them goes first to make
// room: the one that expires first, and of several the one received first.
func compareYield(a, b *entry) int {
	return cmp.Or(compareExpiry(a, b), a.received.Compare(b.received))
}

// A pile counts the entries of one kind, and knows which one expires first.
type pile struct {
	tally
	soonest expiryHeap // those that expire at all
}

// add counts e in.
func (p *pile) add(e *entry) {
	p.tally.add(e)
	if !e.expires.IsZero() {
		heap.Push(&p.soonest, e)
	}
}

// remove counts e out. It must have been added.
func (p *pile) remove(e *entry) {
	p.tally.remove(e)
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
