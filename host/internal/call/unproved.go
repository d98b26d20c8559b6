package call

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
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

	// maxWords bounds the peers that say where one peer is, of the ones whose word counts at a time.
	maxWords = 32
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

// A named has the addresses of a peer for the requests that may dial it, and for its dial.
type named struct {
	words []word
	users int
	more  chan struct{} // closed when there is a further word
}

// A word is where one peer says that another one is.
type word struct {
	by     peer.ID // empty if it is not known
	wire   announce.Wire
	addrs  []multiaddr.Multiaddr
	proved bool // that the peer was there
	urgent bool // the peer is taken not to be where it is dialled now
	shared bool // it is dialled at some of the addresses already
}

// waits reports whether a word that finds no room waits until the dials that are under way have
// ended.
func (w word) waits() bool { return w.shared && !w.urgent }

// compare orders words by how soon they are dialled.
func (w word) compare(other word) int {
	rank := func(w word) int {
		switch {
		case w.urgent:
			return 0
		case !w.shared:
			return 1
		}
		return 2
	}
	return cmp.Compare(rank(w), rank(other))
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

// use returns what is named of a peer, until the function is called that it returns.
func (u *unproved) use(id peer.ID) (n *named, forget func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n = u.named[id]
	if n == nil {
		n = &named{more: make(chan struct{})}
		u.named[id] = n
	}
	n.users++
	return n, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if n.users--; n.users == 0 {
			delete(u.named, id)
		}
	}
}

// add adds a word, the first one of each namer, and the first one with these addresses. A dial that
// is under way takes it in.
func (u *unproved) add(n *named, w word) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(n.words) >= maxWords || slices.ContainsFunc(n.words, func(other word) bool {
		return other.proved == w.proved && other.urgent == w.urgent && (other.by == w.by && w.by != "" || bytes.Equal(other.wire, w.wire))
	}) {
		return
	}
	n.words = append(n.words, w)
	close(n.more)
	n.more = make(chan struct{})
}

// admit returns what may be dialled now of the words of n but the first ones, without the addresses
// that are dialled already, and what is closed when there is a further word. It counts one dial
// for each IP address or DNS name, one for its network or domain, and one for each namer. It admits
// no list of addresses in the DNS (/dnsaddr), since one name of it may lead to any number.
func (u *unproved) admit(n *named, but int, dialled []multiaddr.Multiaddr) (words []word, more <-chan struct{}) {
	isDialled := func(a multiaddr.Multiaddr) bool { return slices.ContainsFunc(dialled, a.Equal) }
	tasks.Locked(&u.mu, func(now time.Time) {
		more = n.more
		for _, w := range n.words[but:] {
			all := len(w.addrs)
			w.addrs = slices.DeleteFunc(slices.Clone(w.addrs), isDialled)
			w.shared = len(w.addrs) < all
			if !w.proved {
				w.addrs = u.admitted(now, w)
			}
			words, dialled = append(words, w), slices.Concat(dialled, w.addrs)
		}
	})
	return words, more
}

// admitted returns the addresses of a word that may be dialled now.
func (u *unproved) admitted(now time.Time, w word) (addrs []multiaddr.Multiaddr) {
	if len(w.addrs) == 0 || w.by != "" && !u.take(now, string(w.by), ofNamer) {
		return nil
	}
	times := make(map[string]int) // how many addresses of a place are admitted
	for _, a := range w.addrs {
		place, network := scope.Dialled(a)
		if scope.HasProtocol(a, multiaddr.P_DNSADDR) || times[place] >= unprovedAddrs && place != "" ||
			times[place] == 0 && !u.takeAt(now, place, network) {
			u.refused.Add(1)
			continue
		}
		times[place]++
		addrs = append(addrs, a)
	}
	return addrs
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

// proved gives back the dials of the addresses at which a peer was found, and gives its namers
// more. words has what was admitted, and at the addresses of its connections: these have the IP
// address in place of a name. If the host knew addresses before, it may have been found there.
func (u *unproved) proved(words []word, at []multiaddr.Multiaddr, known bool) {
	tasks.Locked(&u.mu, func(now time.Time) {
		found := make(map[string]bool)
		for _, a := range at {
			place, network := scope.Dialled(a)
			found[place] = true
			u.giveBack(now, place, inNetwork(network))
		}
		isThere := func(a multiaddr.Multiaddr) bool { place, _ := scope.Dialled(a); return found[place] }
		words = slices.DeleteFunc(words, func(w word) bool { return w.proved })
		for _, w := range words {
			there := slices.ContainsFunc(w.addrs, isThere)
			if there || len(words) == 1 || slices.ContainsFunc(w.addrs, scope.IsName) {
				u.giveBack(now, string(w.by))
			}
			if !there && !known {
				u.giveBackName(now, w.addrs)
			}
		}
	})
}

// giveBackName gives back the dial of the only DNS name among addresses: with others, the peer was
// found by one of them.
func (u *unproved) giveBackName(now time.Time, addrs []multiaddr.Multiaddr) {
	domains := make(map[string]string) // by name
	for _, a := range addrs {
		if scope.IsName(a) {
			place, network := scope.Dialled(a)
			domains[place] = network
		}
	}
	if len(domains) == 1 {
		for place, network := range domains {
			u.giveBack(now, place, inNetwork(network))
		}
	}
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
