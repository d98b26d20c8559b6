package publish

import (
	"container/heap"
	"crypto/rand"
	"crypto/sha256"
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

// name returns the ID in one string.
func (id publicationID) name() string { return string([]byte{byte(id.kind)}) + id.key }

// idOf returns the ID with a name.
func idOf(name string) publicationID { return publicationID{store.Kind(name[0]), name[1:]} }

// A fingerprint stands for a name in one agenda. A stranger who does not know the salt of that
// agenda finds no two names with the same one; by chance, two of a million have it once in
// 10^17 agendas.
type fingerprint [12]byte

// fingerprint returns that of a name.
func (a *agenda) fingerprint(name string) fingerprint {
	var room [96]byte // for the salt and most names
	sum := sha256.Sum256(append(append(room[:0], a.salt[:]...), name...))
	return fingerprint(sum[:])
}

// An agenda is when each of our publications is due again: the copy in memory of what
// the store has, in order of time. A million of them take 100 MB, and no pointers.
type agenda struct {
	mu      sync.Mutex
	start   time.Time // the monotonic times of the slots count from it
	salt    [16]byte  // of the fingerprints: made with numbers
	numbers map[fingerprint]uint32
	heap    dueHeap
	count   uint32 // of calls of add
}

// A ticket is for a publication that is under way; due returns it.
type ticket struct {
	publicationID
	count uint32
}

// add sets when a publication is due. It returns the count of the call, which is not 0.
func (a *agenda) add(id publicationID, at time.Time) uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.set(id, at)
}

// begin is add for a publication that is published now: it is under way, and due at that time if it
// is released before it is added again.
func (a *agenda) begin(id publicationID, at time.Time) (count uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	count = a.set(id, at)
	heap.Remove(&a.heap, int(a.heap.slots.at(a.numbers[a.fingerprint(id.name())]).index))
	return count
}

// release ends what begin or due began: the publication of the ticket is due at the time that was
// set last, unless it was dropped or added again.
func (a *agenda) release(t ticket) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, known := a.numbers[a.fingerprint(t.name())]
	if !known {
		return
	}
	if s := a.heap.slots.at(n); s.count == t.count && s.index == underWay {
		heap.Push(&a.heap, n)
	}
}

// fill calls f with the time, and with what add does. Nothing else is added or due meanwhile.
func (a *agenda) fill(f func(now time.Time, add func(id publicationID, at time.Time))) {
	tasks.Locked(&a.mu, func(now time.Time) {
		f(now, func(id publicationID, at time.Time) { a.set(id, at) })
	})
}

// set is add with the lock held.
func (a *agenda) set(id publicationID, at time.Time) uint32 {
	if a.numbers == nil {
		a.numbers, a.start = make(map[fingerprint]uint32), at
		_, _ = rand.Read(a.salt[:]) // it never fails
	}
	if a.count++; a.count == 0 {
		a.count++
	}
	name := id.name()
	of := a.fingerprint(name)
	n, known := a.numbers[of]
	if !known {
		n = a.heap.slots.take(name)
		a.numbers[of] = n
	}
	s := a.heap.slots.at(n)
	s.after, s.wall, s.count = at.Sub(a.start), at.UnixNano(), a.count
	if s.index == underWay {
		heap.Push(&a.heap, n)
	} else {
		heap.Fix(&a.heap, int(s.index))
	}
	return s.count
}

// drop forgets a publication.
func (a *agenda) drop(id publicationID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	of := a.fingerprint(id.name())
	n, known := a.numbers[of]
	if !known {
		return
	}
	if s := a.heap.slots.at(n); s.index != underWay {
		heap.Remove(&a.heap, int(s.index))
	}
	a.heap.slots.give(n)
	if delete(a.numbers, of); len(a.numbers) == 0 {
		a.numbers, a.heap = nil, dueHeap{} // with the memory of all
	}
}

// current reports whether the publication of a ticket was neither dropped nor
// added again since.
func (a *agenda) current(t ticket) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, known := a.numbers[a.fingerprint(t.name())]
	return known && a.heap.slots.at(n).count == t.count
}

// has reports whether there is such a publication.
func (a *agenda) has(id publicationID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, known := a.numbers[a.fingerprint(id.name())]
	return known
}

