package kadtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// A book is a peerstore. It reads the addresses and protocols of a connected peer from
// its host. Of another peer it has the addresses that were put into it, until their time
// is over. Keys come from peer IDs.
type book struct {
	host *memHost

	mu    sync.Mutex
	known map[peer.ID]entry
	sweep int // at how many entries the expired ones are dropped
	data  map[string]any
}

// An entry is the addresses of a peer.
type entry struct {
	addrs []multiaddr.Multiaddr
	until time.Time
}

var _ peerstore.Peerstore = (*book)(nil)

// minSweep is how few entries are never swept.
const minSweep = 128

// AddAddrs adds addresses of a peer, for a time.
func (b *book) AddAddrs(id peer.ID, addrs []multiaddr.Multiaddr, ttl time.Duration) {
	if len(addrs) == 0 || id == b.host.ID() || b.host.connected(id) != nil {
		return
	}
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.known[id]
	if e.until.Before(now) {
		e = entry{}
	}
	missing := func(a multiaddr.Multiaddr) bool { return !slices.ContainsFunc(e.addrs, a.Equal) }
	if slices.ContainsFunc(addrs, missing) {
		e.addrs = slices.Clone(e.addrs)
		for _, a := range addrs {
			if missing(a) {
				e.addrs = append(e.addrs, a)
			}
		}
	}
	if until := now.Add(ttl); until.After(e.until) {
		e.until = until
	}
	b.put(now, id, e)
}

// put sets an entry, and drops expired ones now and then. The caller holds the
// lock.
func (b *book) put(now time.Time, id peer.ID, e entry) {
	if b.known == nil {
		b.known = make(map[peer.ID]entry)
	}
	b.known[id] = e
	if len(b.known) > max(b.sweep, minSweep) {
		maps.DeleteFunc(b.known, func(_ peer.ID, e entry) bool { return e.until.Before(now) })
		b.sweep = 2 * len(b.known)
	}
}

// AddAddr is AddAddrs of one address.
func (b *book) AddAddr(id peer.ID, addr multiaddr.Multiaddr, ttl time.Duration) {
	b.AddAddrs(id, []multiaddr.Multiaddr{addr}, ttl)
}

