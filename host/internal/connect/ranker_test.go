package connect

import (
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/roomtest"
)

// firstOf returns the addresses that are dialled at once.
func firstOf(ranked []network.AddrDelay) []string {
	var first []string
	for _, r := range ranked {
		if r.Delay == 0 {
			first = append(first, r.Addr.String())
		}
	}
	slices.Sort(first)
	return first
}

// One dial of a public peer in four tries TCP first, and the second one does; the
// others are ranked as libp2p ranks them. All addresses are dialled in the end.
func TestRanker(t *testing.T) {
	const (
		tcp     = "/ip4/1.2.3.4/tcp/4001"
		quic    = "/ip4/1.2.3.4/udp/4001/quic-v1"
		home    = "/ip4/192.168.1.2/tcp/4001"
		circuit = "/ip4/5.6.7.8/tcp/4001/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N/p2p-circuit"
	)
	var r Ranker
	for dial := range 12 {
		all := r.Rank(roomtest.Addrs(circuit, quic, home, tcp))
		want := []string{quic, home}
		if dial%tcpEvery == 1 {
			want = []string{tcp, home}
		}
		slices.Sort(want)
		if got := firstOf(all); !slices.Equal(got, want) {
			t.Errorf("dial %d begins with %v, want %v", dial, got, want)
		}
		if len(all) != 4 {
			t.Errorf("dial %d: %v, want all four addresses", dial, all)
		}
		for _, later := range all {
			s := later.Addr.String()
			if (s == quic || s == tcp) && later.Delay > 2*swarm.PublicTCPDelay || s == circuit && later.Delay < swarm.RelayDelay {
				t.Errorf("dial %d: %s after %v", dial, s, later.Delay)
			}
		}
		for _, one := range [][]multiaddr.Multiaddr{roomtest.Addrs(quic), roomtest.Addrs(tcp), roomtest.Addrs(home, circuit), roomtest.Addrs(circuit, quic), nil} {
			ranked := r.Rank(one) // there is no choice, and it does not count
			libp2p := swarm.DefaultDialRanker(slices.Clone(one))
			if len(ranked) != len(libp2p) || totalDelay(ranked) != totalDelay(libp2p) {
				t.Errorf("%v is ranked %v, want %v", one, ranked, libp2p)
			}
		}
	}
}

func totalDelay(ranked []network.AddrDelay) (total time.Duration) {
	for _, r := range ranked {
		total += r.Delay
	}
	return total
}
