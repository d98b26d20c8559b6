package host

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// acquaintedFor is for how long a router at least may let in somebody whom we have
	// dialled or were connected to: RFC 4787 has it 2 minutes for UDP, many let it be 5,
	// and RFC 5382 has 4 for what is left of a TCP connection.
	acquaintedFor = 5 * time.Minute

	// maxAcquainted bounds the peers that are remembered for that.
	maxAcquainted = 4096
)

// acquaintances are the peers that we have dialled, or were connected to, lately. That
// they reach us proves nothing of others: routers let in who was written to.
//
// They are kept in two maps, each of one period, and forgotten with it: after one to
// two of them. While there were too many, everybody counts as one.
type acquaintances struct {
	mu          sync.Mutex
	began       time.Time // when the period did
	now, before map[peer.ID]struct{}
}

// add takes note of a peer that is dialled, or whose connection ended.
func (a *acquaintances) add(now time.Time, id peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn(now)
	if len(a.now) < maxAcquainted {
		a.now[id] = struct{}{}
	}
}

// has reports whether a peer is, or may be, one of them.
func (a *acquaintances) has(now time.Time, id peer.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn(now)
	_, in := a.now[id]
	_, was := a.before[id]
	return in || was || len(a.now) == maxAcquainted || len(a.before) == maxAcquainted
}

// turn begins a new period if it is time to.
func (a *acquaintances) turn(now time.Time) {
	age := now.Sub(a.began)
	if a.now != nil && age < acquaintedFor {
		return
	}
	a.before = a.now
	if age >= 2*acquaintedFor {
		a.before = nil
	}
	a.began, a.now = now, make(map[peer.ID]struct{})
}
