package dht

import (
	"slices"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A QueryFilterFunc reports whether a lookup may ask a peer. The first argument has the
// method Host of a DHT, and no other.
type QueryFilterFunc = func(dht any, info peer.AddrInfo) bool

// A RouteTableFilterFunc reports whether a peer may be in the routing table. The first
// argument is that of a QueryFilterFunc.
type RouteTableFilterFunc = func(dht any, id peer.ID) bool

// QueryFilter sets which peers lookups may ask.
func QueryFilter(f QueryFilterFunc) Option { return set(func(c *config) { c.mayAsk = f }) }

// RoutingTableFilter sets which peers may be in the routing table. A peer that it refuses
// while it is connected is not asked by lookups either.
func RoutingTableFilter(f RouteTableFilterFunc) Option {
	return set(func(c *config) { c.mayEnter = f })
}

// A hosted is what filters are given in place of a DHT, which does not exist yet when they are
// called first.
type hosted struct{ host lhost.Host }

// Host returns the host of the DHT.
func (h hosted) Host() lhost.Host { return h.host }

// accept returns both filters as one; nil if there is none. A peer enters the table when it
// has answered, and so while it is connected: filters of the table look at its connections.
func (c *config) accept(h lhost.Host) func(peer.AddrInfo) bool {
	if c.mayAsk == nil && c.mayEnter == nil {
		return nil
	}
	return func(p peer.AddrInfo) bool {
		if c.mayAsk != nil && !c.mayAsk(hosted{h}, p) {
			return false
		}
		return c.mayEnter == nil || h.Network().Connectedness(p.ID) != network.Connected || c.mayEnter(hosted{h}, p.ID)
	}
}

// PublicQueryFilter accepts peers with an address on the internet.
func PublicQueryFilter(_ any, info peer.AddrInfo) bool {
	return slices.ContainsFunc(info.Addrs, func(a multiaddr.Multiaddr) bool { return direct(a) && manet.IsPublicAddr(a) })
}

// PrivateQueryFilter accepts peers with an address.
func PrivateQueryFilter(_ any, info peer.AddrInfo) bool { return len(info.Addrs) > 0 }

// PublicRoutingTableFilter accepts connected peers of which the host knows an address on the
// internet.
func PublicRoutingTableFilter(dht any, id peer.ID) bool {
	h := hostOf(dht)
	return h != nil && h.Network().Connectedness(id) == network.Connected && PublicQueryFilter(dht, h.Peerstore().PeerInfo(id))
}

// PrivateRoutingTableFilter accepts peers that are connected over a private address.
func PrivateRoutingTableFilter(dht any, id peer.ID) bool {
	h := hostOf(dht)
	return h != nil && slices.ContainsFunc(h.Network().ConnsToPeer(id), func(c network.Conn) bool {
		return direct(c.RemoteMultiaddr()) && !manet.IsPublicAddr(c.RemoteMultiaddr())
	})
}

// hostOf returns the host of what a filter was given; nil if it has none.
func hostOf(dht any) lhost.Host {
	if d, ok := dht.(interface{ Host() lhost.Host }); ok {
		return d.Host()
	}
	return nil
}

// direct reports whether an address does not lead through a relay.
func direct(a multiaddr.Multiaddr) bool {
	_, err := a.ValueForProtocol(multiaddr.P_CIRCUIT)
	return err != nil
}
