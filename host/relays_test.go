package host

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// Who was found not to relay is not checked again for a while, though proposed if it
// does by then. Of many, the oldest are forgotten; when we were offline, all.
func TestRefusedRelays(t *testing.T) {
	r := relays{wake: make(chan struct{}, 1)}
	now := time.Now()
	r.refuse(now, aPeer)
	if r.standingOf(now.Add(refusedAge-1), aPeer) != relayRefused || r.standingOf(now.Add(refusedAge), aPeer) != relayUnknown {
		t.Error("not refused, or for too long")
	}
	r.refuse(now, aPeer)
	if !r.propose(now, aPeer) || r.propose(now, aPeer) {
		t.Error("not proposed, or twice")
	}
	r.refuse(now, aPeer)
	if r.standingOf(now, aPeer) != relayOffered {
		t.Error("what was proposed is refused")
	}
	for i := range maxRefused + 10 {
		r.refuse(now.Add(time.Duration(i)), peer.ID(strconv.Itoa(i)))
	}
	if len(r.known) != maxRefused+1 || r.standingOf(now, "9") != relayUnknown || r.standingOf(now, "10") != relayRefused {
		t.Errorf("%d are known, want %d and the proposed one, the newest", len(r.known), maxRefused)
	}
	r.pardon()
	if len(r.known) != 1 {
		t.Errorf("%d are known, want the proposed one", len(r.known))
	}
}

// A relay that is connected again is held if AutoRelay has noticed the loss, and says
// so; otherwise the reservation is gone for good.
func TestRegainedRelay(t *testing.T) {
	addr := []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/1.2.3.4/tcp/1/p2p/" + relay + "/p2p-circuit")}
	id, err := peer.Decode(relay)
	if err != nil {
		t.Fatal(err)
	}
	for notices, want := range map[bool]int{true: 1, false: 0} {
		r := relays{wake: make(chan struct{}, 1)}
		now := time.Now()
		r.regain(id) // it is nothing to us
		r.hold(addr)
		r.lose(now, id, notices)
		r.hold(addr)
		if len(r.holds()) != 0 {
			t.Error("held while it is gone")
		}
		r.regain(id)
		if len(r.holds()) != want || len(r.overlooked(now.Add(time.Hour))) != 1-want {
			t.Errorf("AutoRelay notices %v: holds %v", notices, r.holds())
		}
		r.hold(nil)
		if len(r.known) != 0 {
			t.Errorf("known %v", r.known)
		}
	}
}

// The events of the host tell of loss and return.
func TestRelayEvents(t *testing.T) { synctest.Test(t, testRelayEvents) }

func testRelayEvents(t *testing.T) {
	d := newTestNet(t).node(Config{})
	id, err := peer.Decode(relay)
	if err != nil {
		t.Fatal(err)
	}
	emit(t, d, event.EvtAutoRelayAddrsUpdated{RelayAddrs: addrList(public + "/p2p/" + relay + "/p2p-circuit")})
	for _, reachability := range []network.Reachability{network.ReachabilityPrivate, network.ReachabilityPublic} {
		emit(t, d, event.EvtLocalReachabilityChanged{Reachability: reachability})
		emit(t, d, event.EvtPeerConnectednessChanged{Peer: id, Connectedness: network.NotConnected})
		if len(d.relays.holds()) != 0 {
			t.Error("held while it is gone")
		}
		emit(t, d, event.EvtPeerConnectednessChanged{Peer: id, Connectedness: network.Connected})
		if held := len(d.relays.holds()) == 1; held != (reachability == network.ReachabilityPrivate) {
			t.Errorf("%v: held %v after its return", reachability, held)
		}
	}
}

// Nobody on the host is told that a peer is gone who is connected.
func TestReminderIsTrue(t *testing.T) {
	withoutRace(t)
	synctest.Test(t, testReminderIsTrue)
}

func testReminderIsTrue(t *testing.T) {
	w := newSimWorld(t)
	servers := w.relays(3)
	h, d := w.host("192.168.1.2", Config{Bootstrap: []peer.AddrInfo{info(servers[0])}})
	until(t, "two relays", func() bool { return len(d.relays.holds()) == 2 })
	emit(t, d, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPublic})
	time.Sleep(time.Second)
	for _, r := range servers {
		_ = h.Network().ClosePeer(r.ID())
	}
	time.Sleep(2 * time.Second)
	for _, r := range servers {
		join(t, h, r)
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
	until(t, "relays again", func() bool { return len(d.relays.holds()) == 2 })
	for _, id := range announced(h) {
		i := slices.IndexFunc(servers, func(r lhost.Host) bool { return r.ID() == id })
		if err := w.dials(h.ID(), servers[i]); err != nil {
			t.Errorf("relay %d is announced, and has no reservation: %v", i, err)
		}
	}
}
