package host

import (
	"testing"
	"testing/synctest"

	"github.com/go-kad/kad/routing"
)

// The neighbours by which the size is estimated are in order, and none is missing.
func TestSizeWithSuspects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		d := n.inert(Config{MaxPerGroup: -1})
		var all []routing.Contact
		for i := range 24 {
			c := routing.ContactOf(idOf(i))
			all = append(all, c)
			for range 8 {
				d.peers.seen(c)
			}
		}
		before := d.lookupConfig(plan{}).Size.Nodes
		routing.SortByDistance(d.peers.self, all)
		for _, c := range all[:7] {
			d.peers.failed(c)
		}
		after := d.lookupConfig(plan{}).Size.Nodes
		if after > 2*before {
			t.Errorf("size %.0f, and %.0f when 7 of 24 contacts are suspect", before, after)
		}
	})
}
