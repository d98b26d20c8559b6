package table

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/routing"
)

// allows reports whether Config.Accept lets a peer take part that is known at these
// addresses. Call it without a lock.
func (t *Table) allows(id peer.ID, addrs []multiaddr.Multiaddr) bool {
	return t.cfg.Accept == nil || id == t.cfg.Host.ID() || t.cfg.Accept(peer.AddrInfo{ID: id, Addrs: addrs})
}

// refuses reports whether Config.Accept refuses a peer as the host knows it: the addresses of
// its connections come first.
func (t *Table) refuses(id peer.ID) bool { return t.cfg.Accept != nil && !t.allows(id, t.known(id)) }

// accepts reports whether Config.Accept lets a peer take part. A peer that it refuses is
// noted, and leaves the table.
func (t *Table) accepts(id peer.ID) bool {
	if !t.refuses(id) {
		return true
	}
	t.noteFiltered(id, "Config.Accept refuses it")
	t.remove(id)
	return false
}

// known returns the addresses of a peer that the host knows, those of its connections first.
func (t *Table) known(id peer.ID) []multiaddr.Multiaddr {
	var addrs []multiaddr.Multiaddr
	for _, conn := range t.cfg.Host.Network().ConnsToPeer(id) {
		addrs = append(addrs, conn.RemoteMultiaddr())
	}
	for _, a := range t.cfg.Host.Peerstore().Addrs(id) {
		if !slices.ContainsFunc(addrs, a.Equal) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// MayAsk reports whether a lookup may ask a contact: an address of it is known, in its Wire
// or to the host, and Config.Accept lets it take part. addrs are those of its Wire.
func (t *Table) MayAsk(c routing.Contact, addrs []multiaddr.Multiaddr) bool {
	if len(addrs) == 0 && t.cfg.Accept != nil {
		addrs = t.cfg.Host.Peerstore().Addrs(c.ID)
	}
	known := c.Wire != nil || len(t.cfg.Host.Peerstore().Addrs(c.ID)) > 0
	return known && t.allows(c.ID, addrs)
}
