package connect

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
)

// A relay that has died while the connection to it seems to be open delays the others by
// nothing, and is the reason of the failure if there is no other.
func TestPastSilentRelay(t *testing.T) { synctest.Test(t, testPastSilentRelay) }

func testPastSilentRelay(t *testing.T) {
	n := newNode(t)
	n.host.net.open(goneRelay, "/ip4/40.1.0.2/tcp/4001")
	n.host.net.dial = func(ctx context.Context, addrs []multiaddr.Multiaddr, direct bool) (string, error) {
		return throughRelay(0)(ctx, n, addrs, direct)
	}
	n.found = []string{goneRelayedAddr, relayedAddr}
	spent := roomtest.Took(func() {
		if got, err := n.To(t.Context(), target, 0); err != nil || got.Via != Relayed {
			t.Errorf("via %v, %v", got.Via, err)
		}
	})
	if spent > 500*time.Millisecond {
		t.Errorf("took %v", spent)
	}
	n.host.net.leave()
	n.host.Peerstore().ClearAddrs(target)
	n.found = []string{goneRelayedAddr}
	got, err := n.To(t.Context(), target, 0)
	if err == nil || len(got.Steps) < 3 || !strings.Contains(fmt.Sprint(got.Steps[2].Err), errSilentRelay.Error()) {
		t.Errorf("%v after %v, want that the relay does not answer", err, got.Steps)
	}
}

// Of more relays than are tried, the connected ones are tried.
func TestConnectedRelaysFirst(t *testing.T) { synctest.Test(t, testConnectedRelaysFirst) }

func testConnectedRelaysFirst(t *testing.T) {
	n := newNode(t)
	n.host.net.open(goneRelay, "/ip4/40.1.0.2/tcp/4001")
	var addrs []multiaddr.Multiaddr
	for i := range 2 * maxRelaysTried {
		addrs = append(addrs, multiaddr.StringCast(fmt.Sprintf("/ip4/40.1.0.1/tcp/1/p2p/%s/p2p-circuit", calltest.ID(10+i))))
	}
	addrs = append(addrs, multiaddr.StringCast(goneRelayedAddr))
	if got := byRelay(target, n.connectedFirst(addrs)); len(got) != maxRelaysTried || got[goneRelay] == nil {
		t.Errorf("tried are %v, without the connected one", got)
	}
}

// A peer names its relays itself: no more than so many are tried, with all addresses of
// each, and the peer is no relay of itself.
func TestByRelay(t *testing.T) {
	via := func(relay, port int) multiaddr.Multiaddr {
		return multiaddr.StringCast(fmt.Sprintf("/ip4/40.1.0.1/tcp/%d/p2p/%s/p2p-circuit", port, calltest.ID(relay)))
	}
	addrs := append(roomtest.Addrs(publicAddr), via(1, 1)) // target itself
	for i := range 2 * maxRelaysTried {
		addrs = append(addrs, via(10+i, 1))
	}
	for i := range 2 * maxRelaysTried {
		addrs = append(addrs, via(10+i, 2))
	}
	got := byRelay(target, addrs)
	if len(got) != maxRelaysTried {
		t.Errorf("%d relays, want %d", len(got), maxRelaysTried)
	}
	for i := range maxRelaysTried {
		if len(got[calltest.ID(10+i)]) != 2 {
			t.Errorf("relay %d: %v, want two addresses", i, got[calltest.ID(10+i)])
		}
	}
}
