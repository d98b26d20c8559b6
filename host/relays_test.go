package host

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/roomtest"
)

// The events of the host tell of loss and return.
func TestRelayEvents(t *testing.T) { synctest.Test(t, testRelayEvents) }

func testRelayEvents(t *testing.T) {
	d := newTestNet(t).node(Config{})
	id, err := peer.Decode(aRelay)
	if err != nil {
		t.Fatal(err)
	}
	emit(t, d, event.EvtAutoRelayAddrsUpdated{RelayAddrs: roomtest.Addrs(aPublic + "/p2p/" + aRelay + "/p2p-circuit")})
	for _, reachability := range []network.Reachability{network.ReachabilityPrivate, network.ReachabilityPublic} {
		emit(t, d, event.EvtLocalReachabilityChanged{Reachability: reachability})
		emit(t, d, event.EvtPeerConnectednessChanged{Peer: id, Connectedness: network.NotConnected})
		if len(d.relay.Held()) != 0 {
			t.Error("held while it is gone")
		}
		emit(t, d, event.EvtPeerConnectednessChanged{Peer: id, Connectedness: network.Connected})
		if held := len(d.relay.Held()) == 1; held != (reachability == network.ReachabilityPrivate) {
			t.Errorf("%v: held %v after its return", reachability, held)
		}
	}
}

// A reminder that a peer is gone does not reach the host while the peer is connected.
func TestReminderIsTrue(t *testing.T) {
	withoutRace(t)
	synctest.Test(t, testReminderIsTrue)
}

func testReminderIsTrue(t *testing.T) {
	w := newSimWorld(t)
	servers := w.relays(3)
	h, d := w.host("192.168.1.2", Config{Bootstrap: []peer.AddrInfo{info(servers[0])}})
	until(t, "two relays", func() bool { return len(d.relay.Held()) == 2 })
	emit(t, d, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPublic})
	time.Sleep(time.Second)
	for _, r := range servers {
		_ = h.Network().ClosePeer(r.ID())
	}
	time.Sleep(2 * time.Second)
	for _, r := range servers {
		dialHost(t, h, r)
	}
	time.Sleep(time.Minute)
	sub, err := h.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged))
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	emit(t, d, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPrivate})
	deadline := time.After(minSettle + 5*time.Second)
	for over := false; !over; {
		select {
		case e := <-sub.Out():
			c, ok := e.(event.EvtPeerConnectednessChanged)
			if now := h.Network().Connectedness(c.Peer); !ok || c.Connectedness == network.NotConnected && now == network.Connected {
				t.Fatalf("the host is told that %s is gone, which is %v", c.Peer, now)
			}
		case <-deadline:
			over = true
		}
	}
	until(t, "relays again", func() bool { return len(d.relay.Held()) == 2 })
	for _, id := range announced(h) {
		i := slices.IndexFunc(servers, func(r lhost.Host) bool { return r.ID() == id })
		if err := w.dials(h.ID(), servers[i]); err != nil {
			t.Errorf("relay %d is announced, and has no reservation: %v", i, err)
		}
	}
}
