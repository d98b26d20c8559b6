package routing

import (
	"testing"
	"time"
)

// What the Kademlia paper says of the life of a record, taken at its word as in
// paper_test.go.

// "To avoid 'over-caching,' we make the expiration time of a ⟨key,value⟩ pair in
// any node's database exponentially inversely proportional to the number of nodes
// between the current node and the node whose ID is closest to the key ID."
// Paper, 2.3.
func TestPaperCacheLifetimeIsExponential(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 5})
	closest := at(self, 0, "closest")
	tab.Seen(epoch, closest)
	lived := CacheLifetime(32*time.Hour, tab.CountCloser(closest.Key), 1)
	for i, between := range withCPL(self, 0, 4) {
		tab.Seen(epoch, between)
		lives := CacheLifetime(32*time.Hour, tab.CountCloser(closest.Key), 1)
		if lives != lived/2 {
			t.Errorf("with %d nodes between it lives %v, want half of %v", i+1, lives, lived)
		}
		lived = lives
	}
}
