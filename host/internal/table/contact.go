package table

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// Connected reports whether there is a connection to a peer.
func (t *Table) Connected(id peer.ID) bool {
	return t.cfg.Host.Network().Connectedness(id) == network.Connected
}

// Speaks reports whether a peer says that it serves this network.
func (t *Table) Speaks(id peer.ID) bool { return t.Supports(id, t.cfg.Protocol) }

// Supports reports whether a peer says that it speaks a protocol.
func (t *Table) Supports(id peer.ID, p lprotocol.ID) bool {
	known, err := t.cfg.Host.Peerstore().SupportsProtocols(id, p)
	return err == nil && len(known) > 0
}

// contact returns a peer as a contact: with the addresses that other peers may be given,
// and the network that it is in.
func (t *Table) contact(id peer.ID) routing.Contact {
	addrs := t.cfg.Host.Peerstore().Addrs(id)
	conns := t.cfg.Host.Network().ConnsToPeer(id)
	var seenAt multiaddr.Multiaddr
	for _, conn := range conns {
		if !scope.Relayed(conn) {
			seenAt = conn.RemoteMultiaddr()
			addrs = scope.Reaching(addrs, scope.Of(seenAt))
			break
		}
	}
	c := routing.ContactOf(id)
	c.Wire = announce.Encode(protocol.Peer{ID: id, Addrs: addrs}, scope.Proved(conns)...)
	c.RoundTrip = t.cfg.Host.Peerstore().LatencyEWMA(id)
	// The remote address of a connection is a fact, other addresses are claims.
	if seenAt != nil {
		c.Group, c.Network = scope.Group(seenAt), scope.Wide(seenAt)
	} else {
		c.Group, c.Network = scope.NetworksOf(addrs)
	}
	return c
}

