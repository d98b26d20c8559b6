package routing

import (
	"slices"
	"time"
)

const (
	// maxRecalled is how many lookups a Recall remembers. With the addresses of what
	// they found, that is 1 MB at most.
	maxRecalled = 256

	// justNow is how old a result is at most whose contacts still answer, as a rule: see
	// [Recall.JustFound] and [MarkRecent].
	justNow = time.Minute

	// recallAge is how long results are remembered by default.
	recallAge = 5 * time.Minute
)

// A Recall remembers what lookups have found, so that later lookups of the same key,
// or of one near it, can start from there. The zero value is ready. A Recall is not
// safe for concurrent use.
type Recall struct {
	// Age is how long a result is remembered. If zero, 5m. If negative, none is.
	Age time.Duration

	found []recalled // one for each key, the newest last
}

// A recalled is the result of one lookup.
type recalled struct {
	key     Key
	closest []Contact
	since   time.Time // none of the answers is older
}

// remember records the result of a lookup of key: the contacts closest to it, all of
// which have answered since then. It replaces the result that it has of the same key.
func (r *Recall) remember(since time.Time, key Key, closest []Contact) {
	if r.Age < 0 || len(closest) == 0 {
		return
	}
	kept := make([]Contact, len(closest))
	for i, c := range closest {
		kept[i] = Contact{ID: c.ID, Key: c.Key, Group: c.Group, Network: c.Network, Wire: c.Wire}
	}
	r.found = slices.DeleteFunc(r.found, func(f recalled) bool { return f.key == key })
	if len(r.found) == maxRecalled {
		r.found = slices.Delete(r.found, 0, 1)
	}
	r.found = append(r.found, recalled{key, kept, since})
}

// Learn remembers the result of a lookup of key, if it has found k contacts, or all
// that there are; recalled is when the seeds taken from an earlier lookup last
// answered. If some of the seeds are in the result unasked, the result is as old as
// they are. A result that is likely incomplete is not remembered, nor is a crowd: each lookup
// looks beyond it.
func (r *Recall) Learn(now, recalled time.Time, key Key, k int, result Result) {
	if result.Crowded || result.allAnswered() && result.unsure() {
		return
	}
	ended := result.End == Converged || result.End == Exhausted
	switch whole := ended && len(result.Closest) == k || result.End == Exhausted && result.Confidence == 1; {
	case whole && result.allAnswered():
		r.remember(now, key, result.Closest)
	case whole:
		r.remember(recalled, key, result.Closest)
	}
}

// Near returns the result of the remembered lookup of the key nearest to key, the
// contacts closest to key first, and the time since which they have answered. It is
// nil if no remembered key is near: one that shares more bits with key than with the
// farthest contact of its result. All contacts that share as many bits with key are
// then in the result. It may hold wrong ones too; a lookup that starts from them
// corrects it.
func (r *Recall) Near(now time.Time, key Key) (closest []Contact, since time.Time) {
	r.forget(now)
	if len(r.found) == 0 {
		return nil, time.Time{}
	}
	nearest := r.found[0]
	for _, f := range r.found[1:] {
		if key.Compare(f.key, nearest.key) < 0 {
			nearest = f
		}
	}
	last := nearest.closest[len(nearest.closest)-1]
	if key.CPL(nearest.key) <= nearest.key.CPL(last.Key) {
		return nil, time.Time{}
	}
	closest = slices.Clone(nearest.closest)
	SortByDistance(key, closest)
	return closest, nearest.since
}

// JustFound returns the result of a lookup of key that is less than a minute old; nil
// if there is none. A record can be sent to them at once: a peer that has gone shows
// by not storing it.
func (r *Recall) JustFound(now time.Time, key Key) []Contact {
	r.forget(now)
	for _, f := range r.found {
		if f.key == key && now.Sub(f.since) < justNow {
			return slices.Clone(f.closest)
		}
	}
	return nil
}

// MarkRecent sets Recent of the contacts from [Recall.Near] that are still connected
// and not in doubt, if they answered less than a minute before; age is how long ago that was. If
// others confirm them, they need not be asked again. A connection shows less: that to a host
// without power stays open for minutes.
func MarkRecent(age time.Duration, recalled []Contact) {
	for i := range recalled {
		recalled[i].Recent = age < justNow && recalled[i].Connected && !recalled[i].Doubtful
	}
}

// allAnswered reports whether all of Closest have answered the lookup.
func (r Result) allAnswered() bool {
	n := len(r.Closest)
	return len(r.Answered) >= n && slices.EqualFunc(r.Closest, r.Answered[:n],
		func(a, b Contact) bool { return a.ID == b.ID })
}

// unsure reports whether the lookup has likely missed some of the closest, as far as it knows
// the size of the network.
func (r Result) unsure() bool {
	return r.End == Converged && r.Confidence > 0 && r.Confidence < certain
}

// forget drops the results that are too old.
func (r *Recall) forget(now time.Time) {
	age := r.Age
	setDefault(&age, recallAge)
	r.found = slices.DeleteFunc(r.found, func(f recalled) bool { return now.Sub(f.since) >= age })
}
