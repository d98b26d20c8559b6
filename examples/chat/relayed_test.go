package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
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

	kad "github.com/go-kad/kad/host"
)

// openRelay starts a relay, with finite limits: without them, its connections were
// not limited.
func openRelay(t *testing.T) lhost.Host {
	t.Helper()
	h, err := newHost([]string{"/ip4/127.0.0.1/tcp/0"}, libp2p.ForceReachabilityPublic(),
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

// awaitMove waits until the guest writes to nobody through a relay.
func (g *guest) awaitMove(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for g.sendsRelayed() {
		if !pause(ctx, 10*time.Millisecond, nil) {
			t.Fatalf("%s writes through a relay", g.nick)
		}
	}
}

func (g *guest) sendsRelayed() bool {
	for _, conn := range g.host.Network().Conns() {
		for _, s := range conn.GetStreams() {
			if isRelayed(conn) && s.Stat().Direction == network.DirOutbound && strings.HasPrefix(string(s.Protocol()), "/meshsub/") {
				return true
			}
		}
	}
	return false
}

// heard returns the next line, and checks that nobody left or came before.
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

// together lets two guests meet through a relay.
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

// What two people say to each other goes over to a direct connection in the middle
// of it: nothing is lost, doubled, or out of order, and nobody leaves. Nothing of the
// room depends on the relay after that.
func TestRoomMovesToDirectConnection(t *testing.T) {
	const lines = 200
	relay := openRelay(t)
	ann, bob := together(t, relay)
	var talking sync.WaitGroup
	halfway := make(chan struct{}, 2)
	for _, g := range []*guest{ann, bob} {
		talking.Go(func() {
			for i := range lines {
				if err := g.say(t.Context(), fmt.Sprint(g.nick, i)); err != nil {
					t.Error(err)
				}
				if i == lines/3 {
					halfway <- struct{}{}
				}
				time.Sleep(time.Millisecond) // nobody types faster
			}
		})
	}
	<-halfway
	ann.punch(t, bob)
	talking.Wait()
	for i := range lines {
		if got, want := bob.heard(t), fmt.Sprint("ann", i); got != want {
			t.Fatalf("bob heard %q, want %q", got, want)
		}
		if got, want := ann.heard(t), fmt.Sprint("bob", i); got != want {
			t.Fatalf("ann heard %q, want %q", got, want)
		}
	}

	ann.awaitMove(t)
	bob.awaitMove(t)
	if err := relay.Close(); err != nil {
		t.Fatal(err)
	}
	ann.tell(t, "the relay is gone")
	bob.tell(t, "indeed")
	if got := bob.heard(t); got != "the relay is gone" {
		t.Errorf("bob heard %q", got)
	}
	if got := ann.heard(t); got != "indeed" {
		t.Errorf("ann heard %q", got)
	}
}

// The way to a friend is told when it changes.
func TestRoomTellsTheWay(t *testing.T) {
	ann, bob := together(t, openRelay(t))
	ann.punch(t, bob)
	ann.expect(t, event{kind: eventVia, nick: "bob", via: kad.ViaPunched})
	bob.expect(t, event{kind: eventVia, nick: "ann", via: kad.ViaPunched})
	ann.awaitMove(t)
	bob.awaitMove(t)
	for _, conn := range ann.host.Network().ConnsToPeer(bob.host.ID()) {
		if isRelayed(conn) {
			_ = conn.Close()
		}
	}
	ann.tell(t, "no relay any more")
	bob.expect(t, event{kind: eventLine, nick: "ann", text: "no relay any more"})
}

// A relay dies to which there was no alternative: the friend has left, until there is
// another one.
func TestRoomThroughAnotherRelay(t *testing.T) {
	first := openRelay(t)
	ann, bob := together(t, first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	ann.expect(t, event{kind: eventLeft, nick: "bob"})
	bob.expect(t, event{kind: eventLeft, nick: "ann"})
	ann.tell(t, "is anybody there?")
	ann.expect(t, event{kind: eventKept, n: 1})
	ann.meetThrough(t, openRelay(t), bob)
	bob.expectAll(t, event{kind: eventJoined, nick: "ann", n: 1, via: kad.ViaRelayed},
		event{kind: eventLine, nick: "ann", text: "is anybody there?"})
}

// The relay dies when there is a direct connection, and nobody has moved there yet.
func TestRoomMovesFromBrokenRelay(t *testing.T) {
	relay := openRelay(t)
	ann, bob := together(t, relay)
	for i := range 20 {
		ann.tell(t, fmt.Sprint("line ", i))
	}
	ann.punch(t, bob)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !bob.conns.reachesDirectly(ann.host.ID()) {
		if !pause(ctx, time.Millisecond, nil) {
			t.Fatal("bob has no direct connection")
		}
	}
	if err := relay.Close(); err != nil {
		t.Fatal(err)
	}
	for i := 20; i < 40; i++ {
		ann.tell(t, fmt.Sprint("line ", i))
	}
	bob.tell(t, "still here")
	for i := range 40 {
		if got, want := bob.heard(t), fmt.Sprint("line ", i); got != want {
			t.Fatalf("bob heard %q, want %q", got, want)
		}
	}
	if got := ann.heard(t); got != "still here" {
		t.Errorf("ann heard %q", got)
	}
}

// The relay dies when only one of two has moved to the direct connection. They begin
// anew: else, bob would not know that ann is in the room.
func TestRoomMovesHalf(t *testing.T) {
	relay := openRelay(t)
	ann, bob := together(t, relay)
	bob.conns.mu.Lock()
	bob.conns.closed = true // he does not move
	bob.conns.mu.Unlock()
	ann.punch(t, bob)
	ann.awaitMove(t)
	if !bob.sendsRelayed() {
		t.Fatal("bob has moved")
	}
	if err := relay.Close(); err != nil {
		t.Fatal(err)
	}
	ann.await(t, eventLeft)
	bob.await(t, eventLeft)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(ann.host.Network().ConnsToPeer(bob.host.ID())) > 0 {
		if !pause(ctx, 10*time.Millisecond, nil) {
			t.Fatal("they are still connected")
		}
	}
	ann.meet(t, bob)
	ann.await(t, eventJoined)
	bob.await(t, eventJoined)
	ann.tell(t, "can you hear me?")
	bob.tell(t, "yes, and you?")
	if got := bob.heard(t); got != "can you hear me?" {
		t.Errorf("bob heard %q", got)
	}
	if got := ann.heard(t); got != "yes, and you?" {
		t.Errorf("ann heard %q", got)
	}
}

// await waits for an event of a kind.
func (g *guest) await(t *testing.T, kind eventKind) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-g.events:
			if e.kind == kind {
				return
			}
		case <-timeout:
			t.Fatalf("%s: no event of kind %v", g.nick, kind)
		}
	}
}

