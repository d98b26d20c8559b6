package gossip

import (
	"testing"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/carry"
	"github.com/go-kad/kad/host/carry/internal/pathtest"
)

// The search of libp2p for a router with UPnP outlives its host by some seconds.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/koron/go-ssdp.Search"))
}

// patience is how long a test waits for an event.
const patience = time.Minute

// A guest is a peer in a topic.
type guest struct {
	*Topic
	name string
	host lhost.Host
}

// enter makes a new peer join a topic. Its hello is its name.
func enter(t *testing.T, topic, name string, cfg TopicConfig) *guest {
	t.Helper()
	g := &guest{name: name, host: pathtest.Host(t)}
	n, err := New(g.host, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	cfg.Hello = []byte(name)
	if g.Topic, err = n.Join(topic, cfg); err != nil {
		t.Fatal(err)
	}
	return g
}

// publish publishes a text.
func (g *guest) publish(t *testing.T, text string) {
	t.Helper()
	if err := g.Publish(t.Context(), []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// next returns the next event.
func (g *guest) next(t *testing.T) Event {
	t.Helper()
	select {
	case e, ok := <-g.Events():
		if !ok {
			t.Fatalf("%s is closed", g.name)
		}
		return e
	case <-time.After(patience):
		t.Fatalf("%s has no event", g.name)
		return Event{}
	}
}

// await waits for an event of a kind, past others.
func (g *guest) await(t *testing.T, kind EventKind) Event {
	t.Helper()
	for {
		if e := g.next(t); e.Kind == kind {
			return e
		}
	}
}

// hears returns the next message. No peer may have left before it.
func (g *guest) hears(t *testing.T) string {
	t.Helper()
	for {
		switch e := g.next(t); e.Kind {
		case Message:
			return string(e.Data)
		case Left, Joined:
			t.Fatalf("%s: %+v before a message", g.name, e)
		default:
		}
	}
}

// hello waits until a peer has joined, and its hello has come; in any order.
func (g *guest) hello(t *testing.T, from *guest) {
	t.Helper()
	for joined, hello := false, false; !joined || !hello; {
		e := g.next(t)
		joined = joined || e.Kind == Joined && e.Peer == from.host.ID()
		hello = hello || e.Kind == Hello && e.Peer == from.host.ID() && string(e.Data) == from.name
	}
}

// pair connects guests directly, and waits for their hellos.
func pair(t *testing.T, a, b *guest) {
	t.Helper()
	pathtest.Direct(t, a.host, b.host)
	a.hello(t, b)
	b.hello(t, a)
}

// together returns two guests that are connected through a relay.
func together(t *testing.T, relay lhost.Host) (ann, bob *guest) {
	t.Helper()
	ann, bob = enter(t, "room", "ann", TopicConfig{}), enter(t, "room", "bob", TopicConfig{})
	pathtest.Relayed(t, ann.host, bob.host, relay)
	ann.hello(t, bob)
	bob.hello(t, ann)
	return ann, bob
}

// awaitMove waits until the guest writes to no peer through a relay.
func (g *guest) awaitMove(t *testing.T) {
	t.Helper()
	pathtest.Eventually(t, g.name+" moves", func() bool { return !g.writesRelayed() })
}

func (g *guest) writesRelayed() bool {
	for _, conn := range g.host.Network().Conns() {
		for _, s := range conn.GetStreams() {
			if carry.IsRelayed(conn) && s.Stat().Direction == network.DirOutbound && isMesh(string(s.Protocol())) {
				return true
			}
		}
	}
	return false
}

func isMesh(protocol string) bool { return len(protocol) > 9 && protocol[:9] == "/meshsub/" }

func idOf(g *guest) peer.ID { return g.host.ID() }
