package host

import (
	"context"
	"fmt"
	"sync"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/host/internal/roomtest"
)

// A wireHost is a host whose streams are those of roomtest. The host inside has the connections, and
// identify.
type wireHost struct {
	lhost.Host
	net *testNet

	mu       sync.Mutex
	handlers map[lprotocol.ID]network.StreamHandler
}

// SetStreamHandler implements lhost.Host.
func (h *wireHost) SetStreamHandler(id lprotocol.ID, handler network.StreamHandler) {
	h.mu.Lock()
	h.handlers[id] = handler
	h.mu.Unlock()
	h.Host.SetStreamHandler(id, handler)
}

// RemoveStreamHandler implements lhost.Host.
func (h *wireHost) RemoveStreamHandler(id lprotocol.ID) {
	h.mu.Lock()
	delete(h.handlers, id)
	h.mu.Unlock()
	h.Host.RemoveStreamHandler(id)
}

// NewStream implements lhost.Host: it connects the caller to the handler of the
// other host.
func (h *wireHost) NewStream(ctx context.Context, to peer.ID, ids ...lprotocol.ID) (network.Stream, error) {
	if err := h.Connect(ctx, peer.AddrInfo{ID: to}); err != nil {
		return nil, err
	}
	found, ok := h.net.wires.Load(to)
	if !ok {
		return nil, network.ErrNoConn
	}
	other, _ := found.(*wireHost)
	conns, back := h.Network().ConnsToPeer(to), other.Network().ConnsToPeer(h.ID())
	if len(conns) == 0 || len(back) == 0 {
		return nil, network.ErrNoConn
	}
	other.mu.Lock()
	handler := other.handlers[ids[0]]
	other.mu.Unlock()
	if handler == nil {
		return nil, fmt.Errorf("protocol not supported: %s", ids[0])
	}
	near, far := roomtest.NewStream(conns[0], back[0])
	go handler(far)
	return near, nil
}