// SetAddrs adds addresses of a peer, for a time, or drops them if that is 0 or less.
func (b *book) SetAddrs(id peer.ID, addrs []multiaddr.Multiaddr, ttl time.Duration) {
	if ttl > 0 {
		b.AddAddrs(id, addrs, ttl)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.known[id]; ok {
		e.addrs = slices.DeleteFunc(slices.Clone(e.addrs), func(a multiaddr.Multiaddr) bool { return slices.ContainsFunc(addrs, a.Equal) })
		b.known[id] = e
	}
}

// SetAddr is SetAddrs of one address.
func (b *book) SetAddr(id peer.ID, addr multiaddr.Multiaddr, ttl time.Duration) {
	b.SetAddrs(id, []multiaddr.Multiaddr{addr}, ttl)
}

// UpdateAddrs gives the addresses of a peer another time. The old one does not matter.
func (b *book) UpdateAddrs(id peer.ID, _, ttl time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.known[id]; ok {
		e.until = time.Now().Add(ttl)
		b.known[id] = e
	}
}

// Addrs returns the addresses of a peer.
func (b *book) Addrs(id peer.ID) []multiaddr.Multiaddr {
	if c := b.host.connected(id); c != nil {
		return c.remote.Addrs()
	}
	if id == b.host.ID() {
		return b.host.Addrs()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.known[id]
	if e.until.Before(time.Now()) {
		return nil
	}
	return slices.Clone(e.addrs)
}

// AddrStream returns the addresses that are known now.
func (b *book) AddrStream(_ context.Context, id peer.ID) <-chan multiaddr.Multiaddr {
	addrs := b.Addrs(id)
	stream := make(chan multiaddr.Multiaddr, len(addrs))
	for _, a := range addrs {
		stream <- a
	}
	close(stream)
	return stream
}

// ClearAddrs forgets the addresses of a peer.
func (b *book) ClearAddrs(id peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.known, id)
}

// PeersWithAddrs returns the peers of which there are addresses.
func (b *book) PeersWithAddrs() peer.IDSlice {
	ids := b.host.swarm.Peers()
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, e := range b.known {
		if !e.until.Before(now) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Peers returns the peers of which there are addresses.
func (b *book) Peers() peer.IDSlice { return b.PeersWithAddrs() }

// PeerInfo returns the addresses of a peer, with its ID.
func (b *book) PeerInfo(id peer.ID) peer.AddrInfo { return peer.AddrInfo{ID: id, Addrs: b.Addrs(id)} }

// RemovePeer forgets the addresses of a peer.
func (b *book) RemovePeer(id peer.ID) { b.ClearAddrs(id) }

// Close does nothing.
func (b *book) Close() error { return nil }

// PubKey returns the key that is in the ID of a peer.
func (b *book) PubKey(id peer.ID) crypto.PubKey {
	key, err := id.ExtractPublicKey()
	if err != nil {
		return nil
	}
	return key
}

// AddPubKey does nothing: the key is in the ID.
func (b *book) AddPubKey(peer.ID, crypto.PubKey) error { return nil }

// PrivKey returns the key of the host.
func (b *book) PrivKey(id peer.ID) crypto.PrivKey {
	if id != b.host.ID() {
		return nil
	}
	return b.host.node.key
}

var errKey = errors.New("the key of a host is given")

// AddPrivKey fails.
func (b *book) AddPrivKey(peer.ID, crypto.PrivKey) error { return errKey }

// PeersWithKeys returns the host.
func (b *book) PeersWithKeys() peer.IDSlice { return peer.IDSlice{b.host.ID()} }

// Get returns what Put has stored.
func (b *book) Get(id peer.ID, key string) (any, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	value, ok := b.data[string(id)+"/"+key]
	if !ok {
		return nil, peerstore.ErrNotFound
	}
	return value, nil
}

// Put stores something about a peer.
func (b *book) Put(id peer.ID, key string, value any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.data == nil {
		b.data = make(map[string]any)
	}
	b.data[string(id)+"/"+key] = value
	return nil
}

// RecordLatency takes in a round trip to a peer, while it is connected.
func (b *book) RecordLatency(id peer.ID, rtt time.Duration) {
	if c := b.host.connected(id); c != nil {
		if was := c.rtt.Load(); was != 0 {
			rtt = (9*time.Duration(was) + rtt) / 10
		}
		c.rtt.Store(int64(rtt))
	}
}

// LatencyEWMA returns the smoothed round trip to a connected peer; 0 if it is unknown.
func (b *book) LatencyEWMA(id peer.ID) time.Duration {
	if c := b.host.connected(id); c != nil {
		return time.Duration(c.rtt.Load())
	}
	return 0
}

// GetProtocols returns what a connected peer speaks.
func (b *book) GetProtocols(id peer.ID) ([]lprotocol.ID, error) {
	return slices.Clone(b.spoken(id)), nil
}

func (b *book) spoken(id peer.ID) []lprotocol.ID {
	if id == b.host.ID() {
		return *b.host.speaks.Load()
	}
	if c := b.host.connected(id); c != nil {
		return *c.remote.speaks.Load()
	}
	return nil
}

// AddProtocols does nothing: what is true is known.
func (b *book) AddProtocols(peer.ID, ...lprotocol.ID) error { return nil }

// SetProtocols does nothing, likewise.
func (b *book) SetProtocols(peer.ID, ...lprotocol.ID) error { return nil }

// RemoveProtocols does nothing, likewise.
func (b *book) RemoveProtocols(peer.ID, ...lprotocol.ID) error { return nil }

// SupportsProtocols returns which of some protocols a connected peer speaks.
func (b *book) SupportsProtocols(id peer.ID, asked ...lprotocol.ID) ([]lprotocol.ID, error) {
	var supported []lprotocol.ID
	spoken := b.spoken(id)
	for _, p := range asked {
		if slices.Contains(spoken, p) {
			supported = append(supported, p)
		}
	}
	return supported, nil
}

// FirstSupportedProtocol returns the first of some protocols that a connected peer
// speaks; empty if it speaks none.
func (b *book) FirstSupportedProtocol(id peer.ID, asked ...lprotocol.ID) (lprotocol.ID, error) {
	if supported, _ := b.SupportsProtocols(id, asked...); len(supported) > 0 {
		return supported[0], nil
	}
	return "", nil
}
