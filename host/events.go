package host

import (
	"context"
	"iter"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/routing"
)

// subscribe subscribes to the events that handle takes.
func subscribe(h lhost.Host) (event.Subscription, error) {
	return h.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerProtocolsUpdated),
		new(event.EvtPeerConnectednessChanged),
		new(event.EvtLocalReachabilityChanged),
		new(event.EvtHostReachableAddrsChanged),
		new(event.EvtLocalAddressesUpdated),
		new(event.EvtAutoRelayAddrsUpdated),
		new(event.EvtNATDeviceTypeChanged),
	}, eventbus.Name("kad"), eventbus.BufSize(256))
}

// handle hands an event of the host to the rooms that take it.
func (r *rooms) handle(now time.Time, e any) {
	switch e := e.(type) {
	case event.EvtPeerIdentificationCompleted:
		r.reach.Observe(e.Conn)
		r.connect.Identified(e.Conn)
		r.call.AskOlder(e.Conn)
		r.table.KeepDialled(e.Conn)
		r.table.Identified(e.Peer, e.ListenAddrs)
		r.streams.Drop(e.Peer, e.Conn) // older connections may be dead
		r.identified(e.Peer)
	case event.EvtPeerProtocolsUpdated:
		r.identified(e.Peer)
	case event.EvtPeerConnectednessChanged:
		if e.Connectedness != network.Connected {
			r.table.Disconnected(e.Peer)
			r.reach.Dialled(e.Peer)
			r.streams.Drop(e.Peer, nil)
		}
	case event.EvtLocalAddressesUpdated:
		r.streams.DropAll() // their connections may have ended with the network
	}
	r.reach.Handle(e)
	r.relay.Handle(now, e)
}

// identified takes in a peer whose protocols are known now.
func (r *rooms) identified(id peer.ID) {
	r.relay.Seen(id)
	r.join.Introduce(id)
	if r.table.Has(id) && !r.join.Running() {
		r.replicate.Returned(routing.ContactOf(id))
	}
}

// asked takes in a peer that has asked for something. It may be introduced: a request
// proves nothing, an answer does.
func (r *rooms) asked(conn network.Conn) {
	if id := conn.RemotePeer(); r.table.WantsAsker(id) {
		r.join.Introduce(id)
	}
}

// Events yields what happens in the DHT from now on: changes of its state, contacts, what it
// publishes, and lookups as they go; see package host/events. It ends with ctx, when the DHT is
// closed, or when the loop over it is left. Range over the result once; end ctx if you do not.
//
// Up to 1024 events wait for a reader. A slower reader loses the oldest ones, and Missed of
// the next event says how many. Without a reader, only changes of state are made into events.
func (d *DHT) Events(ctx context.Context) iter.Seq[events.Event] {
	return d.observer.Events(ctx, d.tasks.Context())
}
