package dht

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/kadtest"
)

// Each filter keeps a peer out of the routing table, and is given a host.
func TestFilters(t *testing.T) { synctest.Test(t, testFilters) }

func testFilters(t *testing.T) {
	network := kadtest.New(t, kadtest.Config{})
	hosts := network.AddHosts(4)
	first := hosts[0].Info()
	refused := hosts[1].ID()
	var calls atomic.Int32
	may := func(d any, id peer.ID) bool {
		calls.Add(1)
		if d.(interface{ Host() lhost.Host }).Host() == nil {
			t.Error("a filter is given no host")
		}
		return id != refused
	}
	filters := [][]Option{
		nil, nil,
		{QueryFilter(func(d any, info peer.AddrInfo) bool { return may(d, info.ID) })},
		{RoutingTableFilter(may)},
	}
	var nodes []*IpfsDHT
	for i, h := range hosts {
		d, err := New(h.Host, append(filters[i], ProtocolPrefix("/compat"), Mode(ModeServer), BootstrapPeers(first))...)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		nodes = append(nodes, d)
	}
	time.Sleep(time.Minute)
	for i, d := range nodes {
		want := 3
		if filters[i] != nil {
			want = 2
		}
		if got := d.RoutingTable().Size(); got != want {
			t.Errorf("node %d has %d contacts, want %d", i, got, want)
		}
		if filters[i] != nil && d.RoutingTable().Find(refused) != "" {
			t.Errorf("node %d has the refused peer as a contact", i)
		}
	}
	if calls.Load() == 0 {
		t.Error("no filter was called")
	}
}

// The filters of go-libp2p-kad-dht look at addresses.
func TestKnownFilters(t *testing.T) {
	for text, public := range map[string]bool{
		"/ip4/8.8.8.8/tcp/1": true, "/ip4/10.0.0.1/tcp/1": false, "/ip4/127.0.0.1/tcp/1": false,
		"/ip4/8.8.8.8/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N/p2p-circuit": false,
	} {
		info := peer.AddrInfo{Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(text)}}
		if got := PublicQueryFilter(nil, info); got != public {
			t.Errorf("PublicQueryFilter of %s is %v", text, got)
		}
		if !PrivateQueryFilter(nil, info) {
			t.Errorf("PrivateQueryFilter refuses %s", text)
		}
	}
	if PrivateQueryFilter(nil, peer.AddrInfo{}) || PublicQueryFilter(nil, peer.AddrInfo{}) {
		t.Error("a peer without an address is accepted")
	}
	if PublicRoutingTableFilter(nil, "a") || PrivateRoutingTableFilter(nil, "a") {
		t.Error("a filter without a host accepts a peer")
	}
}
