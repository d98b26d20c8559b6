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

// "To avoid redundant STORE RPCs, however, a node only transfers a pair if it's own
// ID is closer to the key than are the IDs of other nodes." Paper, 2.5.
func TestPaperOneNodeHandsOver(t *testing.T) {
	var all []Contact // they know each other
	for i := range 12 {
		all = append(all, contact(i))
	}
	for i := range 50 {
		newcomer, key := contact(100+i), contact(1000+i).Key
		var senders []Contact
		for _, self := range all {
			tab := NewTable(self.Key, TableConfig{K: len(all) + 1})
			for _, c := range append(all, newcomer) {
				tab.Seen(epoch, c)
			}
			if tab.HandsOver(key, newcomer.Key) {
				senders = append(senders, self)
			}
		}
		if want := closestOf(key, all, 1); !sameContacts(senders, want) {
			t.Errorf("%v hand it over, want %v", senders, want)
		}
	}
}
