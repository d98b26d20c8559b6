package dht

import (
	"errors"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"
)

// AddressFilter sets what is left of the addresses of other peers before the DHT gives them to
// the host, to be dialled. It is called often, by several goroutines at once. What the host
// knows of itself, for instance by a connection, is not filtered.
func AddressFilter(f func([]multiaddr.Multiaddr) []multiaddr.Multiaddr) Option {
	return set(func(c *config) { c.mayDial = f })
}

// filtered returns the host as the DHT sees it.
func (c *config) filtered(h lhost.Host) lhost.Host {
	if c.mayDial == nil || h == nil {
		return h
	}
	return &filteredHost{h, filteredBook{h.Peerstore(), c.mayDial}}
}

// A filteredHost is a host that is given no address which a filter leaves out.
type filteredHost struct {
	lhost.Host

	book filteredBook
}

// Peerstore returns the peerstore of the host, behind the filter.
func (h *filteredHost) Peerstore() peerstore.Peerstore { return h.book }

// ConfirmedAddrs returns what AutoNAT has found out about the addresses of the host, if it has
// AutoNAT.
func (h *filteredHost) ConfirmedAddrs() (reachable, unreachable, unknown []multiaddr.Multiaddr) {
	if known, ok := h.Host.(interface {
		ConfirmedAddrs() (reachable, unreachable, unknown []multiaddr.Multiaddr)
	}); ok {
		return known.ConfirmedAddrs()
	}
	return nil, nil, nil
}

// A filteredBook is a peerstore behind a filter of addresses.
type filteredBook struct {
	peerstore.Peerstore

	filter func([]multiaddr.Multiaddr) []multiaddr.Multiaddr
}

// AddAddr is AddAddrs of one address.
func (b filteredBook) AddAddr(id peer.ID, addr multiaddr.Multiaddr, ttl time.Duration) {
	b.AddAddrs(id, []multiaddr.Multiaddr{addr}, ttl)
}

// AddAddrs adds the addresses that the filter leaves. An address of a connection passes it too.
func (b filteredBook) AddAddrs(id peer.ID, addrs []multiaddr.Multiaddr, ttl time.Duration) {
	if ttl != peerstore.ConnectedAddrTTL {
		addrs = b.filter(addrs)
	}
	b.Peerstore.AddAddrs(id, addrs, ttl)
}

// GetPeerRecord returns the signed addresses of a peer, if the host has them.
func (b filteredBook) GetPeerRecord(id peer.ID) *record.Envelope {
	if book, ok := peerstore.GetCertifiedAddrBook(b.Peerstore); ok {
		return book.GetPeerRecord(id)
	}
	return nil
}

// ConsumePeerRecord implements [peerstore.CertifiedAddrBook]. The DHT stores no signed addresses.
func (filteredBook) ConsumePeerRecord(*record.Envelope, time.Duration) (bool, error) {
	return false, errors.ErrUnsupported
}
