package lookup

import (
	"sync"
	"time"

	"github.com/go-kad/kad/routing"
)

// recallAge is how long the result of a lookup is remembered.
const recallAge = 5 * time.Minute

// A recall is a [routing.Recall] behind the lock of the engine.
type recall struct {
	mu    sync.Mutex // held for one call, never over IO
	found routing.Recall
}

// remember records the result of a lookup of key, none of whose answers is older than
// since.
func (r *recall) remember(since time.Time, key routing.Key, closest []routing.Contact) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found.Remember(since, key, closest)
}

// near returns the result of an earlier lookup of a key near to key, and since when its
// contacts have answered; nil if there is none.
func (r *recall) near(key routing.Key) (closest []routing.Contact, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found.Near(time.Now(), key)
}

// justFound returns the result of a lookup of key of the last minute; nil if there is
// none.
func (r *recall) justFound(key routing.Key) []routing.Contact {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found.JustFound(time.Now(), key)
}
