package routing

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// maxPending is how many newcomers wait for a place in one full bucket. Enough
// to replace half of a bucket that dies at once; more would only grow old.
//
// Source: the replacement cache of the Kademlia paper, section 4.1.
const maxPending = 10

// maxBackoff is how far the probe interval of a contact that always answers
// grows, in multiples of ProbeAfter: the longer a node has been up, the longer
// it is likely to stay up.
//
// Source: Kademlia paper, section 2.2 and figure 1.
const maxBackoff = 8

// An entry is a contact in a bucket, or pending.
type entry struct {
	Contact
	cpl      int
	seen     time.Time     // its last answer
	due      time.Time     // when to probe it; zero if silence alone never makes it due
	interval time.Duration // of silence that makes it due
	deadline time.Time     // of the probe that is under way; zero if there is none
	doubted  time.Time     // when Doubt last made it due
	asked    time.Time     // when Due last named it

	score   int  // earned by answers, lost by misses; 0 is the end
	misses  int  // in a row
	suspect bool // it has missed since it answered
	missed  bool // it has a miss that has not counted yet
	near    bool // it has its place for its round trip
	blind   bool // it was probed while we may have been offline

	hindered bool // it has missed because the request failed here

	// claim is set while a pending contact challenges the head: it is why Due
	// names the head, once. It is lost when the head proves alive.
	claim bool
}

// touch records that e answered at now, and when it is due for its next probe.
func (e *entry) touch(now time.Time) {
	e.seen = now
	e.score = min(e.score+1, maxScore)
	e.misses, e.blind = 0, false
	e.deadline = time.Time{}
	e.due = time.Time{}
	if e.interval > 0 {
		e.due = now.Add(e.silence())
	}
}

// silence returns how long e may be silent: its interval, and up to half of that more by its key. So
// contacts that have answered one lookup are not probed in one minute.
func (e *entry) silence() time.Duration {
	return e.interval + e.interval/2*time.Duration(e.Key[KeyBits/8-1])/256
}

// wakes returns when e is due, or its probe late; zero if never.
func (e *entry) wakes() time.Time {
	if e.checking() {
		return e.deadline
	}
	return e.due
}

// checking reports whether e has been probed and not answered yet.
func (e *entry) checking() bool { return !e.deadline.IsZero() }

// moves reports whether c brings other addresses of e than were known. Learning
// the addresses of a contact that had none is not a move.
func (e *entry) moves(c Contact) bool {
	return e.Wire != nil && c.Wire != nil && !bytes.Equal(e.Wire, c.Wire)
}

// A bucket holds at most K contacts of one CPL, and newcomers that wait.
type bucket struct {
	entries []*entry // least recently seen first; entries[0] is the head
	pending []*entry // most recently seen first
}

// find returns the contact with that key, or nil.
func (b *bucket) find(key Key) *entry { return findEntry(b.entries, key) }

// findPending returns the newcomer with that key, or nil.
func (b *bucket) findPending(key Key) *entry { return findEntry(b.pending, key) }

func findEntry(entries []*entry, key Key) *entry {
	for _, e := range entries {
		if e.Key == key {
			return e
		}
	}
	return nil
}

// insert adds e at the place its last answer gives it.
func (b *bucket) insert(e *entry) {
	i := len(b.entries)
	for i > 0 && b.entries[i-1].seen.After(e.seen) {
		i--
	}
	b.entries = slices.Insert(b.entries, i, e)
}

// remove takes e out of the contacts.
func (b *bucket) remove(e *entry) {
	b.entries = without(b.entries, e)
}

// queue adds e to the pending, at the place its last answer gives it. The one
// that waits longest is dropped if there are too many.
func (b *bucket) queue(e *entry) {
	i := 0
	for i < len(b.pending) && b.pending[i].seen.After(e.seen) {
		i++
	}
	b.pending = slices.Insert(b.pending, i, e)
	if len(b.pending) > maxPending {
		b.pending = slices.Delete(b.pending, maxPending, len(b.pending))
	}
}

// challenged reports whether a newcomer waits until the head has been probed.
func (b *bucket) challenged() bool {
	return slices.ContainsFunc(b.pending, func(e *entry) bool { return e.claim })
}

// refuseClaims ends all challenges: the head has proved alive. The newcomers
// stay as replacements.
func (b *bucket) refuseClaims() {
	for _, e := range b.pending {
		e.claim = false
	}
}

// split moves the contacts and the pending whose CPL is above cpl to a new
// bucket, and keeps the order of both.
func (b *bucket) split(cpl int) *bucket {
	far := &bucket{}
	b.entries, far.entries = divide(b.entries, cpl)
	b.pending, far.pending = divide(b.pending, cpl)
	return far
}

// absorb takes over what is in other. One of the two has no contacts, so that
// order and limits stay as they are.
func (b *bucket) absorb(other *bucket) {
	b.entries = append(b.entries, other.entries...)
	for _, e := range other.pending {
		b.queue(e)
	}
}

// divide returns the entries with a CPL of at most cpl, and the others.
func divide(entries []*entry, cpl int) (low, high []*entry) {
	for _, e := range entries {
		if e.cpl <= cpl {
			low = append(low, e)
		} else {
			high = append(high, e)
		}
	}
	return low, high
}

// without returns entries without e. It keeps the order.
func without(entries []*entry, e *entry) []*entry {
	if i := slices.Index(entries, e); i >= 0 {
		return slices.Delete(entries, i, i+1)
	}
	return entries
}

// A ranked entry is one with the first bits of its distance to a target.
type ranked struct {
	distance uint64
	entry    *entry
}

// appendClosest appends to out the contacts of b that are closest to target, in
// order, up to the capacity of out: suspects only, or others only. Scratch is memory
// to rank them in.
//
// An insertion sort on 64 bits of the distance beats a general sort at the size of a
// bucket. Contacts are copied only once they are in order.
func (b *bucket) appendClosest(out []Contact, target *Key, suspect bool, scratch []ranked) []Contact {
	room := cap(out) - len(out)
	best := scratch[:0]
	for _, e := range b.entries {
		if e.suspect != suspect {
			continue
		}
		r := ranked{e.Key.word(0) ^ target.word(0), e}
		if len(best) < room {
			best = append(best, r)
		} else if before(target, best[room-1], r) {
			continue
		}
		i := len(best) - 1
		for ; i > 0 && before(target, r, best[i-1]); i-- {
			best[i] = best[i-1]
		}
		best[i] = r
	}
	for _, r := range best {
		out = append(out, r.entry.Contact)
	}
	return out
}

// before reports whether a is closer to target than b.
func before(target *Key, a, b ranked) bool {
	if c := cmp.Compare(a.distance, b.distance); c != 0 {
		return c < 0
	}
	return target.Compare(a.entry.Key, b.entry.Key) < 0
}
