package host

import (
	"container/heap"
	"sync"
	"time"

	"github.com/go-kad/kad/host/store"
)

// A publicationID names something that we published.
type publicationID struct {
	kind store.Kind
	key  string
}

// agenda is when each of our publications is due again: the copy in memory of
// what the store keeps, in order of time.
type agenda struct {
	mu   sync.Mutex
	when map[publicationID]time.Time // zero while it is under way
	heap dueHeap                     // may hold entries that are not in when any more, or at another time
}

// add sets when a publication is due.
func (a *agenda) add(id publicationID, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.when == nil {
		a.when = make(map[publicationID]time.Time)
	}
	a.when[id] = at
	heap.Push(&a.heap, dueEntry{id, at})
}

// drop forgets a publication.
func (a *agenda) drop(id publicationID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.when, id)
}

// resume sets when a publication that due returned is due again, unless it was
// dropped since. It reports whether it was not.
func (a *agenda) resume(id publicationID, at time.Time) bool {
	if !a.has(id) {
		return false
	}
	a.add(id, at)
	return true
}

// has reports whether there is such a publication.
func (a *agenda) has(id publicationID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.when[id]
	return ok
}

// due returns up to n publications that are due at now, which are then under way
// until resume or drop, and when the next one is; the zero time means that there
// is none.
func (a *agenda) due(now time.Time, n int) (ids []publicationID, next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.heap) > 0 {
		first := a.heap[0]
		if !a.when[first.id].Equal(first.at) { // dropped, or moved
			heap.Pop(&a.heap)
			continue
		}
		if first.at.After(now) {
			return ids, first.at
		}
		if len(ids) == n {
			return ids, time.Time{} // more are due: ask again when there is room
		}
		heap.Pop(&a.heap)
		a.when[first.id] = time.Time{} // under way
		ids = append(ids, first.id)
	}
	return ids, time.Time{}
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
