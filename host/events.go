package host

import (
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/go-kad/kad/routing"
)

// maxMet bounds the peers that wait to be introduced. What comes beyond it is
// forgotten: a lookup or the next request brings it back.
const maxMet = 1024

// handle takes in what the host has to tell.
func (d *DHT) handle(e any) {
	switch e := e.(type) {
	case event.EvtPeerIdentificationCompleted:
		d.surveyed(e.Conn)
		d.askOlder(e.Conn)
		d.meet(e.Peer)
	case event.EvtPeerProtocolsUpdated:
		d.meet(e.Peer)
	case event.EvtPeerConnectednessChanged:
		if e.Connectedness == network.Connected {
			d.relays.regain(e.Peer)
		} else {
			d.peers.doubt(routing.ContactOf(e.Peer), false)
			d.acquaintances.add(time.Now(), e.Peer)
			if !d.connected(e.Peer) {
				runs := d.mode.surroundings().reachability != network.ReachabilityPublic // AutoRelay
				d.relays.lose(time.Now(), e.Peer, runs)
			}
		}
	case event.EvtLocalReachabilityChanged:
		d.mode.change(func(_ *Mode, around *surroundings) { around.reachability = e.Reachability })
	case event.EvtHostReachableAddrsChanged:
		d.mode.change(func(_ *Mode, around *surroundings) {
			around.confirmed = len(e.Reachable) > 0
			around.denied = len(e.Unreachable) > 0 && len(e.Reachable)+len(e.Unknown) == 0
		})
	case event.EvtAutoRelayAddrsUpdated:
		d.relays.hold(e.RelayAddrs)
	case event.EvtNATDeviceTypeChanged:
		d.nat.found(e.TransportProtocol, e.NatDeviceType)
	case event.EvtLocalAddressesUpdated:
		d.mode.change(func(_ *Mode, around *surroundings) { around.publicListen = d.listensPublic() })
	}
}

// meet takes in a peer whose protocols we have learnt.
func (d *DHT) meet(id peer.ID) {
	if d.relaysForOthers(id) {
		poke(d.relays.wake)
	}
	d.keeper.meet(id)
}

// surveyed takes note of where a peer is, and of who reached whom.
func (d *DHT) surveyed(conn network.Conn) {
	if conn == nil || scopeTo(conn) != scopePublic || relayed(conn) {
		return
	}
	now, speaks := time.Now(), d.speaks(conn.RemotePeer())
	reached := conn.Stat().Direction == network.DirInbound && d.stranger(now, conn)
	if conn.Stat().Direction == network.DirOutbound {
		d.acquaintances.add(now, conn.RemotePeer())
	}
	if reached || speaks {
		d.mode.change(func(_ *Mode, around *surroundings) {
			if reached {
				around.dialled = now
			}
			around.publicPeer = around.publicPeer || speaks
		})
	}
}

// stranger reports whether the peer of an inbound connection has reached us as anybody
// could: we have not dialled it, nor anybody at its IP address, nor been connected to
// it before; not through a relay either, where both dial to punch a hole.
func (d *DHT) stranger(now time.Time, conn network.Conn) bool {
	if d.acquaintances.has(now, conn.RemotePeer()) || slices.ContainsFunc(d.host.Network().ConnsToPeer(conn.RemotePeer()), relayed) {
		return false
	}
	ip, err := manet.ToIP(conn.RemoteMultiaddr())
	return err == nil && !slices.ContainsFunc(d.host.Network().Conns(), func(c network.Conn) bool {
		other, err := manet.ToIP(c.RemoteMultiaddr())
		return err == nil && c.Stat().Direction == network.DirOutbound && other.Equal(ip)
	})
}

// meet queues a peer that may have to be introduced to the table.
func (k *keeper) meet(id peer.ID) {
	if k.queue.add(id) {
		poke(k.wake)
	}
}

// metQueue holds the peers that wait for an introduction, each once, in the order
// they came.
type metQueue struct {
	mu    sync.Mutex
	order []peer.ID
	in    map[peer.ID]struct{}
}

// add reports whether id is in the queue now.
func (q *metQueue) add(id peer.ID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.in[id]; ok {
		return true
	}
	if len(q.order) >= maxMet {
		return false
	}
	if q.in == nil {
		q.in = make(map[peer.ID]struct{})
	}
	q.in[id] = struct{}{}
	q.order = append(q.order, id)
	return true
}

// take removes the peer that has waited for longest.
func (q *metQueue) take() (peer.ID, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		return "", false
	}
	id := q.order[0]
	q.order = q.order[1:]
	delete(q.in, id)
	return id, true
}
