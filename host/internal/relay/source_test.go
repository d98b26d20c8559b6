package relay

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/protocol"
)

// read returns what a source yields until it is closed, or a while has passed.
func read(source <-chan peer.AddrInfo, wait time.Duration) (ids []peer.ID, open bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case info, ok := <-source:
			if !ok {
				return ids, false
			}
			ids = append(ids, info.ID)
		case <-timer.C:
			return ids, true
		}
	}
}

// The source yields what is missing to two reservations, as soon as a relay is connected,
// and waits while none is missing or needed.
func TestSource(t *testing.T) { synctest.Test(t, testSource) }

func testSource(t *testing.T) {
	n := newNode(t, false)
	one, two, three := calltest.ID(1), calltest.ID(2), calltest.ID(1<<8)
	if n.cfg.Reach.SeeksRelay() {
		t.Error("a relay is sought before the source is read")
	}
	source := n.Source(t.Context(), 9)
	if got, open := read(source, 3*time.Second); len(got) > 0 || !open || !n.cfg.Reach.SeeksRelay() {
		t.Errorf("yields %v (open: %v) without a relay", got, open)
	}
	n.enterRelay(t, one)
	n.Seen(one)
	if got, open := read(source, time.Second); !slices.Equal(got, []peer.ID{one}) || open {
		t.Errorf("yields %v (open: %v), want the relay that is connected", got, open)
	}
	n.holds(one)
	n.enterRelay(t, two)
	n.enterRelay(t, three)
	if got, _ := read(n.Source(t.Context(), 9), time.Second); len(got) != 1 || got[0] == one {
		t.Errorf("yields %v, want the one that is missing", got)
	}
	n.holds(one, two)
	source = n.Source(t.Context(), 9)
	if got, open := read(source, time.Hour); len(got) > 0 || !open {
		t.Errorf("yields %v (open: %v) while none is missing", got, open)
	}
	n.net.Disconnect(one)
	n.Handle(time.Now(), event.EvtPeerConnectednessChanged{Peer: one, Connectedness: network.NotConnected})
	if got, open := read(source, time.Second); !slices.Equal(got, []peer.ID{three}) || open {
		t.Errorf("yields %v (open: %v) for a relay that was lost", got, open)
	}
	if got, _ := read(n.Source(t.Context(), 0), time.Second); len(got) > 0 {
		t.Errorf("yields %v, though none was asked for", got)
	}

	n.finds(network.ReachabilityPublic)
	n.holds()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if got, open := read(n.Source(ctx, 9), 2*time.Hour); len(got) > 0 || open {
		t.Errorf("yields %v (open: %v) while none is needed, until the context ends", got, open)
	}
	n.group.Cancel()
	if got, open := read(n.Source(t.Context(), 9), time.Second); len(got) > 0 || open {
		t.Errorf("yields %v (open: %v) when the node is closed", got, open)
	}
}

// Many peers that announce to relay, and do not, do not hide one that does: neither peers
// that answer, nor peers that cannot be dialled.
func TestLiarsHideNoRelay(t *testing.T) { synctest.Test(t, testLiarsHideNoRelay) }

func testLiarsHideNoRelay(t *testing.T) {
	n := newNode(t, false)
	var announced []protocol.Peer
	announce := func(id peer.ID, addr string) {
		announced = append(announced, protocol.Peer{ID: id, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(addr)}})
	}
	for i := range maxRelayChecks + 2 {
		announce(calltest.ID(100+i), fmt.Sprintf("/ip4/60.%d.0.1/tcp/4001", i))
		if i%2 == 0 {
			n.host.relays[calltest.ID(100+i)] = false
		}
	}
	honest := calltest.ID(50)
	announce(honest, "/ip4/50.2.0.2/tcp/4001")
	n.host.relays[honest] = true
	n.enter(t, calltest.ID(1), func(_ context.Context, req protocol.Request) (resp protocol.Response, _ error) {
		if _, ok := req.(protocol.GetProviders); ok {
			resp.Providers = announced
		}
		return resp, nil
	})
	start := time.Now()
	source := n.Source(t.Context(), 9)
	if got, _ := read(source, 3*findRelaysTimeout); !slices.Equal(got, []peer.ID{honest}) {
		t.Errorf("yields %v, want the relay", got)
	}
	if spent := time.Since(start); spent > 3*relayCheckTimeout {
		t.Errorf("it took %v", spent)
	}
	liars := 0
	for i := range maxRelayChecks + 2 {
		if n.standingOf(time.Now(), calltest.ID(100+i)) == refused {
			liars++
		}
	}
	if liars < maxRelayChecks {
		t.Errorf("%d are refused, want nearly all of the %d that do not relay", liars, maxRelayChecks+2)
	}
}

// The network of a relay is the one in which it was reached, not one that it names.
func TestCandidateGroup(t *testing.T) { synctest.Test(t, testCandidateGroup) }

func testCandidateGroup(t *testing.T) {
	n := newNode(t, false)
	id := calltest.ID(1)
	n.enterRelay(t, id)
	n.host.Peerstore().ClearAddrs(id)
	if c, ok := n.candidateOf(id); ok {
		t.Errorf("%+v, though other peers cannot dial it", c)
	}
	for i := range 9 {
		addr := multiaddr.StringCast(fmt.Sprintf("/ip4/9.%d.9.9/tcp/1", i))
		n.host.Peerstore().AddAddrs(id, []multiaddr.Multiaddr{addr}, peerstore.PermanentAddrTTL)
	}
	if c, ok := n.candidateOf(id); !ok || c.group != "8.8.0.0" || len(c.Addrs) != 9 {
		t.Errorf("%+v (%v) of a relay that was reached at 8.8.0.1", c, ok)
	}
	n.net.Disconnect(id)
	if c, ok := n.candidateOf(id); ok {
		t.Errorf("%+v, though it is not connected", c)
	}
	for _, addr := range []multiaddr.Multiaddr{relayedAt(calltest.ID(2)), multiaddr.StringCast("/ip4/192.168.1.2/tcp/1")} {
		other := n.host.net.open(id, 0)
		other.addr = addr
		if c, ok := n.candidateOf(id); ok {
			t.Errorf("%+v, though it is connected over %v alone", c, addr)
		}
		_ = other.Close()
	}
}

// A check that is given up, because enough relays are found, says nothing of its peer. With two
// relays, a better one has a second.
func TestGivenUpCheck(t *testing.T) {
	for _, tt := range []struct {
		relays int
		took   time.Duration
	}{{Reservations, betterRelayAfter}, {enoughRelays, 0}} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, false)
			infos := []peer.AddrInfo{{ID: calltest.ID(99), Addrs: []multiaddr.Multiaddr{calltest.Addr(calltest.ID(99))}}} // its dial hangs
			for i := range tt.relays {
				id := calltest.ID(i + 1)
				n.host.relays[id] = true
				infos = append(infos, peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{calltest.Addr(id)}})
			}
			start := time.Now()
			if found := n.checkAll(t.Context(), start, infos); len(found) != tt.relays {
				t.Errorf("found %d relays of %d", len(found), tt.relays)
			}
			if took := time.Since(start).Round(100 * time.Millisecond); took != tt.took {
				t.Errorf("it took %v with %d relays, want %v", took, tt.relays, tt.took)
			}
			if got := n.standingOf(time.Now(), calltest.ID(99)); got != unknown {
				t.Errorf("the peer whose check was given up is %v", got)
			}
		})
	}
}
