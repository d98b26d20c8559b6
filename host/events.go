package host

import (
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
)

// subscribe subscribes to the events that handle takes.
func (d *DHT) subscribe() (event.Subscription, error) {
	return d.host.EventBus().Subscribe([]any{
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
func (d *DHT) handle(e any) {
	switch e := e.(type) {
	case event.EvtPeerIdentificationCompleted:
		d.reach.Observe(e.Conn)
		d.call.AskOlder(e.Conn)
		d.identified(e.Peer)
	case event.EvtPeerProtocolsUpdated:
		d.identified(e.Peer)
	case event.EvtPeerConnectednessChanged:
		if e.Connectedness != network.Connected {
			d.table.Disconnected(e.Peer)
			d.reach.Dialled(e.Peer)
		}
	}
	d.reach.Handle(e)
	d.relay.Handle(e)
}

// identified takes in a peer whose protocols are known now.
func (d *DHT) identified(id peer.ID) {
	d.relay.Seen(id)
	d.join.Introduce(id)
}

// asked takes in a peer that has asked for something. It may be introduced: a request
// proves nothing, an answer does.
func (d *DHT) asked(conn network.Conn) {
	if id := conn.RemotePeer(); d.table.WantsAsker(id) {
		d.join.Introduce(id)
	}
}
