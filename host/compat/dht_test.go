package dht

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startNodes starts a node with its options on each host, which joins through the first one.
func startNodes(t *testing.T, hosts []*kadtest.Node, optionsOf func(i int) []Option) []*IpfsDHT {
	t.Helper()
	nodes := make([]*IpfsDHT, len(hosts))
	for i, h := range hosts {
		d, err := New(h.Host, append(optionsOf(i), BootstrapPeers(hosts[0].Info()))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		nodes[i] = d
	}
	return nodes
}

// Options come to the Config that does the same.
func TestOptions(t *testing.T) {
	a := peer.AddrInfo{ID: "a"}
	tests := []struct {
		name string
		opts []Option
		is   func(c *config) bool
	}{
		{"none", nil, func(c *config) bool {
			return c.Network == "/ipfs" && c.PublisherOnly && len(c.Validators) == 2 && len(c.Bootstrap) == 0 && c.Mode == kad.ModeAuto
		}},
		{"network", []Option{ProtocolPrefix("/x")}, func(c *config) bool { return c.Network == "/x" && !c.PublisherOnly }},
		{"extension", []Option{ProtocolExtension("/lan")}, func(c *config) bool { return c.Network == "/ipfs/lan" && !c.PublisherOnly }},
		{"protocol", []Option{V1ProtocolOverride("/y/kad/1.0.0")}, func(c *config) bool { return c.Network == "/y" }},
		{"client", []Option{Mode(ModeClient)}, func(c *config) bool { return c.Mode == kad.ModeClient }},
		{"server", []Option{Mode(ModeServer)}, func(c *config) bool { return c.Mode == kad.ModeServer }},
		{"auto server", []Option{Mode(ModeAutoServer)}, func(c *config) bool { return c.Mode == kad.ModeAuto }},
		{"bootstrap", []Option{BootstrapPeers(a)}, func(c *config) bool { return len(c.Bootstrap) == 1 }},
		{"bootstrap function", []Option{BootstrapPeersFunc(func() []peer.AddrInfo { return []peer.AddrInfo{a, a} })}, func(c *config) bool {
			found, err := c.FindBootstrap(t.Context())
			return len(found) == 2 && err == nil
		}},
		{"diversity", []Option{RoutingTablePeerDiversityFilter(NewRTPeerDiversityFilter(nil, 3, 7))}, func(c *config) bool { return c.MaxPerGroup == 3 }},
		{"validator", []Option{NamespacedValidator("v", record.PublicKeyValidator{})}, func(c *config) bool { return len(c.Validators) == 3 }},
		{"validators", []Option{Validator(record.NamespacedValidator{})}, func(c *config) bool { return len(c.Validators) == 0 }},
		{"numbers", []Option{BucketSize(7), Concurrency(3), MaxRecordAge(time.Hour), RoutingTableRefreshPeriod(time.Minute)}, func(c *config) bool {
			return c.K == 7 && c.Alpha == 3 && c.RecordAge == time.Hour && c.RefreshInterval == time.Minute
		}},
		{"for ever", []Option{MaxRecordAge(0), DisableAutoRefresh()}, func(c *config) bool { return c.RecordAge < 0 && c.RefreshInterval < 0 }},
		{"without effect", []Option{
			Resiliency(1), LookupCheckConcurrency(1), RoutingTableRefreshQueryTimeout(1), RoutingTableLatencyTolerance(1),
			EnableOptimisticProvide(), OptimisticProvideJobsPoolSize(1), ValueGCInterval(1),
		}, func(c *config) bool { return c.K == 0 && c.Alpha == 0 && c.RecordAge == 0 }},
	}
	for _, tt := range tests {
		c, err := newConfig(tt.opts)
		if err != nil || !tt.is(c) {
			t.Errorf("%s: %+v, %v", tt.name, c, err)
		}
	}
}

// What would not be done is an error that names it.
func TestUnsupported(t *testing.T) {
	for name, o := range map[string]Option{
		"mode": Mode(9), "V1ProtocolOverride": V1ProtocolOverride("/y/kad/2.0.0"), "Validator": Validator(record.PublicKeyValidator{}),
	} {
		if _, err := New(nil, o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The methods of go-libp2p-kad-dht work in a network, and its datastore is used.
func TestMethods(t *testing.T) { synctest.Test(t, testMethods) }

func testMethods(t *testing.T) {
	const size = 40
	network := kadtest.New(t, kadtest.Config{})
	store := dssync.MutexWrap(ds.NewMapDatastore())
	nodes := startNodes(t, network.AddHosts(size), func(i int) []Option {
		opts := []Option{ProtocolPrefix("/compat"), Mode(ModeServer), BucketSize(10)}
		if i == 0 {
			opts = append(opts, Datastore(store))
		}
		return opts
	})
	last := nodes[size-1]
	for _, d := range nodes {
		if err := d.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
	if n, err := last.NetworkSize(); err != nil || n < size/2 || n > 2*size {
		t.Errorf("NetworkSize() = %d, %v; want about %d", n, err, size)
	}
	if ids, err := last.GetClosestPeers(t.Context(), "key"); err != nil || len(ids) != 10 {
		t.Errorf("GetClosestPeers() = %d peers, %v; want 10", len(ids), err)
	}
	if err := <-last.ForceRefresh(); err != nil {
		t.Errorf("ForceRefresh(): %v", err)
	}
	if last.BucketSize() != 10 || last.Mode() != ModeServer || last.RoutingTable().Size() == 0 || last.RoutingTable().Find("x") != "" {
		t.Errorf("k %d, mode %d, %d contacts", last.BucketSize(), last.Mode(), last.RoutingTable().Size())
	}
	if got := last.FindLocal(t.Context(), "x"); got.ID != "" {
		t.Errorf("FindLocal() = %v; want nothing of a peer that is not connected", got)
	}
}
