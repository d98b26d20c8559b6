package host

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

const (
	// maxPaces is how many peers a knowledge has round trips of: twice as many, of
	// which those are forgotten first that have not answered for longest. A table
	// has some hundreds of contacts; 100 bytes each.
	maxPaces = 2048

	// lately is how many requests it takes for what they say of all peers to be
	// replaced by what later ones do.
	lately = 64
)

// A knowledge is what a node has learnt of its network from its own requests: in
// what time who answers, how many do not, how many nodes there are. Lookups go by
// it. It is safe for concurrent use.
type knowledge struct {
	mu      sync.Mutex // held for arithmetic only
	all     routing.RTT
	paces   map[peer.ID]*routing.RTT
	before  map[peer.ID]*routing.RTT // paces of earlier, the first to be forgotten
	failing float64                  // share of the requests that failed
	size    routing.Size
}

func newKnowledge() *knowledge {
	return &knowledge{all: routing.RTT{Memory: lately}, paces: make(map[peer.ID]*routing.RTT)}
}

// answered records that a peer took so long to answer on an open connection.
//
// Of each peer, the first answer says what to expect of strangers. All answers
// would not: quick peers answer the requests of a burst first.
func (k *knowledge) answered(id peer.ID, took time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pace := k.pace(id)
	if pace == nil {
		pace = new(routing.RTT)
		k.all.Observe(took)
	}
	if k.paces[id] == nil {
		if len(k.paces) == maxPaces {
			k.before, k.paces = k.paces, make(map[peer.ID]*routing.RTT)
		}
		k.paces[id] = pace
	}
	pace.Observe(took)
	k.failing -= k.failing / lately
}

// failed records that a peer did not answer, or not as long as anybody waited.
func (k *knowledge) failed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failing += (1 - k.failing) / lately
}

// strangers returns how long who has not answered yet is expected to take at most; 0
// if nobody has.
func (k *knowledge) strangers() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all.Timeout(k.failing)
}

// pace returns the round trip of a peer; nil if it is not known.
func (k *knowledge) pace(id peer.ID) *routing.RTT {
	if pace := k.paces[id]; pace != nil {
		return pace
	}
	return k.before[id]
}

// judge says in what time contacts are expected to answer.
func (k *knowledge) judge(contacts []routing.Contact) {
	k.mu.Lock()
	defer k.mu.Unlock()
	strangers := k.all.Timeout(k.failing)
	for i := range contacts {
		c := &contacts[i]
		c.RoundTrip, c.Expect = 0, strangers
		if pace := k.pace(c.ID); pace != nil {
			c.RoundTrip, c.Expect = pace.Mean(), pace.Timeout(k.failing)
		}
	}
}

// found records whom a lookup of a key has found: the closest, none of whom is
// missing.
func (k *knowledge) found(key routing.Key, closest []routing.Contact) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.size.Observe(key, closest)
}

// network returns how many nodes there are, by what lookups have found and by who
// is closest to us now, and the share of requests that fail.
func (k *knowledge) network(self routing.Key, neighbours []routing.Contact) (routing.Estimate, float64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	size := k.size
	size.Observe(self, neighbours)
	return size.Estimate(), k.failing
}
