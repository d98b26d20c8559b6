package kadtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"
)

// dialTimeout is when a dial that hangs is given up, as the transports of libp2p do.
const dialTimeout = 5 * time.Second

var (
	errSelf      = errors.New("dial to self attempted")
	errNoAddress = errors.New("no addresses")
	errRefused   = errors.New("connection refused")
)

// A swarm is the network.Network of a host.
type swarm struct {
	host *memHost

	mu       sync.Mutex
	watchers []network.Notifiee
}

var _ network.Network = (*swarm)(nil)

// dial returns a connection to a peer, and makes one if there is none.
func (s *swarm) dial(ctx context.Context, id peer.ID) (*conn, error) {
	h := s.host
	if id == h.ID() {
		return nil, errSelf
	}
	if c := h.connected(id); c != nil {
		return c, nil
	}
	addrs := h.book.Addrs(id)
	if len(addrs) == 0 {
		return nil, fmt.Errorf("failed to dial %s: %w", id, errNoAddress)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, errors.New("dial timeout"))
	defer cancel()
	to, hangs, err := h.net.route(h, id, addrs)
	if err != nil {
		return nil, err
	}
	if hangs {
		<-ctx.Done()
	} else if sleep(ctx, h.net.roundTrip(h, to)) == nil {
		if to == nil {
			return nil, fmt.Errorf("failed to dial %s: %v: %w", id, addrs, errRefused)
		}
		if c := h.net.connect(h, to); c != nil {
			return c, nil
		}
		<-ctx.Done() // a cut came between
	}
	return nil, fmt.Errorf("failed to dial %s: %v: %w", id, addrs, context.Cause(ctx))
}

// DialPeer returns a connection to a peer, and makes one if there is none.
func (s *swarm) DialPeer(ctx context.Context, id peer.ID) (network.Conn, error) {
	c, err := s.dial(ctx, id)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// NewStream opens a stream to a peer, of which the two ends negotiate the protocol.
func (s *swarm) NewStream(ctx context.Context, id peer.ID) (network.Stream, error) {
	c := s.host.connected(id)
	if c == nil {
		if noDial, _ := network.GetNoDial(ctx); noDial {
			return nil, network.ErrNoConn
		}
		var err error
		if c, err = s.dial(ctx, id); err != nil {
			return nil, err
		}
	}
	return c.NewStream(ctx)
}

// SetStreamHandler replaces the handler of streams whose protocol is not negotiated.
func (s *swarm) SetStreamHandler(serve network.StreamHandler) {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	s.host.raw = serve
}

// Close closes the host.
func (s *swarm) Close() error { return s.host.Close() }

// Peerstore returns that of the host.
func (s *swarm) Peerstore() peerstore.Peerstore { return &s.host.book }

// LocalPeer returns the peer ID of the host.
func (s *swarm) LocalPeer() peer.ID { return s.host.ID() }

// ClosePeer ends the connection to a peer.
func (s *swarm) ClosePeer(id peer.ID) error {
	if c := s.host.connected(id); c != nil {
		return c.Close()
	}
	return nil
}

// Connectedness reports whether there is a connection to a peer.
func (s *swarm) Connectedness(id peer.ID) network.Connectedness {
	if s.host.connected(id) != nil {
		return network.Connected
	}
	return network.NotConnected
}

// Peers returns the peers that are connected.
func (s *swarm) Peers() []peer.ID {
	all := s.host.connections()
	ids := make([]peer.ID, len(all))
	for i, c := range all {
		ids[i] = c.RemotePeer()
	}
	return ids
}

// Conns returns all connections.
func (s *swarm) Conns() []network.Conn {
	all := s.host.connections()
	conns := make([]network.Conn, len(all))
	for i, c := range all {
		conns[i] = c
	}
	return conns
}

// ConnsToPeer returns the connection to a peer, if there is one.
func (s *swarm) ConnsToPeer(id peer.ID) []network.Conn {
	if c := s.host.connected(id); c != nil {
		return []network.Conn{c}
	}
	return nil
}

// CanDial reports true.
func (s *swarm) CanDial(peer.ID, multiaddr.Multiaddr) bool { return true }

// Listen does nothing: a host listens at its address from the beginning.
func (s *swarm) Listen(...multiaddr.Multiaddr) error { return nil }

// ListenAddresses returns the address of the host.
func (s *swarm) ListenAddresses() []multiaddr.Multiaddr { return s.host.Addrs() }

// InterfaceListenAddresses returns the address of the host.
func (s *swarm) InterfaceListenAddresses() ([]multiaddr.Multiaddr, error) { return s.host.Addrs(), nil }

// ResourceManager returns one without limits.
func (s *swarm) ResourceManager() network.ResourceManager { return &network.NullResourceManager{} }

// Notify calls a notifiee whenever a connection begins or ends.
func (s *swarm) Notify(n network.Notifiee) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(slices.Clone(s.watchers), n)
}

// StopNotify takes Notify back.
func (s *swarm) StopNotify(n network.Notifiee) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = slices.DeleteFunc(slices.Clone(s.watchers), func(other network.Notifiee) bool { return other == n })
}

func (s *swarm) notify(call func(network.Notifiee)) {
	s.mu.Lock()
	watchers := s.watchers
	s.mu.Unlock()
	for _, n := range watchers {
		call(n)
	}
}
