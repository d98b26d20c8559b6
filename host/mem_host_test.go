package host

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// A memHost is a host of a memNet: what a DHT calls of one, and nothing else.
type memHost struct {
	lhost.Host // nil: what is not implemented is not used

	net    *memNet
	number int // of the hosts that were made, for the latency of links
	id     peer.ID
	key    crypto.PrivKey
	addrs  []multiaddr.Multiaddr
	at     scope
	dht    *DHT
	serves atomic.Pointer[lprotocol.ID] // nil if nothing
	mute   atomic.Bool                  // if set, it never answers

	peerstore memPeerstore
	network   memNetwork
	events    memBus
	conn      memConn // all connections to it, as their other ends see them

	mu    sync.Mutex
	conns map[peer.ID]*memHost
	told  map[peer.ID][]multiaddr.Multiaddr // where to dial others, until that is done
}

func newMemHost(n *memNet, number int, id peer.ID, key crypto.PrivKey, addr multiaddr.Multiaddr) *memHost {
	h := &memHost{
		net:    n,
		number: number,
		id:     id,
		key:    key,
		addrs:  []multiaddr.Multiaddr{addr},
		at:     scopeOf(addr),
		conns:  make(map[peer.ID]*memHost),
		told:   make(map[peer.ID][]multiaddr.Multiaddr),
	}
	h.peerstore.host, h.network.host, h.conn.remote = h, h, h
	return h
}

// ID and those below implement lhost.Host.
func (h *memHost) ID() peer.ID                    { return h.id }
func (h *memHost) Addrs() []multiaddr.Multiaddr   { return h.addrs }
func (h *memHost) Peerstore() peerstore.Peerstore { return &h.peerstore }
func (h *memHost) Network() network.Network       { return &h.network }
func (h *memHost) EventBus() event.Bus            { return &h.events }
func (h *memHost) Mux() lprotocol.Switch          { return memMux{} }

// SetStreamHandler makes the host serve the protocol, and tells it to whom it is
// connected.
func (h *memHost) SetStreamHandler(id lprotocol.ID, _ network.StreamHandler) {
	h.serve(&id)
}

func (h *memHost) RemoveStreamHandler(lprotocol.ID) { h.serve(nil) }

func (h *memHost) serve(id *lprotocol.ID) {
	h.serves.Store(id)
	for _, other := range h.connections() {
		other.events.emit(event.EvtPeerProtocolsUpdated{Peer: h.id})
	}
}

// Connect dials a peer, if it is not connected.
func (h *memHost) Connect(ctx context.Context, info peer.AddrInfo) error {
	h.peerstore.AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
	call := memCall{ctx: ctx, left: dialTimeout}
	_, err := call.dial(h, info.ID)
	return err
}

// connect adds a connection, and reports whether there was none.
func (h *memHost) connect(other *memHost) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.told, other.id)
	if h.conns[other.id] != nil {
		return false
	}
	h.conns[other.id] = other
	return true
}

// disconnect removes a connection, and reports whether there was one.
func (h *memHost) disconnect(other *memHost) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns[other.id] == nil {
		return false
	}
	delete(h.conns, other.id)
	return true
}

// connected returns the host at the other end of a connection; nil if there is
// no connection.
func (h *memHost) connected(id peer.ID) *memHost {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.conns[id]
}

// connections returns the hosts that are connected.
func (h *memHost) connections() []*memHost {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.conns))
}

// memMux has no protocols: a host is made for one DHT.
type memMux struct{ lprotocol.Switch }

func (memMux) Protocols() []lprotocol.ID { return nil }

// memPeerstore knows where connected peers listen, and what they speak; and of
// others the addresses that are to be dialled.
type memPeerstore struct {
	peerstore.Peerstore
	host *memHost
}

func (p *memPeerstore) AddAddrs(id peer.ID, addrs []multiaddr.Multiaddr, _ time.Duration) {
	h := p.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if id != h.id && h.conns[id] == nil && len(addrs) > 0 {
		h.told[id] = addrs
	}
}

