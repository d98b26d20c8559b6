package host

import (
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A memNet is a network for long simulations in a synctest bubble. Its DHTs are
// the real ones, and what they tell each other is encoded and parsed; the hosts
// below them are as little as a DHT needs, and nothing is a stream.
//
// What the hosts have of real ones: a peer can be dialled by those who were told
// its address; a dial takes a round trip; after it both sides are connected, and
// know what the other speaks. Connections last until one of the two is killed or
// a partition comes between them, and both sides are told of both.
type memNet struct {
	t       *testing.T
	latency time.Duration // of one message, on average over all links

	// silent decides what becomes of who is killed from now on, or cut off by a
	// partition. If not set, its connections end, and a dial fails after a round
	// trip. If set, nothing tells that it is gone: no connection is seen to end,
	// and who asks or dials it waits until its time is over.
	silent atomic.Bool

	// watch, if not nil, is called with every request that is sent, in many
	// goroutines. Set it before there are nodes.
	watch func(from *DHT, to peer.ID, req protocol.Request)

	parsed parsedPeers

	mu      sync.RWMutex // comes before that of a host
	rng     *rand.Rand   // chooses nodes and their keys
	made    int          // nodes so far
	hosts   map[peer.ID]*memHost
	order   []*memHost           // hosts, in an order that depends on rng alone
	reaches func(a, b *DHT) bool // nil: everybody reaches everybody
}

// newMemNet returns an empty network. The links have latencies from half of
// latency to one and a half, each always the same.
func newMemNet(t *testing.T, latency time.Duration) *memNet {
	t.Helper()
	// There is little in memory and much garbage.
	before := debug.SetGCPercent(1000)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	n := &memNet{
		t:       t,
		latency: latency,
		rng:     rand.New(rand.NewPCG(1, 2)),
		hosts:   make(map[peer.ID]*memHost),
	}
	t.Cleanup(func() {
		for _, d := range n.all() { // others were closed when they were killed
			_ = d.Close()
		}
	})
	return n
}

// all returns the nodes of the network.
func (n *memNet) all() []*DHT {
	n.mu.RLock()
	defer n.mu.RUnlock()
	nodes := make([]*DHT, len(n.order))
	for i, h := range n.order {
		nodes[i] = h.dht
	}
	return nodes
}

// node returns a new node.
func (n *memNet) node(cfg Config) *DHT {
	n.t.Helper()
	h := n.host()
	d, err := newDHT(h, testConfig(cfg))
	if err != nil {
		n.t.Fatal(err)
	}
	d.rpc = h
	h.dht = d
	n.mu.Lock()
	n.hosts[h.id] = h
	n.order = append(n.order, h)
	n.mu.Unlock()
	if err := d.start(); err != nil {
		n.t.Fatal(err)
	}
	return d
}

// host returns a new host, which is not in the network yet.
func (n *memNet) host() *memHost {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(n.rng.Uint32())
	}
	private, public, err := crypto.GenerateEd25519Key(rand.NewChaCha8(seed))
	if err != nil {
		n.t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(public)
	if err != nil {
		n.t.Fatal(err)
	}
	n.made++
	addr, err := multiaddr.NewMultiaddrBytes([]byte{
		multiaddr.P_IP4, 127, byte(n.made >> 16), byte(n.made >> 8), byte(n.made),
		multiaddr.P_TCP, 4001 >> 8, 4001 & 0xff,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return newMemHost(n, n.made, id, private, addr)
}

// nodes returns nodes that have joined, each through some of those before it, one
// after the other.
func (n *memNet) nodes(count int, cfg Config) []*DHT {
	n.t.Helper()
	nodes := make([]*DHT, count)
	for i := range nodes {
		nodes[i] = n.join(cfg)
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(2 * settleAfter)
	return nodes
}

// fewer returns how many nodes to simulate: count, or, with the race detector, which
// takes ten times as long, two fifths of that.
func fewer(count int) int {
	if raceEnabled {
		return count * 2 / 5
	}
	return count
}

// withoutRace skips a test in which relays are lost if the race detector watches:
// AutoRelay of go-libp2p v0.51.0 reads its relays without its lock then.
func withoutRace(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("go-libp2p has a data race here: run it without the race detector")
	}
}

// entries is how many of the others a new node is told of: with one, whoever joins
// through a node that is killed at that moment knows nobody, for good, and so do all
// who join through it.
const entries = 3

// join returns a new node, which joins through some of the others, if there are any.
func (n *memNet) join(cfg Config) *DHT {
	n.t.Helper()
	for range entries {
		d := n.any()
		if d != nil && !slices.ContainsFunc(cfg.Bootstrap, func(p peer.AddrInfo) bool { return p.ID == d.self }) {
			cfg.Bootstrap = append(slices.Clip(cfg.Bootstrap), info(d.host))
		}
	}
	return n.node(cfg)
}

// any returns one of the nodes, at random; nil if there are none.
func (n *memNet) any() *DHT {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.order) == 0 {
		return nil
	}
	return n.order[n.rng.IntN(len(n.order))].dht
}

// find returns the node with that ID; nil if there is none, or not any more.
func (n *memNet) find(id peer.ID) *DHT {
	if h := n.lookUp(id); h != nil {
		return h.dht
	}
	return nil
}

// lookUp returns the host with that ID; nil if there is none, or not any more.
func (n *memNet) lookUp(id peer.ID) *memHost {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.hosts[id]
}

// closest returns the nodes that are closest to a preimage, but for one that is
// left out: what its lookup is to find.
func (n *memNet) closest(preimage []byte, count int, without *DHT) []peer.ID {
	n.mu.RLock()
	defer n.mu.RUnlock()
	key := routing.KeyOf(preimage)
	var ids []peer.ID
	for id, h := range n.hosts {
		if h.dht != without {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b peer.ID) int { return key.Compare(routing.KeyOf([]byte(a)), routing.KeyOf([]byte(b))) })
	return ids[:min(count, len(ids))]
}

// kill ends a node without a word to the others.
func (n *memNet) kill(d *DHT) {
	n.t.Helper()
	n.mu.Lock()
	h := n.hosts[d.self]
	delete(n.hosts, d.self)
	n.order = slices.DeleteFunc(n.order, func(other *memHost) bool { return other == h })
	n.mu.Unlock()
	if h == nil {
		n.t.Fatal("the node is not in the network")
	}
	for _, other := range h.connections() {
		n.unlink(h, other)
	}
	if err := d.Close(); err != nil {
		n.t.Fatal(err)
	}
}

// partition sets who can reach whom, in both directions; nil means that all can.
func (n *memNet) partition(reaches func(a, b *DHT) bool) {
	n.mu.Lock()
	n.reaches = reaches
	hosts := slices.Clone(n.order)
	n.mu.Unlock()
	for _, h := range hosts {
		for _, other := range h.connections() {
			if !n.reachable(h, other) {
				n.unlink(h, other)
			}
		}
	}
}

// reachable reports whether two hosts are in the network, and on the same side.
func (n *memNet) reachable(a, b *memHost) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.reachableLocked(a, b)
}

func (n *memNet) reachableLocked(a, b *memHost) bool {
	return a != nil && b != nil && n.hosts[a.id] == a && n.hosts[b.id] == b &&
		(n.reaches == nil || n.reaches(a.dht, b.dht))
}

// delay returns the latency between two hosts.
func (n *memNet) delay(a, b *memHost) time.Duration {
	const parts = 64
	low, high := min(a.number, b.number), max(a.number, b.number)
	mixed := uint32(low)*2654435761 + uint32(high)*2246822519
	return n.latency/2 + n.latency*time.Duration(mixed>>16%parts)/parts
}

// link connects two hosts, unless they cannot reach each other any more, and
// tells both. It is as if they had identified each other at once.
func (n *memNet) link(a, b *memHost) bool {
	n.mu.RLock()
	linked := n.reachableLocked(a, b)
	added := linked && a.connect(b)
	if added {
		b.connect(a)
	}
	n.mu.RUnlock()
	if added {
		a.events.identified(b)
		b.events.identified(a)
	}
	return linked
}

// unlink ends the connection of two hosts, and tells both, unless that stays
// unseen.
func (n *memNet) unlink(a, b *memHost) {
	for _, ends := range [][2]*memHost{{a, b}, {b, a}} {
		if ends[0].disconnect(ends[1]) && !n.silent.Load() {
			ends[0].events.lost(ends[1])
		}
	}
}
