package host

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// contact returns a peer as a contact of the table: with the addresses that we
// may tell others, and the network that it is in.
func (d *DHT) contact(id peer.ID) routing.Contact {
	addrs := d.host.Peerstore().Addrs(id)
	var seenAt multiaddr.Multiaddr
	for _, conn := range d.host.Network().ConnsToPeer(id) {
		if !relayed(conn) {
			seenAt = conn.RemoteMultiaddr()
			addrs = fit(addrs, scopeOf(seenAt))
			break
		}
	}
	c := routing.ContactOf(id)
	c.Wire = announce(id, addrs)
	c.RoundTrip = d.host.Peerstore().LatencyEWMA(id)
	// Where a connection comes from is a fact, an address is a claim.
	if seenAt != nil {
		c.Group = groupOf(seenAt)
	} else if len(addrs) > 0 {
		c.Group = groupOf(addrs[0])
	}
	return c
}

// answered records that a peer answered a request of ours: that proves that it
// serves, and it enters the table.
func (d *DHT) answered(id peer.ID) {
	if known, err := d.host.Peerstore().GetProtocols(id); err == nil && len(known) > 0 && !d.speaks(id) {
		return // it has said meanwhile that it stops serving
	}
	c := routing.ContactOf(id)
	if !d.peers.has(c) {
		c = d.contact(id)
	}
	if d.peers.seen(c) == routing.Rejected && id != d.self {
		d.diagnosis.filtered(id, "Config.MaxPerGroup: there are enough contacts in its network "+c.Group)
	}
}

// unanswered records that a contact did not answer. One that refuses is alive.
func (d *DHT) unanswered(c routing.Contact, err error) {
	d.stats.requestsFailed.Add(1)
	log.Debugw("no answer", "peer", c.ID, "error", err)
	if !errors.Is(err, ErrRefused) {
		d.knowledge.failed()
		d.peers.failed(c)
	}
}

// probe asks a contact whether it is there, and serves.
func (d *DHT) probe(ctx context.Context, c routing.Contact) error {
	d.locate(c)
	d.stats.probes.Add(1)
	d.afresh(c.ID) // whoever comes back from an outage is not to wait for the swarm to forget it
	_, err := d.request(ctx, nil, c.ID, protocol.FindNode{Target: []byte(d.self)}, nil)
	return err
}

const (
	// introduceTimeout bounds the probe of a peer that is connected already: who
	// takes longer is not worth a place in the table.
	introduceTimeout = 2 * time.Second

	// checkTimeout bounds the probe of a contact, which may have to be dialled, and
	// witnessTimeout one while we are offline: the next one is to begin soon.
	checkTimeout   = 10 * time.Second
	witnessTimeout = 1500 * time.Millisecond
)

// withCheckTimeout bounds ctx by the time that a contact has to prove that it is there.
func (d *DHT) withCheckTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.peers.isOffline() {
		return context.WithTimeout(ctx, witnessTimeout)
	}
	return context.WithTimeout(ctx, checkTimeout)
}

// check probes a contact that the table holds, and keeps or drops it. One that
// refuses to answer, for it is busy, is there.
func (d *DHT) check(ctx context.Context, c routing.Contact) error {
	probing, cancel := d.withCheckTimeout(ctx)
	defer cancel()
	err := d.probe(probing, c)
	if ctx.Err() != nil || errors.Is(err, errNotSent) { // we gave up, not the contact
		d.peers.postponed(c)
	} else {
		d.peers.checked(c, err == nil || errors.Is(err, ErrRefused))
	}
	return err
}

// greet is introduce for a peer that is connected already, and so has less time.
func (d *DHT) greet(ctx context.Context, id peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, introduceTimeout)
	defer cancel()
	return d.introduce(ctx, id)
}

// introduce probes a peer, and admits it to the table if it answers.
func (d *DHT) introduce(ctx context.Context, id peer.ID) error {
	c := routing.ContactOf(id)
	err := d.probe(ctx, c)
	switch {
	case err == nil:
		d.answered(id)
	case !d.tasks.closed() && !errors.Is(err, ErrRefused) && !errors.Is(err, errNotSent):
		d.peers.failed(c)
	}
	return err
}

// speaks reports whether a peer says that it serves this network.
func (d *DHT) speaks(id peer.ID) bool {
	known, err := d.host.Peerstore().SupportsProtocols(id, d.protocol)
	return err == nil && len(known) > 0
}

// met handles that a connected peer has told, or changed, what it speaks and
// where it listens. It returns true if the peer is to be introduced.
func (d *DHT) met(id peer.ID) bool {
	c := routing.ContactOf(id)
	if !d.speaks(id) {
		d.peers.removed(c)
		return false
	}
	if d.peers.has(c) {
		d.peers.update(d.contact(id))
		return false
	}
	direct := false
	for _, conn := range d.host.Network().ConnsToPeer(id) {
		direct = direct || !conn.Stat().Limited
	}
	if !direct {
		d.diagnosis.filtered(id, "it is reached through a relay only, which cannot carry lookups")
		return false
	}
	return d.peers.wants(d.contact(id))
}

// noticed queues the peer at the other end of conn, which has just asked us
// something, for an introduction. Asking proves nothing: answering will.
func (d *DHT) noticed(conn network.Conn) {
	c := routing.ContactOf(conn.RemotePeer())
	if !d.peers.has(c) && !d.peers.doubted(c) && d.speaks(c.ID) {
		d.keeper.meet(c.ID)
	}
}
