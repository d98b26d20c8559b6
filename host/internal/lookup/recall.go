package lookup

import (
	"sync"
	"time"

	"github.com/go-kad/kad/routing"
)

// A recall is a [routing.Recall] behind the lock of the engine.
type recall struct {
	k     int
	mu    sync.Mutex // held for one call, never over IO
	found routing.Recall
}

// learn remembers the result of a lookup of key: see [routing.Recall.Learn].
func (r *recall) learn(recalled time.Time, key routing.Key, result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found.Learn(result.Ended, recalled, key, r.k, result.Result)
}

// near returns the result of an earlier lookup of a key near to key, and since when its
// contacts have answered; nil if there is none.
func (r *recall) near(key routing.Key) (closest []routing.Contact, since time.Time) {
	r.locked(func(now time.Time) { closest, since = r.found.Near(now, key) })
	return closest, since
}

// justFound returns the result of a lookup of key of the last minute; nil if there is
// none.
func (r *recall) justFound(key routing.Key) (closest []routing.Contact) {
	r.locked(func(now time.Time) { closest = r.found.JustFound(now, key) })
	return closest
}

// locked runs a call that needs the time under the lock.
func (r *recall) locked(call func(now time.Time)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	call(time.Now())
}
