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

// learn takes in the result of a lookup of key.
func (k *knowledge) learn(recalled time.Time, key routing.Key, result routing.Result) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paces.Learn(recalled, key, result)
}

// tune returns the configuration of a lookup with what is known of the network.
func (k *knowledge) tune(cfg routing.LookupConfig, self routing.Key, neighbours []routing.Contact) routing.LookupConfig {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.paces.Tune(cfg, self, neighbours)
}
