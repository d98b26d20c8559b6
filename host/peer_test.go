package host

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// FindPeer finds every node, and says which one it did not find.
func TestFindPeer(t *testing.T) { synctest.Test(t, testFindPeer) }

func testFindPeer(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(8, Config{K: 3})
	for i, d := range nodes {
		for j, other := range nodes {
			got, err := d.FindPeer(t.Context(), other.ID())
			if err != nil || got.ID != other.ID() || len(got.Addrs) == 0 {
				t.Errorf("node %d looks for node %d: %v, %v", i, j, got, err)
			}
		}
	}
	if _, err := nodes[0].FindPeer(t.Context(), aPeer); !errors.Is(err, ErrNotFound) {
		t.Errorf("FindPeer() = %v of a peer that there is not, want ErrNotFound", err)
	} else {
		mentions(t, err.Error(), aPeer.String())
	}
	for _, id := range []peer.ID{"", "x"} {
		if _, err := nodes[0].FindPeer(t.Context(), id); err == nil {
			t.Errorf("FindPeer(%q) found something", string(id))
		}
	}
}

// A peer that does not serve is found by its ID, if a node near it is connected
// to it.
func TestFindPeerThatDoesNotServe(t *testing.T) { synctest.Test(t, testFindClient) }

func testFindClient(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(5, Config{})
	client := n.node(Config{Mode: ModeClient, Bootstrap: []peer.AddrInfo{info(nodes[1].host)}})
	if err := client.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := nodes[4].FindPeer(t.Context(), client.ID())
	if err != nil || len(got.Addrs) == 0 {
		t.Errorf("FindPeer() = %v, %v", got, err)
	}
}

// What we know ourselves costs no request.
func TestFindPeerLocally(t *testing.T) { synctest.Test(t, testFindPeerLocally) }

func testFindPeerLocally(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 2)
	for _, id := range []peer.ID{d.ID(), puppets[0].ID()} {
		if got, err := d.FindPeer(t.Context(), id); err != nil || len(got.Addrs) == 0 {
			t.Errorf("FindPeer() = %v, %v", got, err)
		}
	}
	for _, p := range puppets {
		if got := p.requests(); len(got) != 0 {
			t.Errorf("%d requests, want none", len(got))
		}
	}
}

// FindPeer ends when three of the closest have the peer in their tables, and half have
// answered.
func TestFindPeerStops(t *testing.T) { synctest.Test(t, testFindPeerStops) }

func testFindPeerStops(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 6)
	for i, p := range puppets {
		if i < 3 {
			p.will(says(protocol.Response{Closer: []protocol.Peer{{ID: aPeer, Addrs: addrOf(1)}}}))
		} else {
			p.will(silent)
		}
	}
	var got peer.AddrInfo
	var err error
	spent := roomtest.Took(func() { got, err = d.FindPeer(t.Context(), aPeer) })
	if err != nil || len(got.Addrs) != 1 {
		t.Fatalf("FindPeer() = %v, %v", got, err)
	}
	if spent > 20*latency {
		t.Errorf("took %v, want the time of their answers", spent)
	}
}

// halves is nodes, and half of the keys begin with each bit, so that no bucket of nodes[0]
// has more peers than places if count is 2k at most: a full bucket keeps its oldest
// contacts, and may lack one of the closest.
func (n *testNet) halves(count int, cfg Config) (nodes []*DHT) {
	n.t.Helper()
	for i := range count {
		h := n.hostAt(func(key routing.Key) bool { return int(key[0]>>7) == i%2 })
		nodes = append(nodes, n.attach(h, cfg))
		cfg.Bootstrap = []peer.AddrInfo{info(nodes[0].host)}
	}
	time.Sleep(5 * time.Second)
	return nodes
}

// ClosestPeers returns the k closest peers that answer, closest first, with
// addresses, and without us.
func TestClosestPeers(t *testing.T) { synctest.Test(t, testClosestPeers) }

func testClosestPeers(t *testing.T) {
	const k = 10
	n := newTestNet(t)
	nodes := n.halves(2*k, Config{K: k})
	n.cut(nodes[7].host)
	for _, target := range []string{"a", "b", "c"} {
		want := slices.SortedFunc(slices.Values(nodes[1:]), func(a, b *DHT) int {
			return routing.KeyOf([]byte(target)).Compare(routing.KeyOf([]byte(a.ID())), routing.KeyOf([]byte(b.ID())))
		})
		want = slices.DeleteFunc(want, func(d *DHT) bool { return d == nodes[7] })[:k]
		got, err := nodes[0].ClosestPeers(t.Context(), []byte(target))
		if err != nil || len(got) != len(want) {
			t.Fatalf("target %q: %d peers, %v; want %d", target, len(got), err, len(want))
		}
		for i, p := range got {
			if p.ID != want[i].ID() || len(p.Addrs) == 0 {
				t.Errorf("target %q: peer %d is %v with %v, want %v", target, i, p.ID, p.Addrs, want[i].ID())
			}
		}
	}
	for _, size := range []int{0, protocol.MaxKey + 1} {
		if _, err := nodes[0].ClosestPeers(t.Context(), make([]byte, size)); err == nil {
			t.Errorf("a key of %d bytes is looked up", size)
		}
	}
}
