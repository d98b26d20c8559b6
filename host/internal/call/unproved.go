package call

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// unprovedDials is how many dials of an IP address may begin at once that others have
	// named and that no connection has proved, and unprovedPause is when one more may.
	unprovedDials = 12
	unprovedPause = 30 * time.Second

	// unprovedAddrs is how many addresses of one peer with the same IP address are dialled
	// on the word of others: one of each transport in use.
	unprovedAddrs = 4

	// maxUnprovedIPs bounds the IP addresses that are remembered.
	maxUnprovedIPs = 4096
)

// errUnproved is the error of a dial of a peer that was named only at IP addresses where too
// many peers have not been found. It says nothing of the peer.
var errUnproved = fmt.Errorf("%w: too many peers that were named at its IP address are not there", kaderr.ErrNotSent)

// An unproved has the addresses that others have named of the peers that are being asked,
// and bounds the dials of them. A stranger names as many peers as it likes at the address of
// a victim, which all nodes that believe it would dial. A dial that finds its peer does not
// count.
type unproved struct {
	mu    sync.Mutex // held for one call, never over IO
	named map[peer.ID]*named
	at    map[string]allowance // by IP address, see scope.Dialled

	refused atomic.Uint64 // addresses that were not admitted
}

// A named has the addresses of a peer for the requests that may dial it.
type named struct {
	addrs    []multiaddr.Multiaddr
	requests int
}

// An allowance is how many dials may begin, at a time.
type allowance struct {
	dials float64
	since time.Time
}

func newUnproved() *unproved {
	return &unproved{named: make(map[peer.ID]*named), at: make(map[string]allowance)}
}

// name has the next dial of a peer know addresses, until the function is called that it
// returns.
func (u *unproved) name(id peer.ID, addrs []multiaddr.Multiaddr) (forget func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := u.named[id]
	if n == nil {
		n = &named{addrs: addrs}
		u.named[id] = n
	}
	n.requests++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if n.requests--; n.requests == 0 {
			delete(u.named, id)
		}
	}
}

// admit returns the addresses at which a peer may be dialled now, of the ones that were
// named, and reports whether any was named. It counts one dial for each IP address.
func (u *unproved) admit(id peer.ID) (addrs []multiaddr.Multiaddr, known bool) {
	tasks.Locked(&u.mu, func(now time.Time) {
		n := u.named[id]
		if n == nil {
			return
		}
		known = true
		times := make(map[string]int) // how many addresses with an IP address are admitted
		for _, a := range n.addrs {
			ip := scope.Dialled(a)
			if ip != "" && (times[ip] >= unprovedAddrs || times[ip] == 0 && !u.take(now, ip)) {
				u.refused.Add(1)
				continue
			}
			times[ip]++
			addrs = append(addrs, a)
		}
	})
	return addrs, known
}

// take takes one dial of an IP address, if it has one left.
func (u *unproved) take(now time.Time, ip string) bool {
	a := u.left(now, ip)
	if a.dials < 1 {
		return false
	}
	if _, ok := u.at[ip]; !ok && len(u.at) >= maxUnprovedIPs {
		u.forget(now)
	}
	u.at[ip] = allowance{a.dials - 1, now}
	return true
}

// left returns how many dials of an IP address may begin now.
func (u *unproved) left(now time.Time, ip string) allowance {
	a, ok := u.at[ip]
	if !ok {
		return allowance{unprovedDials, now}
	}
	more := max(0, now.Sub(a.since)) // the clock may have been set back
	return allowance{min(unprovedDials, a.dials+float64(more)/float64(unprovedPause)), now}
}

// forget drops the IP addresses that have all of their dials again, and an arbitrary one if
// there is none.
func (u *unproved) forget(now time.Time) {
	for ip := range u.at {
		if u.left(now, ip).dials >= unprovedDials {
			delete(u.at, ip)
		}
	}
	for ip := range u.at {
		if len(u.at) < maxUnprovedIPs {
			return
		}
		delete(u.at, ip)
	}
}

// proved gives back the dial of the address at which a peer was found.
func (u *unproved) proved(addr multiaddr.Multiaddr) {
	tasks.Locked(&u.mu, func(now time.Time) {
		ip := scope.Dialled(addr)
		if a, ok := u.at[ip]; ok {
			a = u.left(now, ip)
			u.at[ip] = allowance{min(unprovedDials, a.dials+1), now}
		}
	})
}
