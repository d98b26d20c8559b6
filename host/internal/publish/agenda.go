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

// name returns the ID in one string, which takes less memory.
func (id publicationID) name() string { return string([]byte{byte(id.kind)}) + id.key }

// An agenda is when each of our publications is due again: the copy in memory of what
// the store has, in order of time. A million of them take 160 MB.
type agenda struct {
	mu    sync.Mutex
	slots map[string]*slot // by the name of the ID
	heap  dueHeap          // the slots that are not under way
	count uint32           // of calls of add
}

// A slot is when a publication is due, and which call of add says so.
type slot struct {
	name  string
	at    time.Time
	index int32 // in the heap; underWay
	count uint32
}

// ticket returns the ticket for a slot.
func (s *slot) ticket() ticket {
	return ticket{publicationID{store.Kind(s.name[0]), s.name[1:]}, s.count}
}

// underWay is the index of a slot with a ticket.
const underWay = -1

// A ticket is for a publication that is under way; due returns it.
type ticket struct {
	publicationID
	count uint32
}

// add sets when a publication is due. It returns the count of the call, which is not 0.
func (a *agenda) add(id publicationID, at time.Time) uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.slots == nil {
		a.slots = make(map[string]*slot)
	}
	if a.count++; a.count == 0 {
		a.count++
	}
	name := id.name()
	s := a.slots[name]
	if s == nil {
		s = &slot{name: name, index: underWay}
		a.slots[name] = s
	}
	if s.at, s.count = at, a.count; s.index == underWay {
		heap.Push(&a.heap, s)
	} else {
		heap.Fix(&a.heap, int(s.index))
	}
	return s.count
}

// drop forgets a publication.
func (a *agenda) drop(id publicationID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.slots[id.name()]
	if s == nil {
		return
	}
	delete(a.slots, s.name)
	if s.index != underWay {
		heap.Remove(&a.heap, int(s.index))
	}
}

// current reports whether the publication of a ticket was neither dropped nor
// added again since.
func (a *agenda) current(t ticket) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.slots[t.name()]
	return s != nil && s.count == t.count
}

// has reports whether there is such a publication.
func (a *agenda) has(id publicationID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.slots[id.name()] != nil
}

// due returns tickets for up to n publications that are due at now, and when the next
// one is due; the zero time means that there is none, or no room for it. A publication
// with a ticket is under way until add or drop.
func (a *agenda) due(now time.Time, n int) (tickets []ticket, next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.heap) > 0 {
		first := a.heap[0]
		if !tasks.Passed(now, first.at) {
			return tickets, first.at
		}
		if len(tickets) == n {
			return tickets, time.Time{} // ask again when there is room
		}
		heap.Pop(&a.heap)
		tickets = append(tickets, first.ticket())
	}
	return tickets, time.Time{}
}

// len returns how many publications there are.
func (a *agenda) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.slots)
}

// dueHeap implements [heap.Interface]: the earliest first.
type dueHeap []*slot

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

// Swap implements [heap.Interface].
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = int32(i), int32(j) //nolint:gosec // so many do not fit into memory
}

// Push implements [heap.Interface].
func (h *dueHeap) Push(x any) {
	s := x.(*slot)
	s.index = int32(len(*h)) //nolint:gosec // so many do not fit into memory
	*h = append(*h, s)
}

// Pop implements [heap.Interface].
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	s.index = underWay
	return s
}
