package kadtest

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// latency returns how long messages between two hosts take.
func (n *Network) latency(a, b *memHost) time.Duration {
	const parts = 1 << 16
	low, high := min(a.node.number, b.node.number), max(a.node.number, b.node.number)
	mixed := mix(mix(mix(n.cfg.Seed)+uint64(low)) + uint64(high)) //nolint:gosec // numbers are positive
	return n.cfg.Latency/2 + time.Duration(mixed%parts)*n.cfg.Latency/parts
}

// mix returns a number that looks random, and is the same for the same x.
//
// Source: SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

const (
	// retransmission is when the sender of a lost message sends it again, beside a
	// round trip, and maxRetransmission the most that it waits.
	retransmission    = 200 * time.Millisecond
	maxRetransmission = 10 * time.Second
)

// lost returns by how much a message is late, since it was lost and sent again.
func (n *Network) lost(latency time.Duration) (late time.Duration) {
	if n.cfg.Loss == 0 {
		return 0
	}
	n.chance.Lock()
	defer n.chance.Unlock()
	for wait := retransmission + 2*latency; n.losses.Float64() < n.cfg.Loss; wait = min(2*wait, maxRetransmission) {
		late += wait
	}
	return late
}

// roundTrip returns how long a dial takes. The other host is nil if none listens there.
func (n *Network) roundTrip(from, to *memHost) time.Duration {
	if to == nil {
		return 2 * n.cfg.Latency
	}
	latency := n.latency(from, to)
	return 2*latency + n.lost(latency)
}

// route returns the host that listens at one of some addresses of a peer; nil if none
// does. It reports whether a dial hangs, since nothing gets there, or back.
func (n *Network) route(from *memHost, id peer.ID, addrs []multiaddr.Multiaddr) (to *memHost, hangs bool, err error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if from.isClosed() {
		return nil, false, errGone
	}
	if _, dark := n.dark[id]; dark || from.node.unplugged {
		return nil, true, nil
	}
	d := n.nodes[id]
	if d == nil {
		return nil, false, nil
	}
	for _, a := range addrs {
		if a.Equal(d.addr) {
			return d.host, apart(from.node, d), nil
		}
	}
	return nil, false, nil
}

// apart reports whether nothing passes between two nodes. The caller holds the lock.
func apart(a, b *Node) bool { return a.unplugged || b.unplugged || a.side != b.side }

// connect connects two hosts, if they run, and something passes between them, and lets
// both know. It returns the end of the first one.
func (n *Network) connect(from, to *memHost) *conn {
	n.mu.Lock()
	if n.isClosed() || from.node.host != from || to.node.host != to || apart(from.node, to.node) {
		n.mu.Unlock()
		return nil
	}
	if c := from.connected(to.ID()); c != nil {
		n.mu.Unlock()
		return c
	}
	stale := to.connected(from.ID()) // of before a restart
	l := newLink(n, from, to)
	for i := range l.ends {
		l.ends[i].local.add(&l.ends[i])
	}
	n.mu.Unlock()
	if stale != nil {
		stale.link.end(errReset, errReset)
	}
	l.ends[0].local.gained(&l.ends[0])
	l.ends[1].local.gained(&l.ends[1])
	return &l.ends[0]
}

// add puts a connection into the set.
func (h *memHost) add(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[c.remote.ID()] = c
}

// remove takes a host out of the network, and reports whether it was there.
func (n *Network) remove(h *memHost) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := h.node
	if n.nodes[d.id] != d || d.host != h {
		return false
	}
	delete(n.nodes, d.id)
	n.order = slices.DeleteFunc(n.order, func(other *Node) bool { return other == d })
	d.host = nil
	return true
}
