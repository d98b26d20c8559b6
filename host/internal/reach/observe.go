package reach

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/go-kad/kad/host/internal/scope"
)

// Dialled records that the host dials a peer, or that its connection ended.
func (r *Reach) Dialled(id peer.ID) {
	r.locked(func(now time.Time) { r.dialled.add(now, id) })
}

// Observe takes note of where a connected peer is, and of which side dialled.
func (r *Reach) Observe(conn network.Conn) {
	if conn == nil || scope.OfConn(conn) != scope.Public || scope.Relayed(conn) {
		return
	}
	speaks := r.cfg.Table.Speaks(conn.RemotePeer())
	inbound := conn.Stat().Direction == network.DirInbound
	apart := inbound && r.apart(conn)
	r.change(func(now time.Time) {
		if conn.Stat().Direction == network.DirOutbound {
			r.dialled.add(now, conn.RemotePeer())
		}
		if apart && !r.dialled.has(now, conn.RemotePeer()) {
			r.facts.dialled = now
		}
		r.facts.publicPeer = r.facts.publicPeer || speaks
	})
}

// apart reports whether no connection explains that the peer of an inbound one could
// reach the host: there is none to its IP address that the host dialled, and none through
// a relay, over which both sides dial to punch a hole.
func (r *Reach) apart(conn network.Conn) bool {
	if slices.ContainsFunc(r.cfg.Host.Network().ConnsToPeer(conn.RemotePeer()), scope.Relayed) {
		return false
	}
	ip, err := manet.ToIP(conn.RemoteMultiaddr())
	return err == nil && !slices.ContainsFunc(r.cfg.Host.Network().Conns(), func(c network.Conn) bool {
		other, err := manet.ToIP(c.RemoteMultiaddr())
		return err == nil && c.Stat().Direction == network.DirOutbound && other.Equal(ip)
	})
}
