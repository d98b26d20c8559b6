package kadtest_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// took returns how long f takes.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// found reports whether a lookup of a node finds exactly the nodes that are closest.
func found(t *testing.T, n *kadtest.Network, d *kadtest.Node) bool {
	t.Helper()
	const key = "key"
	peers, err := d.DHT.ClosestPeers(t.Context(), []byte(key))
	if err != nil {
		t.Error(err)
	}
	return slices.EqualFunc(peers, n.Closest(key, 20, d), func(p peer.AddrInfo, want *kadtest.Node) bool { return p.ID == want.ID() })
}

// In a network whose nodes have joined, each finds the nodes that are closest to a key,
// clients as well, and no client is found.
func TestClosest(t *testing.T) { synctest.Test(t, testClosest) }

func testClosest(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{})
	servers := n.Add(25, kad.Config{})
	clients := n.Add(5, kad.Config{Mode: kad.ModeClient})
	n.Settle()
	for _, d := range []*kadtest.Node{servers[0], servers[24], clients[0]} {
		if !found(t, n, d) {
			t.Errorf("node %s does not find the nodes that are closest", d.ID())
		}
	}
	for _, d := range n.Closest("key", 100) {
		if slices.Contains(clients, d) {
			t.Error("a client is one of the closest")
		}
	}
	if got := len(n.Nodes()); got != 30 {
		t.Errorf("%d nodes, want 30", got)
	}
}

// A seed decides the IDs, and what is picked; another seed decides otherwise.
func TestSeed(t *testing.T) {
	network := func(seed uint64) (ids []peer.ID, latency time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			n := kadtest.New(t, kadtest.Config{Seed: seed})
			nodes := n.AddHosts(10)
			for _, d := range slices.Concat(nodes, n.Pick(5)) {
				ids = append(ids, d.ID())
			}
			latency = took(func() { dial(t, nodes[0], nodes[1]) })
		})
		return ids, latency
	}
	ids, latency := network(1)
	again, latencyAgain := network(1)
	if !slices.Equal(ids, again) || latency != latencyAgain {
		t.Error("the same seed leads to another network")
	}
	if others, otherLatency := network(2); slices.Equal(ids, others) || latency == otherLatency {
		t.Error("another seed leads to the same network")
	}
}

// dial connects two nodes.
func dial(t *testing.T, a, b *kadtest.Node) {
	t.Helper()
	if err := a.Host.Connect(t.Context(), b.Info()); err != nil {
		t.Fatal(err)
	}
}

// Latencies lie between half of the mean and one and a half; a dial takes a round trip.
func TestLatency(t *testing.T) { synctest.Test(t, testLatency) }

func testLatency(t *testing.T) {
	const mean = 50 * time.Millisecond
	n := kadtest.New(t, kadtest.Config{Latency: mean})
	nodes := n.AddHosts(100)
	var sum time.Duration
	for _, d := range nodes[1:] {
		spent := took(func() { dial(t, nodes[0], d) })
		if spent < mean || spent > 3*mean {
			t.Errorf("a dial took %v", spent)
		}
		sum += spent
	}
	if average := sum / 99; average < 9*mean/5 || average > 11*mean/5 {
		t.Errorf("a dial took %v on average, want %v", average, 2*mean)
	}
}

// Lost messages are late. All arrive.
func TestLoss(t *testing.T) { synctest.Test(t, testLoss) }

func testLoss(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: 50 * time.Millisecond, Loss: 0.2})
	nodes := n.AddHosts(200)
	late := 0
	for _, d := range nodes[1:] {
		if took(func() { dial(t, nodes[0], d) }) >= 250*time.Millisecond {
			late++
		}
	}
	if late < 20 || late > 60 {
		t.Errorf("of 199 dials, %d were late, want 40", late)
	}
}

// The filter sees each request, with its sender; what it refuses never arrives.
func TestFilter(t *testing.T) { synctest.Test(t, testFilter) }

func testFilter(t *testing.T) {
	var mu sync.Mutex
	sent := make(map[*kadtest.Node]int)
	n := kadtest.New(t, kadtest.Config{Filter: func(from, _ *kadtest.Node, req protocol.Request) bool {
		_, lost := req.(protocol.PutValue)
		mu.Lock()
		defer mu.Unlock()
		sent[from]++
		return !lost
	}})
	nodes := n.Add(10, kad.Config{Validators: validators, RequestTimeout: time.Second})
	n.Settle()
	mu.Lock()
	clear(sent)
	mu.Unlock()
	if err := nodes[0].DHT.PutValue(t.Context(), "/v/key", []byte("1")); err == nil {
		t.Error("a put succeeds, though nothing arrives")
	}
	mu.Lock()
	defer mu.Unlock()
	if sent[nodes[0]] < 9 {
		t.Errorf("%d requests of a put to 9 nodes", sent[nodes[0]])
	}
	for _, d := range nodes[1:] {
		if d.DHT.Stats().InboundPutValue > 0 {
			t.Error("a put arrived")
		}
	}
}

// A host hears of peers that connect and go, and of what they speak.
func TestEvents(t *testing.T) { synctest.Test(t, testEvents) }

func testEvents(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{})
	nodes := n.AddHosts(2)
	events, err := nodes[0].Host.EventBus().Subscribe(event.WildcardSubscription)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	next := func(what string, is func(any) bool) {
		t.Helper()
		select {
		case e := <-events.Out():
			if !is(e) {
				t.Errorf("%s: the event is %+v", what, e)
			}
		case <-time.After(time.Minute):
			t.Errorf("%s: no event", what)
		}
	}
	var connected, disconnected int
	nodes[0].Host.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(network.Network, network.Conn) { connected++ },
		DisconnectedF: func(network.Network, network.Conn) { disconnected++ },
	})
	is := func(want network.Connectedness) func(any) bool {
		return func(e any) bool {
			changed, ok := e.(event.EvtPeerConnectednessChanged)
			return ok && changed.Connectedness == want && changed.Peer == nodes[1].ID()
		}
	}
	dial(t, nodes[1], nodes[0])
	next("connected", is(network.Connected))
	next("identified", func(e any) bool {
		identified, ok := e.(event.EvtPeerIdentificationCompleted)
		return ok && identified.Peer == nodes[1].ID() && identified.Conn.Stat().Direction == network.DirInbound
	})
	nodes[1].Host.SetStreamHandler("/x", func(network.Stream) {})
	next("speaks", func(e any) bool {
		updated, ok := e.(event.EvtPeerProtocolsUpdated)
		return ok && len(updated.Added) == 1 && updated.Added[0] == "/x"
	})
	if spoken, err := nodes[0].Host.Peerstore().SupportsProtocols(nodes[1].ID(), "/x", "/y"); err != nil || len(spoken) != 1 {
		t.Errorf("the peer speaks %v, %v", spoken, err)
	}
	nodes[1].Host.RemoveStreamHandler("/x")
	next("speaks no more", func(e any) bool {
		updated, ok := e.(event.EvtPeerProtocolsUpdated)
		return ok && len(updated.Removed) == 1
	})
	if err := nodes[1].Host.Network().ClosePeer(nodes[0].ID()); err != nil {
		t.Error(err)
	}
	next("disconnected", is(network.NotConnected))
	if connected != 1 || disconnected != 1 {
		t.Errorf("notified of %d connections and %d ends", connected, disconnected)
	}
}
