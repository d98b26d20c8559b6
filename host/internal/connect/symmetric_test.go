package connect

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/roomtest"
)

// Behind a symmetric NAT alone, a host dials a peer as a client when the host's own service has
// failed, at the addresses that it knows, and when it punches again. It offers one address.
func TestSymmetric(t *testing.T) {
	for name, tt := range map[string]struct {
		seen   string // by another peer than the one that has seen homeSeen
		client bool
	}{
		"one port for each peer": {"/ip4/60.1.0.1/udp/9/quic-v1", true},
		"one port for all":       {homeSeen, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testSymmetric(t, tt.seen, tt.client) })
		})
	}
}

func testSymmetric(t *testing.T, seen string, client bool) {
	type dial struct{ simultaneous, client bool }
	var dials []dial
	n, p := punchingAfter(t, func(n *node) { n.seenAt(0, seen) }, otherSeen)
	synctest.Wait()
	n.host.net.dial = func(ctx context.Context, addrs []multiaddr.Multiaddr, direct bool) (string, error) {
		simultaneous, client, _ := network.GetSimultaneousConnect(ctx)
		if !direct || len(addrs) != 1 || addrs[0].String() != otherSeen {
			t.Errorf("dialled %v, directly: %v", addrs, direct)
		}
		p.mu.Lock()
		dials = append(dials, dial{simultaneous, client})
		p.mu.Unlock()
		<-ctx.Done()
		return "", ctx.Err()
	}
	n.host.Peerstore().AddAddrs(target, roomtest.Addrs(otherSeen), peerstore.ConnectedAddrTTL)
	n.FailedDirectly(target)
	time.Sleep(hostPunches + time.Second)
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	want := []dial{{true, client}} // the second is the punch
	if client {
		want = []dial{{}, {true, true}}
	}
	if !slices.Equal(dials, want) {
		t.Errorf("dials: %+v, want %+v", dials, want)
	}
	if len(p.offered) != 1 || p.offered[0] != seen {
		t.Errorf("offered %v, want %v", p.offered, seen)
	}
}
