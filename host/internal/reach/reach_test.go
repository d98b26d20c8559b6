package reach

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
)

// When the host finds out whether it is reachable, the node of a public network switches.
func TestReachability(t *testing.T) { synctest.Test(t, testReachability) }

func testReachability(t *testing.T) {
	n := newNode(t, Auto, true)
	addrs := []multiaddr.Multiaddr{multiaddr.StringCast(publicAddr)}
	n.Start()
	n.wants(t, Client, "not known yet")
	n.finds(network.ReachabilityPublic)
	n.wants(t, Server, "publicly reachable")
	n.finds(network.ReachabilityPrivate)
	time.Sleep(minSettle)
	synctest.Wait()
	n.wants(t, Client, "not publicly reachable")
	n.handle(event.EvtHostReachableAddrsChanged{Reachable: addrs})
	time.Sleep(2 * minSettle)
	synctest.Wait()
	n.wants(t, Server, "publicly reachable")
	n.handle(event.EvtHostReachableAddrsChanged{Unreachable: addrs})
	time.Sleep(4 * minSettle)
	synctest.Wait()
	n.wants(t, Client, "not publicly reachable")
	n.SetMode(Server)
	n.wants(t, Server, "set to server")
	n.SetMode(Auto)
	n.wants(t, Client, "not publicly reachable")
	n.Close()
	n.finds(network.ReachabilityPublic)
	n.SetMode(Server)
	n.wants(t, Client, "closed")
}

// A host that finds itself reachable and unreachable by turns keeps its mode: only a
// finding that lasts counts, and the longer, the more often that has changed.
func TestFlapping(t *testing.T) { synctest.Test(t, testFlapping) }

func testFlapping(t *testing.T) {
	n := newNode(t, Auto, true)
	n.Start()
	n.finds(network.ReachabilityPublic)
	for range 60 {
		for _, r := range []network.Reachability{network.ReachabilityPrivate, network.ReachabilityPublic} {
			n.finds(r)
			time.Sleep(minSettle - time.Second)
			if n.mode() != Server {
				t.Fatal("it switched, though no finding has lasted")
			}
		}
	}
	n.finds(network.ReachabilityPrivate)
	n.wants(t, Server, "lately it seems otherwise")
	for i, want := range []time.Duration{minSettle, 2 * minSettle, 4 * minSettle, 8 * minSettle, 16 * minSettle, maxSettle, maxSettle} {
		before := n.mode()
		time.Sleep(want - time.Second)
		if n.mode() != before {
			t.Errorf("switch %d: it came before %v", i, want)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n.mode() == before {
			t.Errorf("switch %d: it did not come after %v", i, want)
		}
		if before == Server {
			n.finds(network.ReachabilityPublic)
		} else {
			n.finds(network.ReachabilityPrivate)
		}
	}
	time.Sleep(calmAfter + time.Hour)
	before := n.mode()
	n.finds(network.ReachabilityPublic)
	if before == Server {
		n.finds(network.ReachabilityPrivate)
	}
	time.Sleep(minSettle)
	synctest.Wait()
	if n.mode() == before {
		t.Error("no switch after a calm: what was long ago counts")
	}
}

// Findings that alternate for long, each lasting for longer than it must, are never
// followed at once.
func TestPatienceIsBounded(t *testing.T) { synctest.Test(t, testPatienceIsBounded) }

func testPatienceIsBounded(t *testing.T) {
	n := newNode(t, Auto, true)
	n.Start()
	n.finds(network.ReachabilityPublic)
	before := n.mode()
	for i := range 80 {
		found := network.ReachabilityPrivate
		if i%2 == 1 {
			found = network.ReachabilityPublic
		}
		n.finds(found)
		if n.mode() != before {
			t.Fatalf("finding %d was followed at once", i)
		}
		time.Sleep(maxSettle)
		synctest.Wait()
		if n.mode() == before {
			t.Fatalf("finding %d was not followed after %v", i, maxSettle)
		}
		before = n.mode()
	}
}

// On a private network, a host serves while it has an address of its own: one through a relay
// does not count.
func TestHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, Auto, false)
		n.Start()
		n.wants(t, Client, "no address")
		for _, step := range []struct {
			addr string
			want Mode
		}{
			{"/ip4/192.168.1.1/tcp/1", Server},
			{"/ip4/192.168.1.2/tcp/1/p2p/12D3KooWT31gsuv1RC6aypG47LhNGmMbVbimX19PtMivHmjctStV/p2p-circuit", Client},
			{"/ip4/127.0.0.1/udp/1/quic-v1", Server},
		} {
			n.host.move(step.addr)
			n.handle(event.EvtLocalAddressesUpdated{})
			if n.wants(t, step.want, ""); n.mode() != step.want {
				t.Errorf("with %s", step.addr)
			}
		}
	})
}

// A node of a network that turns out to be public stops serving until the host knows that
// it is reachable, or listens on a public address.
func TestPublicPeer(t *testing.T) { synctest.Test(t, testPublicPeer) }

func testPublicPeer(t *testing.T) {
	n := newNode(t, Auto, false)
	n.host.move("/ip4/192.168.1.1/tcp/1")
	n.Start()
	n.wants(t, Server, "private network")
	n.finds(network.ReachabilityPrivate)
	n.wants(t, Server, "private network")
	other := conn{from: "another network", addr: "/ip4/1.1.1.1/tcp/1", dir: network.DirOutbound}
	n.Observe(other)
	n.wants(t, Server, "private network")
	n.finds(network.ReachabilityUnknown)
	ours := conn{from: "our network", addr: "/ip4/1.1.1.1/tcp/1", dir: network.DirOutbound}
	if err := n.host.Peerstore().AddProtocols(ours.from, "/test"); err != nil {
		t.Fatal(err)
	}
	n.Observe(ours)
	n.wants(t, Client, "not known yet")
	if !n.NeedsRelay() || !n.Public() {
		t.Error("it needs no relay, or the network is not public")
	}
	n.host.sockets = []multiaddr.Multiaddr{multiaddr.StringCast(publicAddr)}
	n.handle(event.EvtLocalAddressesUpdated{})
	n.wants(t, Server, "public IPv4 address")
}

// Switches do not overtake each other, the last one is the latest decision, and the room
// answers while one is under way.
func TestSwitchesInOrder(t *testing.T) { synctest.Test(t, testSwitchesInOrder) }

func testSwitchesInOrder(t *testing.T) {
	n := newNode(t, Server, true)
	running, most := 0, 0
	n.during = func(Decision) {
		n.mu.Lock()
		running++
		most = max(most, running)
		n.mu.Unlock()
		time.Sleep(time.Second)
		if m := n.mode(); m != Client && m != Server {
			t.Errorf("mode %v", m)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		running--
	}
	n.Start()
	var calls sync.WaitGroup
	for i := range 9 {
		calls.Go(func() {
			time.Sleep(time.Duration(i) * 300 * time.Millisecond)
			n.SetMode([]Mode{Client, Server}[i%2])
		})
	}
	calls.Wait()
	n.wants(t, Client, "set to client")
	if most != 1 {
		t.Errorf("%d switches at the same time", most)
	}
	n.Close()
	if n.switched[len(n.switched)-1].Serve {
		t.Error("it serves after Close")
	}
}
