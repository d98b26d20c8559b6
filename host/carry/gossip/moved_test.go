package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/host/carry/internal/pathtest"
)

// A peer moves to another network and connects again, and the old connection ends after
// that at the peer that stayed. Both hear each other then, and nothing is lost or doubled.
//
// pubsub v0.19.0 forgets the topics of a peer when its own stream to that peer ends, and
// a peer says its topics only at the beginning of a stream. Here the stream of the peer
// that moved began before.
func TestMovedPeerIsHeard(t *testing.T) {
	ann, bob := enter(t, "room", "ann", TopicConfig{}), enter(t, "room", "bob", TopicConfig{})
	for round := range 4 {
		wire := pathtest.NewWire(t, ann.host)
		bob.host.Peerstore().ClearAddrs(idOf(ann))
		bob.host.Peerstore().AddAddr(idOf(ann), wire.Addr, time.Hour)
		if _, err := bob.host.Network().DialPeer(network.WithForceDirectDial(t.Context(), "test"), idOf(ann)); err != nil {
			t.Fatal(err)
		}
		pathtest.Eventually(t, "both have a peer", func() bool { return ann.Peers() == 1 && bob.Peers() == 1 })
		if round == 0 { // messages before the first hello of their sender can get lost
			ann.hello(t, bob)
			bob.hello(t, ann)
		}
		wire.Cut()
		ann.publish(t, fmt.Sprint("on the old connection ", round))
		_ = bob.host.Network().ClosePeer(idOf(ann))
		bob.host.Peerstore().ClearAddrs(idOf(ann))
		pathtest.Direct(t, bob.host, ann.host)
		pathtest.Eventually(t, "bob has a new stream to ann", func() bool { return ann.readsStreams(bob) == 1 && ann.connections(bob) == 2 })
		ann.node.pubsub.GetTopics() // comes back when pubsub has taken in what has come
		wire.End()

		ann.publish(t, fmt.Sprint("on the new connection ", round))
		for _, want := range []string{"on the old connection ", "on the new connection "} {
			if e := bob.await(t, Message); string(e.Data) != fmt.Sprint(want, round) {
				t.Fatalf("bob: %q, want %q", e.Data, fmt.Sprint(want, round))
			}
		}
		bob.publish(t, "indeed")
		if e := ann.await(t, Message); string(e.Data) != "indeed" {
			t.Fatalf("ann: %q", e.Data)
		}
		_ = bob.host.Network().ClosePeer(idOf(ann))
		pathtest.Eventually(t, "both notice", func() bool { return ann.Peers() == 0 && bob.Peers() == 0 })
	}
}

// connections returns the number of connections to another guest.
func (g *guest) connections(to *guest) int { return len(g.host.Network().ConnsToPeer(idOf(to))) }

// readsStreams returns the number of streams of pubsub that another guest writes to.
func (g *guest) readsStreams(from *guest) (n int) {
	for _, conn := range g.host.Network().ConnsToPeer(idOf(from)) {
		for _, s := range conn.GetStreams() {
			if s.Stat().Direction == network.DirInbound && isMesh(string(s.Protocol())) {
				n++
			}
		}
	}
	return n
}
