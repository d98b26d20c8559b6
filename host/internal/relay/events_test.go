package relay

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/observe"
)

// A relay whose connection ends is not held. One that comes back is held again if
// AutoRelay has noticed, which it does unless the host is publicly reachable.
func TestEvents(t *testing.T) { synctest.Test(t, testEvents) }

func testEvents(t *testing.T) {
	n := newNode(t, false)
	id := calltest.ID(1)
	n.holds(id)
	for _, reachability := range []network.Reachability{network.ReachabilityPrivate, network.ReachabilityPublic} {
		n.finds(reachability)
		n.net.Connect(id)
		n.Handle(time.Now(), event.EvtPeerConnectednessChanged{Peer: id, Connectedness: network.NotConnected})
		if !slices.Equal(n.Held(), []peer.ID{id}) {
			t.Error("not held, though there is another connection by now")
		}
		n.net.Disconnect(id)
		n.Handle(time.Now(), event.EvtPeerConnectednessChanged{Peer: id, Connectedness: network.NotConnected})
		if len(n.Held()) != 0 {
			t.Error("held while it is gone")
		}
		n.Handle(time.Now(), event.EvtPeerConnectednessChanged{Peer: id, Connectedness: network.Connected})
		if held := len(n.Held()) == 1; held != (reachability == network.ReachabilityPrivate) {
			t.Errorf("%v: held %v after its return", reachability, held)
		}
	}
}

// Each change of the relays that are held is told once.
func TestRelaysAreTold(t *testing.T) { synctest.Test(t, testRelaysAreTold) }

func testRelaysAreTold(t *testing.T) {
	n := newNode(t, false)
	n.cfg.Observer = observe.New(nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := n.cfg.Observer.Events(ctx, t.Context())
	id := calltest.ID(1)
	n.finds(network.ReachabilityPrivate)
	n.holds(id)
	n.holds(id)
	for _, now := range []network.Connectedness{network.NotConnected, network.NotConnected, network.Connected} {
		n.Handle(time.Now(), event.EvtPeerConnectednessChanged{Peer: id, Connectedness: now})
	}
	n.Handle(time.Now(), event.EvtAutoRelayAddrsUpdated{})
	var got []int
	for e := range told {
		if got = append(got, len(e.What.(events.RelaysChanged).Relays)); len(got) == 4 {
			cancel()
		}
	}
	if !slices.Equal(got, []int{1, 0, 1, 0}) {
		t.Errorf("relays: %v; want held, lost, held, and lost", got)
	}
}

// AutoRelay is reminded of a relay that it takes for held: by an event if the relay is
// gone, by the end of its connection if it is back. No event says that a connected peer
// is gone.
func TestReminder(t *testing.T) { synctest.Test(t, testReminder) }

func testReminder(t *testing.T) {
	n := newNode(t, false)
	gone, back, never := calltest.ID(1), calltest.ID(2), calltest.ID(3)
	n.finds(network.ReachabilityPublic)
	n.net.Connect(never)
	n.holds(gone, back, never)
	for _, id := range []peer.ID{gone, back} {
		n.Handle(time.Now(), event.EvtPeerConnectednessChanged{Peer: id, Connectedness: network.NotConnected})
	}
	n.net.Connect(back)
	n.Handle(time.Now(), event.EvtPeerConnectednessChanged{Peer: back, Connectedness: network.Connected})
	sub, err := n.host.bus.Subscribe(new(event.EvtPeerConnectednessChanged))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Close() }()
	n.remindAutoRelay(time.Now())
	synctest.Wait()
	if len(sub.Out()) > 0 || len(n.host.net.closed) > 0 {
		t.Error("reminded at once: AutoRelay may notice itself")
	}
	n.finds(network.ReachabilityPrivate)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	source := n.Source(ctx, 1)
	var told []peer.ID
	for range 60 {
		read(source, time.Second)
		for len(sub.Out()) > 0 {
			e := (<-sub.Out()).(event.EvtPeerConnectednessChanged) //nolint:forcetypeassert // it is what was subscribed to
			if n.host.net.Connectedness(e.Peer) == network.Connected {
				t.Fatalf("an event says that %v is gone, which is connected", e.Peer)
			}
			told = append(told, e.Peer)
		}
	}
	cancel()
	synctest.Wait()
	if !slices.Contains(told, gone) || !slices.Equal(n.host.net.closed, []peer.ID{back}) {
		t.Errorf("%d events, one about %v: %v; closed %v", len(told), gone, slices.Contains(told, gone), n.host.net.closed)
	}
}

// StartAutoRelay says that reachability is not known yet, also to listeners that come
// later, as AutoRelay may.
func TestStartAutoRelay(t *testing.T) { synctest.Test(t, testStartAutoRelay) }

func testStartAutoRelay(t *testing.T) {
	n := newNode(t, false)
	keep, err := n.host.bus.Subscribe(new(event.EvtLocalReachabilityChanged))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = keep.Close() }()
	if err := StartAutoRelay(n.host); err != nil {
		t.Fatal(err)
	}
	late, err := n.host.bus.Subscribe(new(event.EvtLocalReachabilityChanged))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = late.Close() }()
	synctest.Wait()
	for name, sub := range map[string]event.Subscription{"early": keep, "late": late} {
		select {
		case e := <-sub.Out():
			if e != (event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityUnknown}) {
				t.Errorf("%s: %v", name, e)
			}
		default:
			t.Errorf("%s: no event", name)
		}
	}
}
