package network_test

import (
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// alone returns a node that joins through no other.
func alone(n *kadtest.Network, cfg kad.Config) *kadtest.Node {
	nowhere := n.AddHosts(1)[0]
	n.Kill(nowhere)
	cfg.Bootstrap = []peer.AddrInfo{nowhere.Info()}
	return n.Add(1, with(cfg))[0]
}

// A node that joined through one that knew no other, and so knows that one only, finds
// the others soon after it is connected to them, long before a bucket is refreshed.
func TestOrphanHeals(t *testing.T) { bubble(t, testOrphanHeals) }

func testOrphanHeals(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: link})
	cfg := kad.Config{K: 8, RefreshInterval: 24 * time.Hour}
	network := joined(n, 30, cfg)
	orphan := alone(n, cfg)
	through := cfg
	through.Bootstrap = []peer.AddrInfo{orphan.Info()}
	late := n.Add(1, with(through))[0]
	time.Sleep(time.Hour)
	if knows(late, network[0].ID()) || !knows(late, orphan.ID()) {
		t.Fatal("the two are not apart from the others")
	}
	if err := orphan.Host.Connect(t.Context(), network[0].Info()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(25 * time.Minute)
	for _, d := range []*kadtest.Node{orphan, late} {
		if small(d, cfg.K) {
			t.Errorf("it has %+v", d.DHT.Stats())
		}
	}
}

// Some nodes that were cut off together for hours, and whose bootstrap peers are gone
// for good, know only each other. They find the others again through contacts that they
// had before.
func TestIslandHeals(t *testing.T) { bubble(t, testIslandHeals) }

func testIslandHeals(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: link})
	cfg := kad.Config{K: 8, RefreshInterval: time.Hour}
	network := joined(n, 30, cfg)
	var island []*kadtest.Node
	entries := network[27:]
	for _, entry := range entries {
		through := cfg
		through.Bootstrap = []peer.AddrInfo{entry.Info()}
		island = append(island, n.Add(1, with(through))...)
		time.Sleep(time.Minute)
	}
	n.Partition(island)
	n.Kill(entries...)
	time.Sleep(6 * time.Hour)
	together := 0
	for _, d := range island {
		if s := d.DHT.Stats(); !s.Offline && s.Contacts-s.Suspects < len(island) {
			together++
		}
	}
	if together < 2 {
		t.Fatalf("%d nodes know only each other", together)
	}
	n.Heal()
	time.Sleep(10 * time.Minute)
	for _, d := range island {
		if small(d, cfg.K) {
			t.Errorf("it has %+v", d.DHT.Stats())
		}
		found, err := network[0].DHT.ClosestPeers(t.Context(), []byte(d.ID()))
		if err != nil || !slices.ContainsFunc(found, func(p peer.AddrInfo) bool { return p.ID == d.ID() }) {
			t.Errorf("others do not find it: %v", err)
		}
	}
}

// A bootstrap peer that was away, and came back without contacts, is found again by
// nodes that know each other: a node that joins through it then is in one network with
// them.
func TestReunite(t *testing.T) { bubble(t, testReunite) }

func testReunite(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: link})
	seed := alone(n, kad.Config{})
	through := kad.Config{Bootstrap: []peer.AddrInfo{seed.Info()}}
	nodes := n.Add(2, with(through))
	time.Sleep(time.Minute)
	if !knows(nodes[0], seed.ID()) || !knows(nodes[0], nodes[1].ID()) {
		t.Fatal("the network did not form")
	}

	n.Unplug(seed)
	time.Sleep(10 * time.Minute)
	n.Restart(seed)
	time.Sleep(10 * time.Second)
	if knows(nodes[0], seed.ID()) || seed.DHT.Stats().Contacts > 0 {
		t.Fatal("the seed is not apart")
	}
	n.Heal()
	time.Sleep(time.Hour)
	if !knows(seed, nodes[0].ID()) && !knows(seed, nodes[1].ID()) {
		t.Fatal("no node has found the seed again")
	}

	if err := nodes[0].DHT.PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	late := n.Add(1, with(through))[0]
	if got, err := late.DHT.GetValue(t.Context(), "/v/key"); err != nil || string(got) != "1" {
		t.Errorf("a node that joined through the seed gets %q, %v", got, err)
	}
}
