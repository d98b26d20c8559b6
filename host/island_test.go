package host

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
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
