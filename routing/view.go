package routing

import (
	"iter"
	"time"
)

// In this file a table is read, and not changed.

// bucketOnStack is how many contacts of a bucket Closest ranks without an allocation
// of its own. It is above the K of any known network.
const bucketOnStack = 32

// Closest returns the n contacts closest to target, or all if there are fewer,
// closest first, to be handed to others: suspects are left out. If K is at most 32, it
// makes one allocation, for the result.
//
// It does not sort the table. Let D be the distance of our key to target. The
// contacts of CPL i share the first i bits of D and flip the next. So where bit
// i of D is 1, they are closer to target than all contacts of higher CPLs, and
// where it is 0, farther: buckets are taken in ascending order where D has a 1,
// then in descending order where it has a 0.
func (t *Table) Closest(target Key, n int) []Contact {
	n = min(n, t.size-t.audit.suspects)
	if n <= 0 {
		return nil
	}
	return t.appendClosest(make([]Contact, 0, n), target, false)
}

// FillClosest is Closest for as many contacts as dst has capacity, which it overwrites.
func (t *Table) FillClosest(dst []Contact, target Key) []Contact {
	return t.appendClosest(dst[:0], target, false)
}

// Seeds returns up to n contacts to start a lookup from: the result of Closest, and if
// that is fewer than n, the closest suspects after them, which are Doubtful.
func (t *Table) Seeds(target Key, n int) []Contact {
	n = min(n, t.size)
	if n <= 0 {
		return nil
	}
	return t.appendSuspects(t.appendClosest(make([]Contact, 0, n), target, false), target)
}

// Neighbours returns the n contacts closest to us, suspects among them, closest first;
// all if there are fewer.
func (t *Table) Neighbours(n int) []Contact {
	n = min(n, t.size)
	if n <= 0 {
		return nil
	}
	return t.FillNeighbours(make([]Contact, 0, n))
}

// FillNeighbours is Neighbours for as many contacts as dst has capacity, which it overwrites.
func (t *Table) FillNeighbours(dst []Contact) []Contact {
	n := cap(dst)
	dst = t.appendClosest(dst[:0], t.self, false)
	if t.audit.suspects == 0 {
		return dst
	}
	dst = append(dst, t.appendSuspects(make([]Contact, 0, min(n, t.audit.suspects)), t.self)...)
	SortByDistance(t.self, dst)
	return dst[:min(n, len(dst))]
}

// appendSuspects appends to out the suspects that are closest to target, which are Doubtful,
// closest first, up to the capacity of out.
func (t *Table) appendSuspects(out []Contact, target Key) []Contact {
	sound := len(out)
	out = t.appendClosest(out, target, true)
	for i := range out[sound:] {
		out[sound+i].Doubtful = true
	}
	return out
}

// appendClosest appends to out the contacts that are closest to target, closest
// first, up to the capacity of out: suspects only, or others only.
func (t *Table) appendClosest(out []Contact, target Key, suspect bool) []Contact {
	n := cap(out)
	var array [bucketOnStack]ranked
	last := len(t.buckets) - 1
	for i := 0; i < last && len(out) < n; i++ {
		if t.self.bit(&target, i) == 1 {
			out = t.buckets[i].appendClosest(out, &target, suspect, array[:])
		}
	}
	if len(out) < n {
		out = t.buckets[last].appendClosest(out, &target, suspect, array[:])
	}
	for i := last - 1; i >= 0 && len(out) < n; i-- {
		if t.self.bit(&target, i) == 0 {
			out = t.buckets[i].appendClosest(out, &target, suspect, array[:])
		}
	}
	return out
}

// Contact returns the contact with that key. Pending ones are not found.
func (t *Table) Contact(key Key) (Contact, bool) {
	if e := t.bucket(t.self.CPL(key)).find(key); e != nil {
		return e.Contact, true
	}
	return Contact{}, false
}

// All returns all contacts, with the ones that share least with our key first. Pending
// ones are not among them. The table must not be changed meanwhile.
func (t *Table) All() iter.Seq[Contact] {
	return func(yield func(Contact) bool) {
		for _, b := range t.buckets {
			for _, e := range b.entries {
				if !yield(e.Contact) {
					return
				}
			}
		}
	}
}

// Suspects reports whether c is in the table and has missed since it last answered.
func (t *Table) Suspects(c Contact) bool {
	e := t.bucket(t.self.CPL(c.Key)).find(c.Key)
	return e != nil && e.suspect
}

// Len returns the number of contacts. Pending ones do not count.
func (t *Table) Len() int { return t.size }

// A Bucket describes one bucket of a [Table].
type Bucket struct {
	CPL      int    // bits its contacts share with our key
	Last     bool   // it holds all higher CPLs too
	Contacts []Held // least recently seen first
	Pending  int    // newcomers that wait for a place
}

// A Held contact is one in a [Bucket].
type Held struct {
	Contact
	Seen    time.Time // its last answer
	Suspect bool      // it has not answered when it was last asked
}

// Buckets returns a description of the table, in order of CPL.
func (t *Table) Buckets() []Bucket {
	out := make([]Bucket, len(t.buckets))
	for i, b := range t.buckets {
		out[i] = Bucket{CPL: i, Last: i == len(t.buckets)-1, Pending: len(b.pending)}
		for _, e := range b.entries {
			out[i].Contacts = append(out[i].Contacts, Held{e.Contact, e.seen, e.suspect})
		}
	}
	return out
}
