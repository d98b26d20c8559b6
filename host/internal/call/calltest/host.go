package calltest

import (
	"sync"
	"testing"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/multiformats/go-multiaddr"
)

// A host is the host of the node of a [Network]: its ID, a peerstore, and its connections.
type host struct {
	lhost.Host // nil: what is not implemented is not used

	peers peerstore.Peerstore
	net   *hostNetwork
}

func newHost(t testing.TB, n *Network) *host {
	t.Helper()
	peers, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peers.Close() })
	return &host{peers: peers, net: &hostNetwork{of: n, done: make(chan struct{})}}
}

// Host returns the host of the node. Its ID is ID(0).
func (n *Network) Host() lhost.Host { return n.host }

// CloseHost closes the host.
func (n *Network) CloseHost() { n.host.net.once.Do(func() { close(n.host.net.done) }) }

func (h *host) ID() peer.ID                    { return ID(0) }
func (h *host) Peerstore() peerstore.Peerstore { return h.peers }
func (h *host) Network() network.Network       { return h.net }
func (h *host) Addrs() []multiaddr.Multiaddr   { return []multiaddr.Multiaddr{Addr(ID(0))} }

// A hostNetwork has the connections of a host.
type hostNetwork struct {
	network.Network // nil, like that

	of   *Network
	once sync.Once
	done chan struct{}
}

// InterfaceListenAddresses returns none: the host has no sockets.
func (*hostNetwork) InterfaceListenAddresses() ([]multiaddr.Multiaddr, error) { return nil, nil }

// Done is a method of the swarm.
func (n *hostNetwork) Done() <-chan struct{} { return n.done }

func (n *hostNetwork) Connectedness(id peer.ID) network.Connectedness {
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	if n.of.connected[id] {
		return network.Connected
	}
	return network.NotConnected
}

func (n *hostNetwork) Peers() []peer.ID {
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	var ids []peer.ID
	for id, connected := range n.of.connected {
		if connected {
			ids = append(ids, id)
		}
	}
	return ids
}

func (n *hostNetwork) ConnsToPeer(id peer.ID) []network.Conn {
	if n.Connectedness(id) != network.Connected {
		return nil
	}
	return []network.Conn{&conn{remote: id}}
}

// A conn is a connection to a peer.
type conn struct {
	network.Conn // nil, like that

	remote peer.ID
}

func (c *conn) RemotePeer() peer.ID                  { return c.remote }
func (c *conn) RemoteMultiaddr() multiaddr.Multiaddr { return Addr(c.remote) }
func (c *conn) Stat() network.ConnStats              { return network.ConnStats{} }
