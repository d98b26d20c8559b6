package host

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// crowd returns a node that knows count puppets, which name no peer. A lookup asks all of
// them.
func crowd(t *testing.T, n *testNet, count int) (*DHT, []*puppet) {
	t.Helper()
	d := n.node(Config{})
	puppets := n.crowd(count)
	meet(t, d, puppets...)
	return d, puppets
}

// crowd returns puppets that know no other peer.
func (n *testNet) crowd(count int) (puppets []*puppet) {
	for range count {
		puppets = append(puppets, n.puppet(says(protocol.Response{})))
	}
	return puppets
}

// Many disjoint paths find the same peers.
func TestPaths(t *testing.T) { synctest.Test(t, testPaths) }

func testPaths(t *testing.T) {
	n := newTestNet(t)
	nodes := n.halves(12, Config{K: 8, Alpha: 8})
	key := []byte("key")
	want := slices.SortedFunc(slices.Values(nodes[1:]), func(a, b *DHT) int {
		return routing.KeyOf(key).Compare(routing.KeyOf([]byte(a.ID())), routing.KeyOf([]byte(b.ID())))
	})
	found, err := nodes[0].lookup.Closest(4)(t.Context(), key, nil)
	if err != nil || len(found) != 8 {
		t.Fatalf("%d peers, %v; want 8", len(found), err)
	}
	for i, p := range found {
		if p.ID != want[i].ID() {
			t.Errorf("peer %d is %v, want %v", i, p.ID, want[i].ID())
		}
	}
}
