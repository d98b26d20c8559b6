package scope_test

import (
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
)

// Addresses of all protocols in any order, and none, have a scope, a rank and a network.
func TestOddAddrs(t *testing.T) {
	addrs := roomtest.OddAddrs(t)
	for _, a := range addrs {
		public := scope.Of(a) == scope.Public
		if group, wide := scope.Group(a), scope.Wide(a); (group == "") != (wide == "") || group != "" && !public {
			t.Errorf("%v is in the networks %q and %q", a, group, wide)
		}
		if place, network := scope.Dialled(a); (place != "") != public || network != "" && !public {
			t.Errorf("%v, public %v, counts as %q in %q", a, public, place, network)
		}
		if at := scope.AddrPort(a); at.IsValid() && !scope.HasProtocol(a[1:2], multiaddr.P_TCP) && !scope.HasProtocol(a[1:2], multiaddr.P_UDP) {
			t.Errorf("%v has the port %v", a, at)
		}
		if id, ok := scope.RelayOf(a); ok != (id != "") || ok && !scope.HasProtocol(a, multiaddr.P_CIRCUIT) {
			t.Errorf("%v has the relay %q", a, id)
		}
		conn := roomtest.NewConn("a peer", a)
		if scope.OfConn(conn) != scope.Of(a) || scope.Relayed(conn) != scope.HasProtocol(a, multiaddr.P_CIRCUIT) {
			t.Errorf("a connection at %v is of another scope", a)
		}
		scope.NetworksOf([]multiaddr.Multiaddr{a})
	}
	proved := scope.Proved([]network.Conn{roomtest.NewConn(peer.ID("a"), nil), roomtest.NewConn(peer.ID("b"), addrs[len(addrs)/2])})
	for some := range slices.Chunk(addrs, 100) { // as many as the messages of some peers have
		if ranked := scope.Rank(some, proved); !scope.Same(ranked, some) {
			t.Errorf("of %d addresses, %d are ranked", len(some), len(ranked))
		}
		scope.ListensPublic(some)
		for _, s := range []scope.Scope{scope.Loopback, scope.Private, scope.Public} {
			if len(scope.Reaching(some, s)) > len(some) || len(scope.WithoutRelays(some)) > len(some) {
				t.Error("addresses were added")
			}
		}
	}
}
