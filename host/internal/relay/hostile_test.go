package relay

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/protocol"
)

// However many relays are invented, by all holders of the key, a server that relays and that the
// search meets near the key is proposed: it needs no announcement.
func TestHostileAnnouncedRelays(t *testing.T) { synctest.Test(t, testHostileAnnouncedRelays) }

func testHostileAnnouncedRelays(t *testing.T) {
	n := newNode(t, false)
	var invented []protocol.Peer
	for i := range 1000 {
		addr := multiaddr.StringCast(fmt.Sprintf("/ip4/60.%d.%d.1/tcp/4001", i%200, i/200))
		invented = append(invented, protocol.Peer{ID: calltest.ID(1000 + i), Addrs: []multiaddr.Multiaddr{addr}})
	}
	near := calltest.ID(50)
	n.enter(t, calltest.ID(1), func(_ context.Context, req protocol.Request) (resp protocol.Response, _ error) {
		resp.Closer = []protocol.Peer{{ID: near, Addrs: []multiaddr.Multiaddr{calltest.Addr(near)}}}
		if _, ok := req.(protocol.GetProviders); ok {
			resp.Providers = invented
		}
		return resp, nil
	})
	n.net.Add(near, calltest.Names())
	n.host.Peerstore().AddAddr(near, calltest.Addr(near), peerstore.PermanentAddrTTL)
	n.speak(t, near, "/test", circuit.ProtoIDv2Hop)
	if len(n.connected()) > 0 {
		t.Fatal("the relay near the key is connected before the search")
	}
	start := time.Now()
	if got, _ := read(n.Source(t.Context(), 9), 3*findRelaysTimeout); !slices.Equal(got, []peer.ID{near}) {
		t.Errorf("yields %v, want the relay near the key", got)
	}
	if spent := time.Since(start); spent > 2*findRelaysTimeout {
		t.Errorf("it took %v", spent)
	}
}
