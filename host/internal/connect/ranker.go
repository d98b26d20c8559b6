package connect

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: the swarm dials QUIC before TCP, so nearly all connections are over QUIC.
// A host behind a NAT learns from the peers that it is connected to what its own address
// is, on each transport separately. Without a TCP address to name, a peer whose network
// lets no UDP through cannot reach it, though a hole could be punched.
//
// It can go when the host asks for its address on a transport that it has not learned.

import (
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/scope"
)

// tcpEvery is how many dials of peers that can be reached over QUIC and TCP there are to
// one that tries TCP first.
const tcpEvery = 4

// A Ranker says in which order the addresses of a peer are dialled: as libp2p has it, which
// prefers QUIC, except that one dial in four, the second one first, prefers TCP. Addresses of TCP
// to which a hole is punched are left out.
type Ranker struct {
	Of func() *Connector // the one of this host; may be nil, or return nil

	dials atomic.Uint64
}

// Rank is a [network.DialRanker].
func (r *Ranker) Rank(addrs []multiaddr.Multiaddr) []network.AddrDelay {
	if c := known(r.Of); c != nil {
		addrs = c.untilPunched(addrs)
	}
	var tcp, quic, others []multiaddr.Multiaddr
	for _, a := range addrs {
		switch {
		case scope.Of(a) != scope.Public || scope.HasProtocol(a, multiaddr.P_CIRCUIT):
			others = append(others, a)
		case scope.HasProtocol(a, multiaddr.P_TCP):
			tcp = append(tcp, a)
		case scope.HasProtocol(a, multiaddr.P_QUIC_V1):
			quic = append(quic, a)
		default:
			others = append(others, a)
		}
	}
	if len(tcp) == 0 || len(quic) == 0 || r.dials.Add(1)%tcpEvery != 2 {
		return swarm.DefaultDialRanker(addrs)
	}
	ranked := swarm.DefaultDialRanker(tcp)
	last := ranked[len(ranked)-1].Delay + swarm.PublicTCPDelay
	for _, later := range swarm.DefaultDialRanker(quic) {
		later.Delay += last
		ranked = append(ranked, later)
	}
	for _, other := range swarm.DefaultDialRanker(others) {
		if scope.HasProtocol(other.Addr, multiaddr.P_CIRCUIT) {
			other.Delay += swarm.RelayDelay // as libp2p has it where there are direct ones
		}
		ranked = append(ranked, other)
	}
	return ranked
}
