package connect

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/routing"
)

// The k closest contacts and three of each bucket are protected, as the table changes, at most
// once a second. What others protect is left as it is.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		self := n.cfg.Table.Self()
		buckets := make(map[int]int)
		for i := range 60 {
			id := calltest.ID(10 + i)
			n.enter(t, id, calltest.Names())
			buckets[self.CPL(routing.KeyOf([]byte(id)))]++
		}
		if next := n.keepDue(time.Now(), nil); !next.IsZero() {
			t.Errorf("it is due again at %v", next)
		}
		check := func(gone peer.ID) {
			t.Helper()
			for _, c := range n.cfg.Table.Neighbours(n.cfg.K) {
				if !n.host.kept[c.ID] {
					t.Error("one of the k closest is not protected")
				}
			}
			for _, b := range n.cfg.Table.Buckets() {
				kept := 0
				for _, c := range b.Contacts {
					if n.host.kept[c.ID] {
						kept++
					}
				}
				if kept < min(len(b.Contacts), keptPerBucket) || !b.Last && kept > keptPerBucket+n.cfg.K {
					t.Errorf("%d of %d contacts of bucket %d are protected", kept, len(b.Contacts), b.CPL)
				}
			}
			if n.host.kept[gone] {
				t.Error("a peer that has left the table is protected")
			}
		}
		check("")
		if kept := len(n.host.kept); kept == 0 || kept > n.cfg.K+keptPerBucket*len(n.cfg.Table.Buckets()) {
			t.Errorf("%d peers are protected", kept)
		}
		gone := n.cfg.Table.Neighbours(1)[0].ID
		n.cfg.Table.Wants(gone) // it does not say that it serves
		if next := n.keepDue(time.Now(), nil); next.IsZero() || !n.host.kept[gone] {
			t.Error("the contacts are chosen again within a second")
		}
		time.Sleep(keepPause)
		n.keepDue(time.Now(), nil)
		check(gone)

		other := n.cfg.Table.Neighbours(1)[0].ID
		if n.protected(other) || !n.host.kept[other] {
			t.Error("what the room protects counts as protected by others, or is not protected any more")
		}
		n.host.protected[other] = true
		if !n.protected(other) {
			t.Error("a peer that others protect does not count")
		}
		n.Release()
		if len(n.host.kept) > 0 || !n.protected(other) {
			t.Errorf("%d peers are protected after the end", len(n.host.kept))
		}
	})
}
