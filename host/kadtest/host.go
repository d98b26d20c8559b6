package kadtest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/multiformats/go-multiaddr"
	msmux "github.com/multiformats/go-multistream"
)

// A memHost is a host in memory. A node that is restarted gets another one.
type memHost struct {
	net    *Network
	node   *Node
	swarm  swarm
	book   book
	mux    *msmux.MultistreamMuxer[lprotocol.ID]
	bus    event.Bus
	emit   emitters
	silent atomic.Bool                    // it answers no stream
	speaks atomic.Pointer[[]lprotocol.ID] // what it has handlers for; not changed in place

	mu       sync.RWMutex
	closed   bool
	conns    map[peer.ID]*conn
	handlers []handler
	raw      network.StreamHandler // of streams without protocol, instead of mux
}

// A handler serves the streams of a protocol.
type handler struct {
	id    lprotocol.ID
	match func(lprotocol.ID) bool
	serve network.StreamHandler
}

// emitters are the events that a host tells of.
type emitters struct {
	identified, protocols, connectedness, local event.Emitter
}

func (e *emitters) close() {
	for _, emitter := range []event.Emitter{e.identified, e.protocols, e.connectedness, e.local} {
		_ = emitter.Close()
	}
}

func newHost(n *Network, node *Node) (*memHost, error) {
	h := &memHost{
		net: n, node: node, mux: msmux.NewMultistreamMuxer[lprotocol.ID](), bus: eventbus.NewBus(), conns: make(map[peer.ID]*conn),
	}
	h.swarm.host, h.book.host = h, h
	h.speaks.Store(new([]lprotocol.ID))
	for _, e := range []struct {
		to    *event.Emitter
		event any
	}{
		{&h.emit.identified, new(event.EvtPeerIdentificationCompleted)},
		{&h.emit.protocols, new(event.EvtPeerProtocolsUpdated)},
		{&h.emit.connectedness, new(event.EvtPeerConnectednessChanged)},
		{&h.emit.local, new(event.EvtLocalProtocolsUpdated)},
	} {
		emitter, err := h.bus.Emitter(e.event)
		if err != nil {
			return nil, err
		}
		*e.to = emitter
	}
	return h, nil
}

var _ lhost.Host = (*memHost)(nil)

// ID returns the peer ID of the host.
func (h *memHost) ID() peer.ID { return h.node.id }

// Addrs returns the address of the host.
func (h *memHost) Addrs() []multiaddr.Multiaddr { return []multiaddr.Multiaddr{h.node.addr} }

// Peerstore returns what the host knows of peers.
func (h *memHost) Peerstore() peerstore.Peerstore { return &h.book }

// Network returns the connections of the host.
func (h *memHost) Network() network.Network { return &h.swarm }

// EventBus returns the event bus of the host.
func (h *memHost) EventBus() event.Bus { return h.bus }

// Mux returns the protocols that the host speaks.
func (h *memHost) Mux() lprotocol.Switch { return h.mux }

// ConnManager returns a manager that never closes a connection.
func (h *memHost) ConnManager() connmgr.ConnManager { return connmgr.NullConnMgr{} }

// Connect dials a peer, if it is not connected.
func (h *memHost) Connect(ctx context.Context, info peer.AddrInfo) error {
	h.book.AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
	_, err := h.swarm.dial(ctx, info.ID)
	return err
}

// SetStreamHandler makes the host speak a protocol.
func (h *memHost) SetStreamHandler(id lprotocol.ID, serve network.StreamHandler) {
	h.SetStreamHandlerMatch(id, func(other lprotocol.ID) bool { return other == id }, serve)
}

// SetStreamHandlerMatch makes the host speak the protocols that match.
func (h *memHost) SetStreamHandlerMatch(id lprotocol.ID, match func(lprotocol.ID) bool, serve network.StreamHandler) {
	h.mux.AddHandlerWithFunc(id, match, func(spoken lprotocol.ID, rwc io.ReadWriteCloser) error {
		s := rwc.(*stream) //nolint:forcetypeassert // it is what Negotiate was given
		err := s.SetProtocol(spoken)
		serve(s)
		return err
	})
	h.handle(id, &handler{id, match, serve})
}

// RemoveStreamHandler makes the host speak a protocol no more.
func (h *memHost) RemoveStreamHandler(id lprotocol.ID) {
	h.mux.RemoveHandler(id)
	h.handle(id, nil)
}

