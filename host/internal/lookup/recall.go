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
func (r *recall) learn(now, recalled time.Time, key routing.Key, result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found.Learn(now, recalled, key, r.k, result.Result)
}

// near returns the result of an earlier lookup of a key near to key, and since when its
// contacts have answered; nil if there is none.
func (r *recall) near(now time.Time, key routing.Key) (closest []routing.Contact, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found.Near(now, key)
}

// justFound returns the result of a lookup of key of the last minute; nil if there is
// none.
func (r *recall) justFound(now time.Time, key routing.Key) []routing.Contact {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found.JustFound(now, key)
}
