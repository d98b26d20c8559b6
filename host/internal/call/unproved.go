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

	// networkDials is how many dials of the IP addresses of a network, or of the names of a domain,
	// may begin at once, and networkPause when one more may. A dial that finds its peer gives
	// networkFound, so that a network half of whose peers are gone is dialled on.
	networkDials = 64
	networkPause = 10 * time.Second
	networkFound = 2

	// namedDials is how many dials of peers may begin at once on the word of one peer, namedPause
	// is when one more may, and foundDials is how many more may for each peer that was found,
	// up to namedMost: where fewer than one in 5 peers that it names is there, what it names
	// waits. A dial that hangs holds one place of Config.MaxDials.
	namedDials = 24
	namedPause = 2 * time.Second
	foundDials = 5
	namedMost  = 128

	// maxUnproved bounds the IP addresses and namers that are remembered.
	maxUnproved = 4096
)

// errUnproved is the error of a dial of a peer that was named only at IP addresses where too
// many peers have not been found, or by a peer that has named too many of these. It says
// nothing of the peer.
var errUnproved = fmt.Errorf("%w: too many peers that were named at its IP address, or by the same peer, are not there", kaderr.ErrNotSent)

// An unproved has the addresses that others have named of the peers that are being asked,
// and bounds the dials of them. A stranger names as many peers as it likes at the address of
// a victim, which all nodes that believe it would dial. A dial that finds its peer does not
// count.
type unproved struct {
	mu    sync.Mutex // held for one call, never over IO
	named map[peer.ID]*named
	at    map[string]allowance // by place and by network, see scope.Dialled, or by namer

	refused atomic.Uint64 // addresses that were not admitted
}

// A named has the addresses of a peer for the requests that may dial it.
type named struct {
	addrs    []multiaddr.Multiaddr
	by       peer.ID // the namer; empty if it is not known
	requests int
}

// An allowance is how many dials may begin, at a time.
type allowance struct {
	dials float64
	since time.Time
	of    *rule
}

// A rule says how many dials an allowance begins with, when there is one more until it has so
// many again, and how many more a dial gives that finds its peer, up to most.
type rule struct {
	dials, most, found float64
	pause              time.Duration
}

var (
	ofIP      = &rule{unprovedDials, unprovedDials, 1, unprovedPause}         //nolint:gochecknoglobals // a constant
	ofNetwork = &rule{networkDials, networkDials, networkFound, networkPause} //nolint:gochecknoglobals // a constant
	ofNamer   = &rule{namedDials, namedMost, foundDials, namedPause}          //nolint:gochecknoglobals // a constant
)

func newUnproved() *unproved {
	return &unproved{named: make(map[peer.ID]*named), at: make(map[string]allowance)}
}

// name has the next dial of a peer know addresses, and the peer that has named it, until the
// function is called that it returns.
func (u *unproved) name(id, by peer.ID, addrs []multiaddr.Multiaddr) (forget func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := u.named[id]
	if n == nil {
		n = &named{addrs: addrs, by: by}
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
// named, by which peer, and reports whether any was named. It counts one dial for each IP
// address or DNS name, one for its network or domain, and one for the namer. It admits no list
// of addresses in the DNS (/dnsaddr), since one name of it may lead to any number.
func (u *unproved) admit(id peer.ID) (addrs []multiaddr.Multiaddr, by peer.ID, known bool) {
	tasks.Locked(&u.mu, func(now time.Time) {
		n := u.named[id]
		if n == nil {
			return
		}
		by, known = n.by, true
		if by != "" && !u.take(now, string(by), ofNamer) {
			return
		}
		times := make(map[string]int) // how many addresses of a place are admitted
		for _, a := range n.addrs {
			place, network := scope.Dialled(a)
			if scope.HasProtocol(a, multiaddr.P_DNSADDR) || times[place] >= unprovedAddrs && place != "" ||
				times[place] == 0 && !u.takeAt(now, place, network) {
				u.refused.Add(1)
				continue
			}
			times[place]++
			addrs = append(addrs, a)
		}
	})
	return addrs, by, known
}

// takeAt takes one dial of a place and of its network, if both have one left. There is no bound
// for a place without a name. A place is not remembered for a dial that its network refuses:
// a domain has any number of names.
func (u *unproved) takeAt(now time.Time, place, network string) bool {
	switch {
	case place == "":
		return true
	case network == "":
		return u.take(now, place, ofIP)
	}
	network = inNetwork(network)
	return u.has(now, place, ofIP) && u.take(now, network, ofNetwork) && u.take(now, place, ofIP)
}

// has reports whether a place, a network or a namer has a dial left.
func (u *unproved) has(now time.Time, name string, of *rule) bool {
	return u.allowed(now, name, of).dials >= 1
}

// allowed returns what is allowed now of a place, a network or a namer.
func (u *unproved) allowed(now time.Time, name string, of *rule) allowance {
	a, ok := u.at[name]
	if !ok {
		a = allowance{of.dials, now, of}
	}
	return a.left(now)
}

// take takes one dial of a place, a network or a namer, if it has one left.
func (u *unproved) take(now time.Time, name string, of *rule) bool {
	a := u.allowed(now, name, of)
	if a.dials < 1 {
		return false
	}
	if _, ok := u.at[name]; !ok && len(u.at) >= maxUnproved {
		u.forget(now)
	}
	u.at[name] = allowance{a.dials - 1, now, of}
	return true
}

// left returns how many dials may begin now.
func (a allowance) left(now time.Time) allowance {
	more := max(0, now.Sub(a.since)) // the clock may have been set back
	if a.dials < a.of.dials {
		a.dials = min(a.of.dials, a.dials+float64(more)/float64(a.of.pause))
	}
	a.since = now
	return a
}

// forget drops what has all of its dials again, and an arbitrary one if there is none.
func (u *unproved) forget(now time.Time) {
	for name, a := range u.at {
		if a.left(now).dials >= a.of.dials {
			delete(u.at, name)
		}
	}
	for name := range u.at {
		if len(u.at) < maxUnproved {
			return
		}
		delete(u.at, name)
	}
}

// proved gives back the dials of the address at which a peer was found, and gives its namer
// more. dialled has the addresses that were admitted, and at those of its connections: these
// have the IP address in place of a name.
func (u *unproved) proved(by peer.ID, dialled, at []multiaddr.Multiaddr) {
	tasks.Locked(&u.mu, func(now time.Time) {
		u.giveBack(now, string(by))
		found := make(map[string]bool)
		for _, a := range at {
			place, network := scope.Dialled(a)
			found[place] = true
			u.giveBack(now, place, inNetwork(network))
		}
		byName := make(map[string]string) // the domains of the names
		for _, a := range dialled {
			switch place, network := scope.Dialled(a); {
			case found[place]:
				return
			case scope.IsName(a):
				byName[place] = network
			}
		}
		if len(byName) > 1 {
			return // it was found by one of them
		}
		for place, network := range byName {
			u.giveBack(now, place, inNetwork(network))
		}
	})
}

// giveBack gives back one dial of each.
func (u *unproved) giveBack(now time.Time, names ...string) {
	for _, name := range names {
		if a, ok := u.at[name]; ok {
			a = a.left(now)
			u.at[name] = allowance{min(a.of.most, a.dials+a.of.found), now, a.of}
		}
	}
}

// inNetwork is the name of a network, or a domain, among the allowances: a domain may be
// a name, too.
func inNetwork(network string) string { return "in " + network }
