package host

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// A knowledge is [routing.Paces] behind a lock.
type knowledge struct {
	mu    sync.Mutex // held for arithmetic only
	paces routing.Paces
}

// answered records that a peer took so long to answer on an open connection.
func (k *knowledge) answered(id peer.ID, took time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paces.Answered(id, took)
}

// failed records that a peer did not answer in time, or at all.
func (k *knowledge) failed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paces.Failed()
}

// strangers returns the longest time that a peer which has never answered us is
// expected to take; 0 if no peer has answered yet.
func (k *knowledge) strangers() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.paces.Strangers()
}

// judge says in what time contacts are expected to answer.
func (k *knowledge) judge(contacts []routing.Contact) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paces.Expect(contacts)
}

// found records the closest nodes that a lookup of a key has found.
func (k *knowledge) found(key routing.Key, closest []routing.Contact) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paces.Found(key, closest)
}

// network returns how many nodes there are, and the share of requests that fail.
func (k *knowledge) network(self routing.Key, neighbours []routing.Contact) (routing.Estimate, float64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.paces.Network(self, neighbours)
}