// What was on its way when a connection broke is said again when there is another one,
// to those who have not heard it.
func TestRoomSaysAgainWhatGotLost(t *testing.T) {
	relay := openRelay(t)
	ann, bob := together(t, relay)
	cat := enter(t, "room", "cat")
	cat.meet(t, ann)
	cat.await(t, eventJoined)
	ann.await(t, eventJoined)
	ann.tell(t, "all hear this")
	bob.expect(t, event{kind: eventLine, nick: "ann", text: "all hear this"})
	cat.expect(t, event{kind: eventLine, nick: "ann", text: "all hear this"})
	if err := ann.do(t.Context(), func() { // as if it got lost
		ann.said++
		ann.recent = append(ann.recent, message{Nick: "ann", Text: "bob does not hear this", No: ann.said})
	}); err != nil {
		t.Fatal(err)
	}
	if err := relay.Close(); err != nil {
		t.Fatal(err)
	}
	ann.await(t, eventLeft)
	bob.await(t, eventLeft)
	ann.meetThrough(t, openRelay(t), bob)
	bob.await(t, eventJoined)
	for _, g := range []*guest{bob, cat} {
		if got := g.heard(t); got != "bob does not hear this" {
			t.Errorf("%s heard %q", g.nick, got)
		}
	}
	ann.tell(t, "are we all here?")
	for _, g := range []*guest{bob, cat} {
		if got := g.heard(t); got != "are we all here?" {
			t.Errorf("%s heard %q", g.nick, got)
		}
	}
}

// A line that is missing for good holds up the others but for a while.
func TestRoomGivesUpMissingLines(t *testing.T) {
	ann, bob := enter(t, "room", "ann"), enter(t, "room", "bob")
	bob.meet(t, ann)
	ann.await(t, eventJoined)
	bob.await(t, eventJoined)
	ann.tell(t, "one")
	for range 2 {
		if err := ann.do(t.Context(), func() { ann.said++ }); err != nil {
			t.Fatal(err)
		}
		ann.tell(t, "another one")
	}
	for _, want := range []string{"one", "another one", "another one"} {
		if got := bob.heard(t); got != want {
			t.Errorf("bob heard %q, want %q", got, want)
		}
	}
}

// A chat relays if it is told to, while it can be dialled.
func TestOfferRelay(t *testing.T) {
	for _, offer := range []bool{true, false} {
		o := options{room: "lobby", nick: "ann", network: "/chat", listen: []string{"/ip4/127.0.0.1/tcp/0"}, offerRelay: offer}
		c, err := newChatter(t.Context(), o, func(event) {})
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
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for !relays() && offer && pause(ctx, 10*time.Millisecond, nil) {
		}
		cancel()
		if relays() != offer {
			t.Errorf("it relays: %v; want %v", relays(), offer)
		}
		c.close()
	}
}
