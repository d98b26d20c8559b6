package host

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/peer"
	rdiscovery "github.com/libp2p/go-libp2p/p2p/discovery/routing"
)

// A node that advertises a namespace is found under it, by other nodes and not by itself,
// and under no other namespace.
func TestAdvertise(t *testing.T) { synctest.Test(t, testAdvertise) }

func testAdvertise(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(5, Config{})
	for _, d := range nodes[:3] {
		if ttl, err := d.Advertise(t.Context(), "lobby"); err != nil || ttl != 3*time.Hour {
			t.Fatalf("Advertise() = %v, %v; want 3h", ttl, err)
		}
	}
	find := func(d *DHT, ns string, opts ...discovery.Option) (found []peer.ID) {
		peers, err := d.FindPeers(t.Context(), ns, opts...)
		if err != nil {
			t.Fatal(err)
		}
		for p := range peers {
			found = append(found, p.ID)
			if len(p.Addrs) == 0 {
				t.Error("found a peer without an address")
			}
		}
		slices.Sort(found)
		return found
	}
	if got, want := find(nodes[4], "lobby"), ids(nodes[0].host, nodes[1].host, nodes[2].host); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	if got, want := find(nodes[0], "lobby"), ids(nodes[1].host, nodes[2].host); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	if got := find(nodes[4], "lobby", discovery.Limit(2)); len(got) != 2 {
		t.Errorf("found %d, want as many as the limit", len(got))
	}
	if got := find(nodes[4], "cellar"); len(got) != 0 {
		t.Errorf("found %v where nobody is", got)
	}
	count := 0
	for _, err := range nodes[4].Discover(t.Context(), "lobby", 2) {
		if err != nil {
			t.Error(err)
		}
		count++
	}
	if count != 2 {
		t.Errorf("discovered %d, want as many as the limit", count)
	}
}

// The TTL is what was asked for, but no longer than records are kept.
func TestAdvertiseTTL(t *testing.T) { synctest.Test(t, testAdvertiseTTL) }

func testAdvertiseTTL(t *testing.T) {
	n := newTestNet(t)
	long := n.nodes(2, Config{})[0]
	short := n.nodes(2, Config{RecordAge: time.Hour})[0]
	for _, tt := range []struct {
		d          *DHT
		give, want time.Duration
	}{
		{long, 0, 3 * time.Hour},
		{long, time.Minute, time.Minute},
		{long, 100 * time.Hour, 48 * time.Hour},
		{short, 0, time.Hour},
		{short, 2 * time.Hour, time.Hour},
	} {
		if got, err := tt.d.Advertise(t.Context(), "lobby", discovery.TTL(tt.give)); err != nil || got != tt.want {
			t.Errorf("TTL %v: %v, %v; want %v", tt.give, got, err, tt.want)
		}
	}
	if _, err := long.Advertise(t.Context(), "lobby", discovery.TTL(-time.Second)); err == nil {
		t.Error("a negative TTL is taken")
	}
}

// An empty namespace is an error that says so.
func TestEmptyNamespace(t *testing.T) { synctest.Test(t, testEmptyNamespace) }

func testEmptyNamespace(t *testing.T) {
	d := newTestNet(t).node(Config{})
	_, advertiseErr := d.Advertise(t.Context(), "")
	_, findErr := d.FindPeers(t.Context(), "")
	errs := []error{advertiseErr, findErr}
	for _, err := range d.Discover(t.Context(), "", 0) {
		errs = append(errs, err)
	}
	for i, err := range errs {
		if err == nil || !strings.Contains(err.Error(), "empty namespace") {
			t.Errorf("operation %d: %v, want one of the empty namespace", i, err)
		}
	}
	if len(errs) != 3 {
		t.Error("Discover yielded no error")
	}
}

// Our discovery and the routing discovery of go-libp2p find each other.
func TestRoutingDiscovery(t *testing.T) { synctest.Test(t, testRoutingDiscovery) }

func testRoutingDiscovery(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(4, Config{})
	ours, theirs := nodes[1], rdiscovery.NewRoutingDiscovery(nodes[2])
	if _, err := ours.Advertise(t.Context(), "lobby"); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Advertise(t.Context(), "lobby"); err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		by   discovery.Discoverer
		want peer.ID
	}{{ours, nodes[2].ID()}, {theirs, nodes[1].ID()}} {
		peers, err := tt.by.FindPeers(t.Context(), "lobby")
		if err != nil {
			t.Fatal(err)
		}
		var got []peer.ID
		for p := range peers {
			got = append(got, p.ID)
		}
		if !slices.Equal(got, []peer.ID{tt.want}) {
			t.Errorf("side %d found %v, want the other", i, got)
		}
	}
}