// due returns tickets for up to n publications that are due at now, and when the next
// one is due; the zero time means that there is none, or no room for it. A publication
// with a ticket is under way until add or drop.
func (a *agenda) due(now time.Time, n int) (tickets []ticket, next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.heap.order) > 0 {
		first := a.heap.order[0]
		s := a.heap.slots.at(first)
		if wait := s.wait(now, a.start); wait > 0 {
			return tickets, now.Add(wait)
		}
		if len(tickets) == n {
			return tickets, time.Time{} // ask again when there is room
		}
		heap.Pop(&a.heap)
		tickets = append(tickets, ticket{idOf(a.heap.slots.name(first)), s.count})
	}
	return tickets, time.Time{}
}

// late returns by how much the first publication is overdue; not above 0 if none is.
func (a *agenda) late(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.heap.order) == 0 {
		return 0
	}
	return -a.heap.slots.at(a.heap.order[0]).wait(now, a.start)
}

// len returns how many publications there are.
func (a *agenda) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.numbers)
}

// A slot is when a publication is due, and which call of add says so.
type slot struct {
	after time.Duration // by the monotonic clock, from the start of the agenda on
	wall  int64         // the same time by the clock of the wall, in ns
	index int32         // in the heap; underWay
	count uint32
	size  byte // of the name; 0 if it is among the long ones
	short [35]byte
}

// underWay is the index of a slot with a ticket.
const underWay = -1

// wait returns how much later than now a slot is due, by the clock by which it is due first: see
// [tasks.Passed].
func (s *slot) wait(now, start time.Time) time.Duration {
	return min(s.after-now.Sub(start), time.Duration(s.wall-now.UnixNano()))
}

// slotsTogether is how many slots are made at a time: they are not copied when there are more.
const slotsTogether = 1 << 12

// slots are numbered from 0 on.
type slots struct {
	parts []*[slotsTogether]slot
	made  uint32
	free  []uint32
	long  map[uint32]string // names that find no room in their slots: longer than that of a content
}

// at returns the slot with a number.
func (s *slots) at(n uint32) *slot { return &s.parts[n/slotsTogether][n%slotsTogether] }

// take returns the number of a slot for a name.
func (s *slots) take(name string) (n uint32) {
	if last := len(s.free) - 1; last >= 0 {
		n, s.free = s.free[last], s.free[:last]
	} else {
		n = s.made
		if s.made++; n%slotsTogether == 0 {
			s.parts = append(s.parts, new([slotsTogether]slot))
		}
	}
	slot := s.at(n)
	*slot = slotOf(name)
	if slot.size == 0 {
		if s.long == nil {
			s.long = make(map[uint32]string)
		}
		s.long[n] = name
	}
	return n
}

// slotOf returns a new slot, with its name if that finds room.
func slotOf(name string) slot {
	s := slot{index: underWay}
	if len(name) <= len(s.short) {
		s.size = byte(copy(s.short[:], name)) //nolint:gosec // 35 at most
	}
	return s
}

// give takes back a slot.
func (s *slots) give(n uint32) {
	delete(s.long, n)
	s.free = append(s.free, n)
}

// name returns the name that a slot was taken for.
func (s *slots) name(n uint32) string {
	slot := s.at(n)
	if slot.size == 0 {
		return s.long[n]
	}
	return string(slot.short[:slot.size])
}

// A dueHeap implements [heap.Interface]: the numbers of the slots that are not under way, the
// earliest first.
type dueHeap struct {
	slots slots
	order []uint32
}

func (h *dueHeap) Len() int { return len(h.order) }

// Less implements [heap.Interface].
func (h *dueHeap) Less(i, j int) bool {
	return h.slots.at(h.order[i]).after < h.slots.at(h.order[j]).after
}

// Swap implements [heap.Interface].
func (h *dueHeap) Swap(i, j int) {
	h.order[i], h.order[j] = h.order[j], h.order[i]
	h.place(i)
	h.place(j)
}

// place notes in a slot where it is.
func (h *dueHeap) place(i int) {
	h.slots.at(h.order[i]).index = int32(i) //nolint:gosec // so many do not fit into memory
}

// Push implements [heap.Interface].
func (h *dueHeap) Push(x any) {
	h.order = append(h.order, x.(uint32))
	h.place(len(h.order) - 1)
}

// Pop implements [heap.Interface].
func (h *dueHeap) Pop() any {
	last := len(h.order) - 1
	n := h.order[last]
	h.order = h.order[:last]
	h.slots.at(n).index = underWay
	return n
}
