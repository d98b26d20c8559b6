package host

import (
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/multiformats/go-multiaddr"
)

// maxPunchedAddrs bounds the addresses of each transport that a hole is punched to: a
// host has one, and the one from before its NAT got another.
//
// Behind a symmetric NAT, a host has as many as it has connections, and offers up to
// three of each. Where all of them are dialled, three times, the resource manager of
// libp2p, which counts what goes to an address and comes from it together, and allows
// a burst of 16, refuses what comes in at the third attempt: the one of three that
// works if the other NAT does not filter by port.
const maxPunchedAddrs = 2

// A punchFilter is a [holepunch.AddrFilter].
type punchFilter struct{}

var _ holepunch.AddrFilter = punchFilter{}

// FilterLocal returns those of our addresses that are offered.
func (punchFilter) FilterLocal(_ peer.ID, addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return fewOfEach(addrs)
}

// FilterRemote returns those of the addresses of others that are dialled.
func (punchFilter) FilterRemote(_ peer.ID, addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return fewOfEach(addrs)
}

// fewOfEach returns the first maxPunchedAddrs addresses of TCP, and of anything else.
func fewOfEach(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	var few []multiaddr.Multiaddr
	n := make(map[bool]int)
	for _, a := range addrs {
		if tcp := has(a, multiaddr.P_TCP); n[tcp] < maxPunchedAddrs {
			n[tcp]++
			few = append(few, a)
		}
	}
	return few
}
