package connect

import (
	"fmt"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
)

// Of two relayed connections to a peer, one in each direction, the peer with the greater ID
// closes the one that it has dialled.
func TestKeepOneRelayed(t *testing.T) {
	n := newNode(t)
	smaller, greater := calltest.ID(100), calltest.ID(102)
	n.host.id = calltest.ID(101)
	stop := n.KeepOneRelayed()
	for name, tt := range map[string]struct {
		id               peer.ID
		addr             string
		first, second    network.Direction
		closes1, closes2 bool
	}{
		"both, and ours was first":      {smaller, relayedAddr, network.DirOutbound, network.DirInbound, true, false},
		"both, and ours was second":     {smaller, relayedAddr, network.DirInbound, network.DirOutbound, false, true},
		"both, and the peer is greater": {greater, relayedAddr, network.DirOutbound, network.DirInbound, false, false},
		"both are ours":                 {smaller, relayedAddr, network.DirOutbound, network.DirOutbound, false, false},
		"both are direct":               {smaller, publicAddr, network.DirOutbound, network.DirInbound, false, false},
	} {
		n.host.net.dir = tt.first
		first := n.host.net.open(tt.id, tt.addr)
		n.host.net.dir = tt.second
		second := n.host.net.open(tt.id, tt.addr)
		if first.IsClosed() != tt.closes1 || second.IsClosed() != tt.closes2 {
			t.Errorf("%s: the first is closed: %v, the second: %v; want %v, %v", name, first.IsClosed(), second.IsClosed(), tt.closes1, tt.closes2)
		}
		_, _ = first.Close(), second.Close()
	}
	n.host.net.dir = network.DirInbound
	n.host.net.open(smaller, relayedAddr).ended = true
	n.host.net.dir = network.DirOutbound
	if last := n.host.net.open(smaller, relayedAddr); last.IsClosed() {
		t.Error("the only one is closed, since the other one has ended and is not yet forgotten")
	}
	for _, c := range n.host.net.ConnsToPeer(smaller) {
		_ = c.Close()
	}
	stop()
	n.host.net.dir = network.DirOutbound
	first := n.host.net.open(smaller, relayedAddr)
	n.host.net.dir = network.DirInbound
	n.host.net.open(smaller, relayedAddr)
	if first.IsClosed() {
		t.Error("a connection was closed after the end")
	}
}

// Behind a NAT, a peer that has relays is not dialled over TCP directly; one that is near, or
// has none, is.
func TestWithoutTCP(t *testing.T) {
	n := newNode(t)
	const tcp, near = "/ip4/61.2.0.1/tcp/4001", "/ip4/192.168.1.9/tcp/4001"
	n.host.Peerstore().AddAddrs(target, roomtest.Addrs(tcp, near, publicAddr), peerstore.TempAddrTTL)
	a := &attempt{Connector: n.Connector, id: target}
	got := a.withoutTCP(roomtest.Addrs(tcp, near, publicAddr, relayedAddr))
	for _, addrs := range [][]string{{near, publicAddr}, {relayedAddr}} {
		for _, want := range addrs {
			if !contains(got, want) {
				t.Errorf("dials %v, want %s among them", got, want)
			}
		}
	}
	known := n.host.Peerstore().Addrs(target)
	if contains(got, tcp) || contains(known, tcp) || !contains(known, near) || !contains(known, publicAddr) {
		t.Errorf("dials %v, and knows %v; want both without %s", got, known, tcp)
	}
}

// A peer that is connected through a relay keeps few addresses from being dialled, however many it
// names as its own.
func TestHostileUnpunched(t *testing.T) {
	n := newNode(t)
	var claimed []multiaddr.Multiaddr
	for i := range 40 {
		claimed = append(claimed, multiaddr.StringCast(fmt.Sprintf("/ip4/61.%d.0.1/tcp/4001", i)))
	}
	n.host.Peerstore().AddAddrs(target, claimed, peerstore.TempAddrTTL)
	n.host.net.open(target, relayedAddr)
	if got := n.untilPunched(claimed); len(got) != len(claimed)-maxUnpunched {
		t.Errorf("%d of %d addresses are dialled", len(got), len(claimed))
	}
}

// Behind a NAT, a peer that is connected through relays alone is dialled over TCP in a punch
// alone, whatever dials it; one that is near, or connected directly, and others, are dialled.
func TestUntilPunched(t *testing.T) {
	n := newNode(t)
	const tcp, near, other = "/ip4/61.2.0.1/tcp/4001", "/ip4/192.168.1.9/tcp/4001", "/ip4/61.3.0.1/tcp/4001"
	n.host.Peerstore().AddAddrs(target, roomtest.Addrs(tcp, near, publicAddr), peerstore.TempAddrTTL)
	ranker := Ranker{Of: func() *Connector { return n.Connector }}
	check := func(when string, want bool) {
		t.Helper()
		var ranked []string
		for _, r := range ranker.Rank(roomtest.Addrs(tcp, near, other, publicAddr, relayedAddr)) {
			ranked = append(ranked, r.Addr.String())
		}
		for addr, want := range map[string]bool{tcp: want, near: true, other: true, publicAddr: true, relayedAddr: true} {
			if slices.Contains(ranked, addr) != want {
				t.Errorf("%s: dials %v; want %s among them: %v", when, ranked, addr, want)
			}
		}
	}
	check("not connected", true)
	n.host.net.open(target, relayedAddr)
	check("connected through a relay", false)
	n.host.net.open(target, publicAddr)
	check("connected directly", true)
	n.host.net.leave()
	n.host.net.open(target, relayedAddr)
	n.cfg.Reach.Handle(event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPublic})
	check("behind no NAT", true)
}