// handle replaces the handler of a protocol, and lets the host and the peers that are
// connected know.
func (h *memHost) handle(id lprotocol.ID, with *handler) {
	h.mu.Lock()
	h.handlers = slices.DeleteFunc(slices.Clone(h.handlers), func(other handler) bool { return other.id == id })
	if with != nil {
		h.handlers = append(h.handlers, *with)
	}
	was := *h.speaks.Load()
	now := make([]lprotocol.ID, len(h.handlers))
	for i, other := range h.handlers {
		now[i] = other.id
	}
	h.speaks.Store(&now)
	h.mu.Unlock()
	var added, removed []lprotocol.ID
	switch had := slices.Contains(was, id); {
	case with != nil && !had:
		added = []lprotocol.ID{id}
	case with == nil && had:
		removed = []lprotocol.ID{id}
	default:
		return
	}
	_ = h.emit.local.Emit(event.EvtLocalProtocolsUpdated{Added: added, Removed: removed})
	for _, c := range h.connections() {
		h.net.later(c.link.latency, func() {
			_ = c.remote.emit.protocols.Emit(event.EvtPeerProtocolsUpdated{Peer: h.ID(), Added: added, Removed: removed})
		})
	}
}

// handler returns the handler of a protocol; nil if there is none.
func (h *memHost) handler(id lprotocol.ID) network.StreamHandler {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, other := range h.handlers {
		if other.match(id) {
			return other.serve
		}
	}
	return nil
}

// serve hands a stream of another host to its handler.
func (h *memHost) serve(s *stream) {
	if h.silent.Load() {
		return
	}
	id := s.Protocol()
	if id != "" {
		if serve := h.handler(id); serve != nil {
			serve(s)
		} else {
			s.refuse(msmux.ErrNotSupported[lprotocol.ID]{Protos: []lprotocol.ID{id}})
		}
		return
	}
	h.mu.RLock()
	raw := h.raw
	h.mu.RUnlock()
	if raw != nil {
		raw(s)
		return
	}
	spoken, serve, err := h.mux.Negotiate(s)
	if err != nil {
		_ = s.Reset()
		return
	}
	_ = serve(spoken, s)
}

// NewStream opens a stream of the first of some protocols that a peer speaks, and
// dials it if it is not connected.
func (h *memHost) NewStream(ctx context.Context, id peer.ID, protocols ...lprotocol.ID) (network.Stream, error) {
	c := h.connected(id)
	if c == nil {
		if noDial, _ := network.GetNoDial(ctx); noDial {
			return nil, network.ErrNoConn
		}
		var err error
		if c, err = h.swarm.dial(ctx, id); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for _, wanted := range protocols {
		if c.remote.handler(wanted) == nil {
			continue
		}
		s, err := c.open(wanted)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	if err := sleep(ctx, 2*c.link.delay()); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("failed to negotiate protocol: %w", msmux.ErrNotSupported[lprotocol.ID]{Protos: protocols})
}

// Close ends all connections of the host. Nothing reaches it any more.
func (h *memHost) Close() error {
	h.net.remove(h)
	h.shut(func(c *conn) { _ = c.Close() })
	return nil
}

// shut ends the connections of a host for good.
func (h *memHost) shut(end func(*conn)) {
	h.close()
	for _, c := range h.connections() {
		end(c)
	}
}

// close makes the host dial no more, and hear of nothing.
func (h *memHost) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}

func (h *memHost) isClosed() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.closed
}

// connected returns the connection to a peer; nil if there is none.
func (h *memHost) connected(id peer.ID) *conn {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.conns[id]
}

// connections returns all connections.
func (h *memHost) connections() []*conn {
	h.mu.RLock()
	defer h.mu.RUnlock()
	all := make([]*conn, 0, len(h.conns))
	for _, c := range h.conns {
		all = append(all, c)
	}
	return all
}

// drop takes a connection out of the set. The address of the peer is remembered.
func (h *memHost) drop(c *conn) {
	id := c.remote.ID()
	h.mu.Lock()
	dropped := h.conns[id] == c
	if dropped {
		delete(h.conns, id)
	}
	h.mu.Unlock()
	if dropped {
		h.book.AddAddrs(id, c.remote.Addrs(), peerstore.RecentlyConnectedAddrTTL)
	}
}

// gained lets the host know that it is connected, and what the peer speaks.
func (h *memHost) gained(c *conn) {
	if h.isClosed() {
		return
	}
	h.swarm.notify(func(n network.Notifiee) { n.Connected(&h.swarm, c) })
	_ = h.emit.connectedness.Emit(event.EvtPeerConnectednessChanged{Peer: c.RemotePeer(), Connectedness: network.Connected})
	_ = h.emit.identified.Emit(event.EvtPeerIdentificationCompleted{
		Peer: c.RemotePeer(), Conn: c, ListenAddrs: c.remote.Addrs(), Protocols: slices.Clone(*c.remote.speaks.Load()),
		ObservedAddr: h.node.addr,
	})
}

// lost lets the host know that a connection has ended.
func (h *memHost) lost(c *conn) {
	if h.isClosed() {
		return
	}
	h.swarm.notify(func(n network.Notifiee) { n.Disconnected(&h.swarm, c) })
	if h.connected(c.RemotePeer()) == nil {
		_ = h.emit.connectedness.Emit(event.EvtPeerConnectednessChanged{Peer: c.RemotePeer(), Connectedness: network.NotConnected})
	}
}

// sleep waits, but not longer than until the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
