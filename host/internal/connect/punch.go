package connect

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: behind a symmetric NAT, a host has as many public addresses as it has
// connections, and offers up to three of each transport for hole punching. Where all of
// them are dialled, three times, the resource manager refuses what comes in at the third
// attempt: it counts what goes to an address and comes from it together, and allows a burst
// of 16. The third attempt is the one that works if the other NAT does not filter by port.
//
// It can go when the host offers the addresses of a symmetric NAT no more, or the resource
// manager counts incoming connections alone.

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/scope"
)

// maxPunchedAddrs bounds the addresses of each transport that a hole is punched to: a host
// has one, and the one from before its NAT got another.
const maxPunchedAddrs = 2

// maxSymmetricAddrs bounds the addresses of each transport that a host behind a symmetric NAT
// offers. None of them leads to it: what is sent to one opens the NAT of the other peer, if that
// filters by address.
const maxSymmetricAddrs = 1

// A PunchFilter bounds the addresses that a hole is punched to: two of TCP, and two of all
// other transports. Of this host, the ones at which it was seen last come first: the host offers
// those that most peers have seen, which are the old ones after a change.
type PunchFilter struct {
	Of func() *Connector // the one of this host; may be nil, or return nil
}

var _ holepunch.AddrFilter = PunchFilter{}

// FilterLocal returns the addresses of this host that are offered.
func (f PunchFilter) FilterLocal(_ peer.ID, addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	if c := known(f.Of); c != nil {
		return c.offered(fewOfEach(addrs))
	}
	return fewOfEach(addrs)
}

// known returns the Connector that a function returns; nil if there is no function.
func known(of func() *Connector) *Connector {
	if of == nil {
		return nil
	}
	return of()
}

// offered returns the addresses that are offered to be punched to: first those at which peers
// have seen this host, then others that it has.
func (c *Connector) offered(others []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	most := maxPunchedAddrs
	if c.cfg.Reach.Symmetric() {
		most = maxSymmetricAddrs
	}
	return firstOfEach(c.seenAs(others), most)
}

// seenAs returns the addresses at which peers have seen this host, the last one first, and then
// others that it has.
func (c *Connector) seenAs(others []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	addrs := c.cfg.Reach.SeenAs()
	for _, a := range others {
		if !slices.ContainsFunc(addrs, a.Equal) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// FilterRemote returns the addresses of the other peer that are dialled.
func (PunchFilter) FilterRemote(_ peer.ID, addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return fewOfEach(addrs)
}

// fewOfEach returns the maxPunchedAddrs best addresses of TCP, and of anything else.
func fewOfEach(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	few := firstOfEach(scope.Rank(addrs, nil), maxPunchedAddrs)
	return slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool { return !slices.ContainsFunc(few, a.Equal) })
}

// firstOfEach returns the first addresses of TCP, and of anything else, of each up to most.
func firstOfEach(addrs []multiaddr.Multiaddr, most int) (few []multiaddr.Multiaddr) {
	n := make(map[bool]int)
	for _, a := range addrs {
		if tcp := scope.HasProtocol(a, multiaddr.P_TCP); n[tcp] < most {
			n[tcp]++
			few = append(few, a)
		}
	}
	return few
}
