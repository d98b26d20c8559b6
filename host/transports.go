package host

import (
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
)

// tcpEvery is how many dials of peers that can be reached over QUIC and TCP there are
// to one that tries TCP first.
const tcpEvery = 4

// A ranker says in which order the addresses of a peer are dialled. It does as
// libp2p does, which prefers QUIC, but that one dial in tcpEvery, the second one
// first, prefers TCP. A host behind a NAT learns from those it is connected to what
// its own address is, and separately for both. Without a TCP address to name, it
// cannot be reached by a peer whose network lets no UDP through, though a hole could
// be punched.
type ranker struct{ dials atomic.Uint64 }

// rank is a [network.DialRanker].
func (r *ranker) rank(addrs []multiaddr.Multiaddr) []network.AddrDelay {
	var tcp, quic, others []multiaddr.Multiaddr
	for _, a := range addrs {
		switch {
		case scopeOf(a) != scopePublic || has(a, multiaddr.P_CIRCUIT):
			others = append(others, a)
		case has(a, multiaddr.P_TCP):
			tcp = append(tcp, a)
		case has(a, multiaddr.P_QUIC_V1):
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
		if has(other.Addr, multiaddr.P_CIRCUIT) {
			other.Delay += swarm.RelayDelay // as libp2p has it where there are direct ones
		}
		ranked = append(ranked, other)
	}
	return ranked
}