func (p *memPeerstore) Addrs(id peer.ID) []multiaddr.Multiaddr {
	h := p.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if other := h.conns[id]; other != nil {
		return other.addrs
	}
	return h.told[id]
}

func (p *memPeerstore) GetProtocols(id peer.ID) ([]lprotocol.ID, error) {
	if other := p.host.connected(id); other != nil {
		if serves := other.serves.Load(); serves != nil {
			return []lprotocol.ID{*serves}, nil
		}
	}
	return nil, nil
}

func (p *memPeerstore) SupportsProtocols(id peer.ID, asked ...lprotocol.ID) ([]lprotocol.ID, error) {
	if other := p.host.connected(id); other != nil {
		if serves := other.serves.Load(); serves != nil && slices.Contains(asked, *serves) {
			return asked[:1], nil
		}
	}
	return nil, nil
}

func (p *memPeerstore) PrivKey(peer.ID) crypto.PrivKey { return p.host.key }

func (p *memPeerstore) LatencyEWMA(peer.ID) time.Duration { return 0 }

// memNetwork is the view of a host on its connections.
type memNetwork struct {
	network.Network
	host *memHost
}

func (n *memNetwork) Connectedness(id peer.ID) network.Connectedness {
	if n.host.connected(id) != nil {
		return network.Connected
	}
	return network.NotConnected
}

func (n *memNetwork) Peers() []peer.ID {
	var ids []peer.ID
	for _, other := range n.host.connections() {
		ids = append(ids, other.id)
	}
	return ids
}

func (n *memNetwork) Conns() []network.Conn {
	var conns []network.Conn
	for _, other := range n.host.connections() {
		conns = append(conns, &other.conn)
	}
	return conns
}

func (n *memNetwork) ConnsToPeer(id peer.ID) []network.Conn {
	if other := n.host.connected(id); other != nil {
		return []network.Conn{&other.conn}
	}
	return nil
}

func (n *memNetwork) InterfaceListenAddresses() ([]multiaddr.Multiaddr, error) {
	return n.host.addrs, nil
}

// memConn is a connection, as the end that is not remote sees it.
type memConn struct {
	network.Conn
	remote *memHost
}

func (c *memConn) RemotePeer() peer.ID                  { return c.remote.id }
func (c *memConn) RemoteMultiaddr() multiaddr.Multiaddr { return c.remote.addrs[0] }
func (c *memConn) Stat() network.ConnStats              { return network.ConnStats{} }

// memBus is an event bus with one subscription, that of the DHT. What nobody
// waits for is not delivered.
type memBus struct {
	event.Bus
	sub atomic.Pointer[memSubscription]
}

// Subscribe implements event.Bus. All types are delivered.
func (b *memBus) Subscribe(any, ...event.SubscriptionOpt) (event.Subscription, error) {
	sub := &memSubscription{events: make(chan any, 16), closed: make(chan struct{})}
	if !b.sub.CompareAndSwap(nil, sub) {
		return nil, errors.New("the bus has its subscription")
	}
	return sub, nil
}

// emit delivers an event. It waits, as a real bus does, while the subscriber is
// behind.
func (b *memBus) emit(e any) {
	sub := b.sub.Load()
	if sub == nil {
		return
	}
	select {
	case sub.events <- e:
	case <-sub.closed:
	}
}

// identified tells that a peer is connected, and what it speaks is known.
func (b *memBus) identified(other *memHost) {
	b.emit(event.EvtPeerIdentificationCompleted{Peer: other.id})
}

// lost tells that the connection to a peer has ended.
func (b *memBus) lost(other *memHost) {
	b.emit(event.EvtPeerConnectednessChanged{Peer: other.id, Connectedness: network.NotConnected})
}

type memSubscription struct {
	events chan any
	closed chan struct{}
}

func (s *memSubscription) Out() <-chan any { return s.events }
func (s *memSubscription) Name() string    { return "kad" }

func (s *memSubscription) Close() error {
	close(s.closed)
	return nil
}
