package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	libevent "github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/examples/internal/app"
	kad "github.com/go-kad/kad/host"
)

// openRelay starts a relay with limits, without which its connections are not limited.
func openRelay(t *testing.T) lhost.Host {
	t.Helper()
	h, err := app.Host([]string{"/ip4/127.0.0.1/tcp/0"}, libp2p.ForceReachabilityPublic(),
		libp2p.EnableRelayService(relayv2.WithLimit(&relayv2.RelayLimit{Duration: time.Hour, Data: 16 << 20})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// meetThrough connects a guest to another one through a relay.
func (g *guest) meetThrough(t *testing.T, relay lhost.Host, other *guest) {
	t.Helper()
	r := peer.AddrInfo{ID: relay.ID(), Addrs: relay.Addrs()}
	if _, err := client.Reserve(t.Context(), other.host, r); err != nil {
		t.Fatal(err)
	}
	g.host.Peerstore().ClearAddrs(other.host.ID()) // else, it would be dialled directly
	circuit := multiaddr.StringCast(fmt.Sprintf("%s/p2p/%s/p2p-circuit", relay.Addrs()[0], relay.ID()))
	if err := g.host.Connect(t.Context(), peer.AddrInfo{ID: other.host.ID(), Addrs: []multiaddr.Multiaddr{circuit}}); err != nil {
		t.Fatal(err)
	}
	if c := g.host.Network().Connectedness(other.host.ID()); c != network.Limited {
		t.Fatalf("through the relay, %s is %v, want Limited", other.nick, c)
	}
}

// punch makes a direct connection beside the relayed one, as hole punching does.
func (g *guest) punch(t *testing.T, other *guest) {
	t.Helper()
	g.host.Peerstore().AddAddrs(other.host.ID(), other.host.Addrs(), time.Hour)
	if _, err := g.host.Network().DialPeer(network.WithForceDirectDial(t.Context(), "test"), other.host.ID()); err != nil {
		t.Fatal(err)
	}
}

// heard returns the next line. No peer may leave or come before.
func (g *guest) heard(t *testing.T) string {
	t.Helper()
	for {
		select {
		case e := <-g.events:
			switch e.kind {
			case eventLine:
				return e.text
			case eventVia:
			default:
				t.Fatalf("%s: got %+v, want a line", g.nick, e)
			}
		case <-time.After(patience):
			t.Fatalf("%s heard nothing", g.nick)
		}
	}
}

// together returns two guests that are connected through a relay.
func together(t *testing.T, relay lhost.Host) (ann, bob *guest) {
	t.Helper()
	ann, bob = enter(t, "room", "ann"), enter(t, "room", "bob")
	ann.meetThrough(t, relay, bob)
	ann.expect(t, event{kind: eventJoined, nick: "bob", n: 1, via: kad.ViaRelayed})
	bob.expect(t, event{kind: eventJoined, nick: "ann", n: 1, via: kad.ViaRelayed})
	return ann, bob
}

func TestRoomThroughRelay(t *testing.T) {
	ann, bob := together(t, openRelay(t))
	ann.tell(t, "hi bob")
	bob.expect(t, event{kind: eventLine, nick: "ann", text: "hi bob"})
	bob.tell(t, "hi ann")
	ann.expect(t, event{kind: eventLine, nick: "bob", text: "hi ann"})
	bob.close()
	ann.expect(t, event{kind: eventLeft, nick: "bob"})
}

// A room shows how a friend is connected, also when that changes, and does not depend on
// the relay after that.
func TestRoomShowsTheWay(t *testing.T) {
	relay := openRelay(t)
	ann, bob := together(t, relay)
	ann.punch(t, bob)
	ann.expect(t, event{kind: eventVia, nick: "bob", via: kad.ViaDirect}) // they are on one machine
	bob.expect(t, event{kind: eventVia, nick: "ann", via: kad.ViaDirect})
	if err := relay.Close(); err != nil {
		t.Fatal(err)
	}
	ann.tell(t, "no relay any more")
	bob.tell(t, "indeed")
	if got := bob.heard(t); got != "no relay any more" {
		t.Errorf("bob heard %q", got)
	}
	if got := ann.heard(t); got != "indeed" {
		t.Errorf("ann heard %q", got)
	}
}

// A chat relays with --offer-relay, while it can be dialled.
func TestOfferRelay(t *testing.T) {
	for _, offer := range []bool{true, false} {
		o := options{room: "lobby", nick: "ann", network: "/chat", listen: []string{"/ip4/127.0.0.1/tcp/0"}, offerRelay: offer}
		c, err := newChatter(o, func(event) {})
		if err != nil {
			t.Fatal(err)
		}
		found, err := c.host.EventBus().Emitter(new(libevent.EvtLocalReachabilityChanged), eventbus.Stateful)
		if err != nil {
			t.Fatal(err)
		}
		if err := found.Emit(libevent.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPublic}); err != nil {
			t.Fatal(err)
		}
		_ = found.Close()
		relays := func() bool { return slices.Contains(c.host.Mux().Protocols(), circuit.ProtoIDv2Hop) }
		tick := time.NewTicker(10 * time.Millisecond)
		for timeout := time.After(patience); offer && !relays(); {
			select {
			case <-tick.C:
				continue
			case <-timeout:
			}
			break
		}
		tick.Stop()
		if relays() != offer {
			t.Errorf("it relays: %v; want %v", relays(), offer)
		}
		c.close()
	}
}
