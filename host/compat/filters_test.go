package dht

import (
	"slices"
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
	nodes := startNodes(t, hosts, func(i int) []Option { return append(filters[i], ProtocolPrefix("/compat"), Mode(ModeServer)) })
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

// Addresses that the filter leaves out are not dialled: of two peers that leave out each other's,
// neither has the other as a contact, nor does its host know an address of it.
func TestAddressFilter(t *testing.T) { synctest.Test(t, testAddressFilter) }

func testAddressFilter(t *testing.T) {
	network := kadtest.New(t, kadtest.Config{})
	hosts := network.AddHosts(3)
	without := func(other *kadtest.Node) Option {
		return AddressFilter(func(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
			return slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool {
				return slices.ContainsFunc(other.Host.Addrs(), a.Equal)
			})
		})
	}
	filters := [][]Option{nil, {without(hosts[2])}, {without(hosts[1])}}
	var nodes []*IpfsDHT
	for i, h := range hosts {
		d, err := New(h.Host, append(filters[i], ProtocolPrefix("/compat"), Mode(ModeServer), BootstrapPeers(hosts[0].Info()))...)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		if d.Host() != h.Host {
			t.Error("Host returns another host")
		}
		nodes = append(nodes, d)
	}
	time.Sleep(time.Minute)
	for i, want := range []int{2, 1, 1} {
		if got := nodes[i].RoutingTable().Size(); got != want {
			t.Errorf("node %d has %d contacts, want %d", i, got, want)
		}
	}
	if got := hosts[1].Host.Peerstore().Addrs(hosts[2].Host.ID()); len(got) > 0 {
		t.Errorf("the host knows %v", got)
	}
	if _, err := nodes[1].Connect(t.Context(), hosts[2].Host.ID()); err == nil {
		t.Error("a peer is reached at addresses that the filter leaves out")
	}
}
