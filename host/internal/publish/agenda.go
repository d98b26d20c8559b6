package publish

import (
	"container/heap"
	"sync"
	"time"

	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
)

// A publicationID names a publication of ours.
type publicationID struct {
	kind store.Kind
	key  string
}

// An agenda is when each of our publications is due again: the copy in memory of what
// the store has, in order of time.
type agenda struct {
	mu    sync.Mutex
	when  map[publicationID]slot
	heap  dueHeap // may hold entries that are not in when any more, or at another time
	count uint64  // of calls of add
}

// A slot is when a publication is due, and which call of add says so.
type slot struct {
	at    time.Time // zero while it is under way
	count uint64
}

// A ticket is for a publication that is under way; due returns it.
type ticket struct {
	publicationID
	count uint64
}

// add sets when a publication is due. It returns the count of the call, above 0.
func (a *agenda) add(id publicationID, at time.Time) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.when == nil {
		a.when = make(map[publicationID]slot)
	}
	a.count++
	a.when[id] = slot{at, a.count}
	heap.Push(&a.heap, dueEntry{id, at})
	if len(a.heap) > 2*len(a.when)+minStale {
		a.rebuild()
	}
	return a.count
}

// minStale is how many entries without a meaning the heap may hold in any case.
const minStale = 64

// rebuild drops the entries of the heap that were dropped or moved.
func (a *agenda) rebuild() {
	a.heap = a.heap[:0]
	for id, s := range a.when {
		if !s.at.IsZero() {
			a.heap = append(a.heap, dueEntry{id, s.at})
		}
	}
	heap.Init(&a.heap)
}

// drop forgets a publication.
func (a *agenda) drop(id publicationID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.when, id)
}

// current reports whether the publication of a ticket was neither dropped nor
// added again since.
func (a *agenda) current(t ticket) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.when[t.publicationID]
	return ok && s.count == t.count
}

// has reports whether there is such a publication.
func (a *agenda) has(id publicationID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.when[id]
	return ok
}

// due returns tickets for up to n publications that are due at now, and when the next
// one is due; the zero time means that there is none, or no room for it. A publication
// with a ticket is under way until add or drop.
func (a *agenda) due(now time.Time, n int) (tickets []ticket, next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.heap) > 0 {
		first := a.heap[0]
		s, ok := a.when[first.id]
		if !ok || !s.at.Equal(first.at) { // dropped, or moved
			heap.Pop(&a.heap)
			continue
		}
		if !tasks.Passed(now, first.at) {
			return tickets, first.at
		}
		if len(tickets) == n {
			return tickets, time.Time{} // ask again when there is room
		}
		heap.Pop(&a.heap)
		a.when[first.id] = slot{count: s.count}
		tickets = append(tickets, ticket{first.id, s.count})
	}
	return tickets, time.Time{}
}

// len returns how many publications there are.
func (a *agenda) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.when)
}

// A dueEntry is when a publication is due, or was when it was added.
type dueEntry struct {
	id publicationID
	at time.Time
}

// dueHeap implements [heap.Interface]: the earliest first.
type dueHeap []dueEntry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements [heap.Interface].
func (h *dueHeap) Push(x any) { *h = append(*h, x.(dueEntry)) }

// Pop implements [heap.Interface].
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	*h = (*h)[:last]
	return e
}
