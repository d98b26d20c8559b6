package host

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// In a network of 200 nodes (60 under the race detector), each finds exactly the k that are closest to a key.
func TestLookupsAreExact(t *testing.T) { synctest.Test(t, testLookupsAreExact) }

func testLookupsAreExact(t *testing.T) {
	n := newMemNet(t, 20*time.Millisecond)
	for i, d := range n.nodes(fewer(200), Config{}) {
		key := fmt.Appendf(nil, "key %d", i)
		found, err := d.ClosestPeers(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		want := n.closest(key, defaultK, d)
		if len(found) != len(want) {
			t.Fatalf("node %d found %d peers, want %d", i, len(found), len(want))
		}
		for j := range want {
			if found[j].ID != want[j] {
				t.Errorf("node %d: peer %d is %s, want %s", i, j, found[j].ID, want[j])
			}
		}
	}
}
