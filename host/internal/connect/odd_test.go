package connect

import (
	"bytes"
	"net"
	"slices"
	"testing"

	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
)

// Addresses of all protocols in any order, and none, of this host or of another peer, are
// ordered for dials and punches, or left out.
func TestOddAddrs(t *testing.T) {
	_, id := roomtest.NewPeer(t)
	c := New(Config{Interfaces: func() ([]net.Addr, error) { return nil, nil }})
	var ranker Ranker
	for some := range slices.Chunk(roomtest.OddAddrs(t), 50) {
		for range tcpEvery {
			if ranked := ranker.Rank(some); len(ranked) != len(some) {
				t.Errorf("%d of %d addresses are dialled", len(ranked), len(some))
			}
		}
		filter := PunchFilter{}
		for _, few := range [][]multiaddr.Multiaddr{filter.FilterLocal(id, some), filter.FilterRemote(id, some), firstOfEach(public(some), maxPunchedAddrs)} {
			if len(few) > 2*maxPunchedAddrs {
				t.Errorf("a hole is punched to %v", few)
			}
		}
		punched(some, public(some))
		byRelay(id, some)
		for _, a := range some {
			if plain := isPlain(a); plain && !ipOf(a).IsValid() || plain && scope.HasProtocol(a, multiaddr.P_CIRCUIT) || c.isNear(a) {
				t.Errorf("%v counts as one of a machine near here", a)
			}
			if whole, err := multiaddr.NewMultiaddrBytes(a.Bytes()); err == nil && whole.Equal(a) && len(a.Bytes()) <= maxLANAddr {
				got, err := readAddrs(bytes.NewReader(message([]multiaddr.Multiaddr{a})))
				if err != nil || len(got) != 1 || !got[0].Equal(a) {
					t.Errorf("%v was sent as %v, %v", a, got, err)
				}
			}
		}
	}
}
