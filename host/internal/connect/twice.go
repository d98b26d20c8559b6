package connect

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: two peers that connect to each other at the same time have two relayed
// connections, one in each direction. Each end then punches, over whichever connection the
// swarm takes; the other end refuses that over a connection that it has not dialled, and
// nothing is tried again. So one of the two is closed, as soon as there are two: that of the
// peer with the greater ID, by the peer that has dialled it.
//
// It can go when the hole punching service takes the connection that it was told of.

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/scope"
)

// KeepOneRelayed closes the second relayed connection to a peer, until the function that it
// returns is called.
func (c *Connector) KeepOneRelayed() (stop func()) {
	bundle := &network.NotifyBundle{ConnectedF: func(_ network.Network, conn network.Conn) {
		if scope.Relayed(conn) {
			c.closeSecond(conn.RemotePeer())
		}
	}}
	c.cfg.Host.Network().Notify(bundle)
	return func() { c.cfg.Host.Network().StopNotify(bundle) }
}

// withoutTCP returns the addresses of the peer that are not public ones of TCP, and has the
// host forget these. Two hosts behind NATs that dial each other at once are connected then,
// and both are the client, which no security protocol of libp2p permits; the routers then
// let no later attempt through, not even a punch, which gives each side its part.
func (a *attempt) withoutTCP(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	book := a.cfg.Host.Peerstore()
	book.SetAddrs(a.id, slices.DeleteFunc(book.Addrs(a.id), func(addr multiaddr.Multiaddr) bool { return !clashes(addr) }), 0)
	return slices.DeleteFunc(slices.Clone(addrs), clashes)
}

// clashes reports whether an address is a public one of TCP.
func clashes(addr multiaddr.Multiaddr) bool {
	return scope.HasProtocol(addr, multiaddr.P_TCP) && !scope.HasProtocol(addr, multiaddr.P_CIRCUIT) && scope.Of(addr) == scope.Public
}

// maxUnpunched bounds the addresses of TCP of one peer that are not dialled until a hole is
// punched. A peer names what it likes as its own, also the addresses of others, which are not
// dialled over TCP then. An honest one has one or two, and old ones.
const maxUnpunched = 4

// untilPunched returns the addresses that may be dialled while no hole is punched: behind a NAT,
// not the public ones of TCP of peers that are connected through relays alone, up to maxUnpunched
// of each. The hole punching service dials these for 2 s before it punches: in vain if the peer is
// behind a NAT, but the router of this host keeps an entry. In three runs, the first packet of the
// peer's punch came up to 6 ms before this host dialled. Then the entry lets it in, the listening
// socket answers, and the router drops the answer, whose sequence number is not that of the entry.
// The half-open connection keeps the port for a minute, in which all punches leave from other
// ports. itest/nat/RESULTS.md says what of this was seen.
func (c *Connector) untilPunched(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	if !slices.ContainsFunc(addrs, clashes) || !c.cfg.Reach.NeedsRelay() {
		return addrs
	}
	h := c.cfg.Host
	var punched []multiaddr.Multiaddr
	for _, conn := range h.Network().Conns() {
		if id := conn.RemotePeer(); scope.Relayed(conn) && c.directTo(id) == nil {
			theirs := slices.DeleteFunc(h.Peerstore().Addrs(id), func(a multiaddr.Multiaddr) bool { return !clashes(a) })
			punched = append(punched, scope.Best(theirs, nil, maxUnpunched)...)
		}
	}
	return slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool {
		return clashes(a) && slices.ContainsFunc(punched, a.Equal)
	})
}

// closeSecond closes the relayed connections that this host has dialled, if the peer has
// dialled one too, and has the smaller ID.
func (c *Connector) closeSecond(id peer.ID) {
	if id > c.cfg.Host.ID() {
		return
	}
	var ours, theirs []network.Conn
	for _, conn := range c.cfg.Host.Network().ConnsToPeer(id) {
		switch {
		case !scope.Relayed(conn) || conn.IsClosed():
		case conn.Stat().Direction == network.DirOutbound:
			ours = append(ours, conn)
		default:
			theirs = append(theirs, conn)
		}
	}
	if len(theirs) == 0 {
		return
	}
	for _, conn := range ours {
		_ = conn.Close()
	}
}
