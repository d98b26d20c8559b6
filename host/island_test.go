package host

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// A node that joined through one that knew nobody, and so knows that one only,
// finds the others soon after it has met them, long before a bucket is refreshed.
func TestOrphanHeals(t *testing.T) { synctest.Test(t, testOrphanHeals) }

func testOrphanHeals(t *testing.T) {
	n := newMemNet(t, link)
	cfg := Config{K: 8, RefreshInterval: 24 * time.Hour}
	network := n.nodes(30, cfg)
	orphan := n.node(cfg)
	through := cfg
	through.Bootstrap = []peer.AddrInfo{info(orphan.host)}
	late := n.node(through)
	time.Sleep(time.Hour)
	if knows(late, network[0].host) || !knows(late, orphan.host) {
		t.Fatal("the two are not apart from the others")
	}
	if err := orphan.host.Connect(t.Context(), info(network[0].host)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(25 * time.Minute)
	for _, d := range []*DHT{orphan, late} {
		if d.small() {
			t.Errorf("it has %+v", d.peers.stats())
		}
	}
}

// Some nodes that were cut off together for hours, and whose bootstrap peers are gone
// for good, know but each other. They find the others again through those they
// knew.
func TestIslandHeals(t *testing.T) { synctest.Test(t, testIslandHeals) }

func testIslandHeals(t *testing.T) {
	n := newMemNet(t, link)
	cfg := Config{K: 8, RefreshInterval: time.Hour}
	network := n.nodes(30, cfg)
	island := make(map[*DHT]bool)
	var bootstrap []peer.ID
	for range 3 {
		d := n.join(cfg)
		island[d] = true
		bootstrap = append(bootstrap, d.cfg.Bootstrap[0].ID)
		time.Sleep(time.Minute)
	}
	n.partition(func(a, b *DHT) bool { return island[a] == island[b] })
	for _, id := range bootstrap {
		if d := n.find(id); d != nil && !island[d] {
			n.kill(d)
		}
	}
	time.Sleep(6 * time.Hour)
	together := 0
	for d := range island {
		if got := d.peers.stats(); !got.Offline && got.Contacts-got.Suspects < len(island) {
			together++
		}
	}
	if together < 2 {
		t.Fatalf("%d nodes know but each other", together)
	}
	n.partition(nil)
	time.Sleep(10 * time.Minute)
	for d := range island {
		if d.small() {
			t.Errorf("it has %+v", d.peers.stats())
		}
		if found, err := network[0].ClosestPeers(t.Context(), []byte(d.self)); err != nil || found[0].ID != d.self {
			t.Errorf("others do not find it: %v", err)
		}
	}
}

// Former contacts are bounded in number and age, and are those only that are no
// contacts now.
func TestFormer(t *testing.T) {
	var f former
	now := time.Now()
	c := func(i int) routing.Contact {
		c := routing.ContactOf(peer.ID(rune(i)))
		c.Wire = []byte("somewhere")
		return c
	}
	for i := range maxFormer + 10 {
		f.add(now.Add(time.Duration(i)*time.Second), c(i))
	}
	f.add(now, c(20))
	f.add(now, routing.ContactOf("nowhere"))
	f.remove(c(21).ID)
	if len(f) != maxFormer-1 || f[0].ID != c(20).ID {
		t.Errorf("%d are remembered, first %q", len(f), f[0].ID)
	}
	if drawn := f.draw(now, 1000); len(drawn) != len(f) || drawn[0].ID != f[0].ID {
		t.Errorf("%d are drawn", len(drawn))
	}
	if drawn := f.draw(now, 3); len(drawn) != 3 || drawn[0].ID == drawn[1].ID {
		t.Errorf("drawn are %v", drawn)
	}
	if drawn := f.draw(now.Add(formerAge+time.Minute), 1000); len(drawn) == 0 || len(drawn) > maxFormer-40 {
		t.Errorf("%d are younger than formerAge", len(drawn))
	}
}
