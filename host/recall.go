package host

import (
	"slices"
	"sync"
	"time"

	"github.com/go-kad/kad/routing"
)

// maxRecalled is how many lookups are remembered: a megabyte at most with the
// addresses of what they found.
const maxRecalled = 256

// A recall remembers whom lookups have found, for those that come after them: it is
// not believed, but asked first. It is safe for concurrent use.
type recall struct {
	age time.Duration // for how long; negative: nothing is remembered

	mu    sync.Mutex // held for one call, never across IO
	found []recalled // one for each key, the last one remembered last
}

// A recalled is what one lookup has found.
type recalled struct {
	key     routing.Key
	closest []routing.Contact
	since   time.Time // when the first of them has answered, at the earliest
}

// remember remembers whom a lookup of key has found: those closest to it, all of
// whom have answered since then.
func (r *recall) remember(since time.Time, key routing.Key, closest []routing.Contact) {
	if r.age < 0 || len(closest) == 0 {
		return
	}
	kept := make([]routing.Contact, len(closest))
	for i, c := range closest {
		kept[i] = routing.Contact{ID: c.ID, Key: c.Key, Group: c.Group, Wire: c.Wire}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = slices.DeleteFunc(r.found, func(f recalled) bool { return f.key == key })
	if len(r.found) == maxRecalled {
		r.found = slices.Delete(r.found, 0, 1)
	}
	r.found = append(r.found, recalled{key, kept, since})
}

// near returns the contacts closest to key, as the lookup of a key near to it has
// found them, the closest first, and since when; nil if there was none. Near is what shares more
// bits with that key than the farthest that was found: all who are as near are
// among them. Some of the others may be wrong, and whoever is asked knows better.
func (r *recall) near(now time.Time, key routing.Key) (closest []routing.Contact, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
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
	routing.SortByDistance(key, closest)
	return closest, nearest.since
}

// justNow is how long ago a lookup was at most whose result is not asked about again
// by who sends something to all of them.
const justNow = time.Minute

// justFound returns whom a lookup of key has found just now; nil if there was none.
func (r *recall) justFound(now time.Time, key routing.Key) []routing.Contact {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	for _, f := range r.found {
		if f.key == key && now.Sub(f.since) < justNow {
			return slices.Clone(f.closest)
		}
	}
	return nil
}

// forget forgets what is too old.
func (r *recall) forget(now time.Time) {
	r.found = slices.DeleteFunc(r.found, func(f recalled) bool { return now.Sub(f.since) >= r.age })
}