// Wants takes in a connected peer whose protocols, or addresses, are known now or have
// changed. It returns true if the peer is to be introduced. A peer that does not serve, or
// that Config.Accept refuses, leaves the table.
func (t *Table) Wants(id peer.ID) bool {
	if !t.Speaks(id) {
		t.remove(id)
		return false
	}
	if !t.accepts(id) {
		return false
	}
	c := t.contact(id)
	if t.update(c) {
		return false
	}
	if !slices.ContainsFunc(t.cfg.Host.Network().ConnsToPeer(id), func(conn network.Conn) bool { return !conn.Stat().Limited }) {
		t.noteFiltered(id, "it is reached through a relay only, which cannot carry lookups")
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.contacts.Wants(c)
}

// update has the table know a contact, or one that waits to be one, as the host knows it now. It
// reports whether it is one.
func (t *Table) update(c routing.Contact) (known bool) {
	if held, ok := t.held(c.Key); ok && announce.SameAddrs(held.Wire, c.Wire) {
		c.Wire = held.Wire // a connection has changed their order, which is no move
	}
	t.change(func(now time.Time) bool {
		known = t.contacts.Update(now, c)
		return known // at its new address it is to be checked
	})
	return known
}

// remove takes a peer out of the table.
func (t *Table) remove(id peer.ID) {
	t.change(func(time.Time) bool { t.contacts.Remove(routing.ContactOf(id)); return false })
}

// WantsAsker takes in a peer that has sent a request: if it is a contact, it is checked later. It
// reports whether the peer is worth an introduction: it is no contact, not in doubt, says that it
// serves, and Config.Accept does not refuse it.
func (t *Table) WantsAsker(id peer.ID) (wants bool) {
	c := routing.ContactOf(id)
	news := false // it may be the first client
	tasks.Locked(&t.mu, func(now time.Time) {
		_, known := t.contacts.Contact(c.Key)
		t.contacts.Asked(now, c)
		wants = !known && (!t.live || !t.doubts.Has(now, id))
		news = !t.live && !t.single.served
	})
	if wants = wants && t.Speaks(id) && t.accepts(id); news && !wants {
		t.change(func(time.Time) bool { t.single.served = true; return false })
	}
	return wants
}

// maxNamed bounds the identified peers whose addresses are kept: some 200 bytes each, and 1.1 KiB
// at most.
const maxNamed = 8192

// Disconnected records that a connection to a peer has ended. A contact is then checked,
// and until it has answered, lookups wait less for it.
func (t *Table) Disconnected(id peer.ID) {
	t.change(func(now time.Time) (due bool) {
		if due = t.contacts.Doubt(now, routing.ContactOf(id)); due {
			t.doubts.Add(now, id)
		}
		return due
	})
}

// Identified keeps where a peer is announced once it has left: the addresses that it has named,
// and those that its connections prove, as far as the host knows them.
func (t *Table) Identified(id peer.ID, named []multiaddr.Multiaddr) {
	proved := t.Proved(id)
	addrs := slices.DeleteFunc(t.cfg.Host.Peerstore().Addrs(id), func(a multiaddr.Multiaddr) bool {
		return !slices.ContainsFunc(named, a.Equal) && !slices.ContainsFunc(proved, a.Equal)
	})
	wire := announce.Brief(nil, protocol.Peer{ID: id, Addrs: addrs}, time.Time{}, proved...)
	tasks.Locked(&t.mu, func(time.Time) {
		delete(t.named, id)
		if len(addrs) == 0 {
			return
		}
		for other := range t.named {
			if len(t.named) < maxNamed {
				break
			}
			delete(t.named, other)
		}
		t.named[id] = wire
	})
}

// Learn gives the host addresses of a peer, for as long as it takes to connect: identify and
// the table keep the addresses that prove good.
func (t *Table) Learn(id peer.ID, addrs []multiaddr.Multiaddr) {
	if !t.Connected(id) {
		t.cfg.Host.Peerstore().AddAddrs(id, addrs, peerstore.TempAddrTTL)
	}
}

// KeepDialled keeps the address at which this node has dialled a peer on the internet, if the
// peer has named no address that reaches as far: behind a forwarded port, it knows none
// before several peers have told it. Identify drops what a peer has not named. A connection
// for which a hole was punched proves no address: a relayed one is there, or was.
func (t *Table) KeepDialled(conn network.Conn) {
	if conn == nil || conn.Stat().Direction != network.DirOutbound || scope.Relayed(conn) || scope.OfConn(conn) != scope.Public {
		return
	}
	id := conn.RemotePeer()
	named := t.cfg.Host.Peerstore().Addrs(id)
	if len(scope.Reaching(named, scope.Public)) > 0 || slices.ContainsFunc(t.cfg.Host.Network().ConnsToPeer(id), scope.Relayed) {
		return
	}
	t.cfg.Host.Peerstore().AddAddr(id, conn.RemoteMultiaddr(), peerstore.ConnectedAddrTTL)
}

// Announcement returns a peer as it is given to other peers; this node itself is possible. It is
// nil if no address is known to be its own, or Config.Accept refuses the peer. The host knows
// others, for minutes, on the word of strangers: an answer would have them look proved. So a peer
// that is neither a contact nor connected is at the addresses that it named when it was connected
// last, for as long as the host keeps addresses of it (15 minutes), or at those that it has signed.
func (t *Table) Announcement(id peer.ID) announce.Wire {
	if id == t.cfg.Host.ID() {
		return t.ownAnnouncement()
	}
	if id.Validate() != nil || t.refuses(id) {
		return nil
	}
	addrs := t.cfg.Host.Peerstore().Addrs(id)
	if len(addrs) == 0 {
		return nil // as for most targets of FIND_NODE: there is no connection to look for
	}
	if c, ok := t.held(routing.KeyOf([]byte(id))); ok {
		return c.Wire
	}
	if t.cfg.Host.Network().Connectedness(id) == network.NotConnected {
		if wire, ok := t.whereNamed(id); ok {
			return wire
		}
		signed := t.Certified(id)
		addrs = slices.DeleteFunc(addrs, func(a multiaddr.Multiaddr) bool { return !slices.ContainsFunc(signed, a.Equal) })
	}
	return announce.Encode(protocol.Peer{ID: id, Addrs: addrs}, t.Proved(id)...)
}

// whereNamed returns a peer at the addresses that Identified has kept.
func (t *Table) whereNamed(id peer.ID) (wire announce.Wire, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wire, ok = t.named[id]
	return wire, ok
}

// Certified returns the addresses that a peer has signed, of those that the host keeps.
func (t *Table) Certified(id peer.ID) []multiaddr.Multiaddr {
	book, ok := peerstore.GetCertifiedAddrBook(t.cfg.Host.Peerstore())
	if !ok {
		return nil
	}
	envelope := book.GetPeerRecord(id)
	if envelope == nil {
		return nil
	}
	signed, err := envelope.Record()
	if rec, ok := signed.(*peer.PeerRecord); err == nil && ok {
		return announce.CertifiedAddrs(rec)
	}
	return nil
}

// ownAnnouncement is Announcement of this node.
func (t *Table) ownAnnouncement() announce.Wire {
	addrs := t.cfg.Host.Addrs()
	return announce.Encode(protocol.Peer{ID: t.cfg.Host.ID(), Addrs: addrs}, t.ownProved(addrs)...)
}

// Proved returns the addresses of a peer that connections to it prove.
func (t *Table) Proved(id peer.ID) []multiaddr.Multiaddr {
	return scope.Proved(t.cfg.Host.Network().ConnsToPeer(id))
}

// RankOwn returns addresses of this node, the most useful first: see [scope.Rank]. It says
// in the log, once, that there are more than are told.
func (t *Table) RankOwn(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	if len(addrs) > scope.MaxTold {
		t.crowded.Do(func() {
			log.Infow("the host has many addresses: the most useful are announced", "addresses", len(addrs), "announced", scope.MaxTold)
		})
	}
	return scope.Rank(addrs, t.ownProved(addrs))
}

// ownProved returns the addresses at which peers have reached this node: connections of
// theirs show them, and the dials back that AutoNAT has asked for. It is empty if there is
// only one address to choose from.
func (t *Table) ownProved(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	if len(addrs) < 2 {
		return nil
	}
	proved := scope.ProvedOwn(t.cfg.Host.Network().Conns())
	if h, ok := t.cfg.Host.(interface {
		ConfirmedAddrs() (reachable, unreachable, unknown []multiaddr.Multiaddr)
	}); ok {
		reachable, _, _ := h.ConfirmedAddrs()
		proved = append(proved, reachable...)
	}
	return proved
}

// Buckets returns the contents of the table.
func (t *Table) Buckets() []routing.Bucket {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.contacts.Buckets()
}
