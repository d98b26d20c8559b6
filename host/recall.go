package host

import (
	"sync"
	"time"

	"github.com/go-kad/kad/routing"
)

// A recall is a [routing.Recall] behind a lock.
type recall struct {
	mu    sync.Mutex // held for one call, never across IO
	found routing.Recall
}

func newRecall(age time.Duration) *recall {
	return &recall{found: routing.Recall{Age: age}}
}

// learn remembers the result of a lookup of key.
func (r *recall) learn(now, recalled time.Time, key routing.Key, k int, result routing.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found.Learn(now, recalled, key, k, result)
}

// near returns the result of an earlier lookup of a key near to key; nil if there is
// none.
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
