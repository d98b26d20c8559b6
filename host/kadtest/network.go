package kadtest

import (
	"context"
	"crypto/ed25519"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A Config configures a [Network]. The zero value of a field means its default.
type Config struct {
	// Seed decides the IDs of the nodes, the latency of each link, and what is left to
	// chance: through which nodes a node joins, which nodes are picked or replaced, and
	// what is lost.
	Seed uint64

	// Latency is how long a message takes to arrive, on average over all links. The latency
	// of one link is from half to one and a half of it, and does not change. If zero,
	// 25ms.
	Latency time.Duration

	// Loss is the share of messages that are lost on the way, from 0 to less than 1.
	// Streams are reliable, as with TCP and QUIC: a lost message arrives later,
	// by 200ms and a round trip, and by twice that if it is lost again.
	Loss float64

	// KeepAlive is how long nothing passes on a connection until its ends notice: see
	// [Network.Partition] and [Network.Unplug]. If zero, 30s, as with QUIC. If negative,
	// they never notice.
	KeepAlive time.Duration

	// Filter, if set, is called with each request of a DHT when it is sent, by many
	// goroutines at a time. If it returns false, the request is lost: the requester
	// waits for an answer in vain. Use it to count requests, too. It may compare nodes
	// and read their IDs; their field DHT may not be set yet.
	Filter func(from, to *Node, req protocol.Request) bool
}

const (
	defaultLatency   = 25 * time.Millisecond
	defaultKeepAlive = 30 * time.Second
)

// A Network is some hosts in memory, and the links between them. Its methods are safe
// for concurrent use. Those that change the network are best called by one goroutine,
// so that a seed leads to the same network again.
type Network struct {
	t   testing.TB
	cfg Config

	mu    sync.RWMutex // comes before that of a host
	rng   *rand.Rand
	made  int // nodes so far
	nodes map[peer.ID]*Node
	order []*Node              // the same nodes, as they were added
	dark  map[peer.ID]struct{} // nodes that were killed while they were unplugged

	chance  sync.Mutex
	losses  *rand.Rand // guarded by chance
	running sync.WaitGroup

	ending sync.RWMutex // guards closed; held while running is added to
	closed bool
}

// New returns an empty network. It is for a test in a bubble of testing/synctest: there
// its latencies take no time. When the test ends, New closes all that is in the network,
// and waits for the handlers of its streams.
func New(t testing.TB, cfg Config) *Network {
	t.Helper()
	if cfg.Latency == 0 {
		cfg.Latency = defaultLatency
	}
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = defaultKeepAlive
	}
	if cfg.Loss < 0 || cfg.Loss >= 1 || cfg.Latency < 0 {
		t.Fatalf("kadtest: Config has a latency of %v and a loss of %v: use a positive latency, and a loss from 0 to less than 1", cfg.Latency, cfg.Loss)
	}
	n := &Network{
		t:      t,
		cfg:    cfg,
		rng:    rand.New(rand.NewPCG(cfg.Seed, 1)),
		losses: rand.New(rand.NewPCG(cfg.Seed, 2)),
		nodes:  make(map[peer.ID]*Node),
		dark:   make(map[peer.ID]struct{}),
	}
	t.Cleanup(n.close)
	return n
}

// A Node is a host of the network, with the DHT that is attached to it.
type Node struct {
	DHT  *kad.DHT // nil if the node has none
	Host lhost.Host

	net    *Network
	number int
	id     peer.ID
	key    crypto.PrivKey
	addr   multiaddr.Multiaddr
	place  routing.Key
	cfg    *kad.Config // that of DHT

	host      *memHost // guarded by the lock of the network, as are the fields below
	unplugged bool
	side      int // of a partition
}

// ID returns the peer ID of the node. It outlives a restart.
func (d *Node) ID() peer.ID { return d.id }

// Info returns where the node is, as bootstrap peers are given.
func (d *Node) Info() peer.AddrInfo {
	return peer.AddrInfo{ID: d.id, Addrs: []multiaddr.Multiaddr{d.addr}}
}

// entries is through how many others a node joins: with one, a node that joins through
// one that is killed at that moment would stay alone.
const entries = 3

// pace is the time between two nodes that are added.
const pace = 100 * time.Millisecond

// Add adds nodes with a DHT, one every 100ms. A node joins through three others that
// can be reached, unless cfg has bootstrap peers. If cfg has no Network, it is
// "/kadtest". Add does not wait until they have joined: see [Network.Settle].
func (n *Network) Add(count int, cfg kad.Config) []*Node {
	n.t.Helper()
	if cfg.Network == "" {
		cfg.Network = "/kadtest"
	}
	nodes := make([]*Node, count)
	for i := range nodes {
		if i > 0 {
			time.Sleep(pace)
		}
		own := cfg
		if len(cfg.Bootstrap) == 0 {
			own.Bootstrap = n.bootstrap()
		}
		nodes[i] = n.node()
		nodes[i].cfg = &own
		n.start(nodes[i])
	}
	return nodes
}

// AddHosts adds nodes without a DHT: peers that speak other protocols, or that a test
// makes behave as it likes.
func (n *Network) AddHosts(count int) []*Node {
	n.t.Helper()
	nodes := make([]*Node, count)
	for i := range nodes {
		nodes[i] = n.node()
		n.start(nodes[i])
	}
	return nodes
}

// bootstrap returns peers to join through.
func (n *Network) bootstrap() []peer.AddrInfo {
	n.mu.Lock()
	defer n.mu.Unlock()
	var peers []peer.AddrInfo
	for _, i := range n.rng.Perm(len(n.order)) {
		if d := n.order[i]; d.DHT != nil && !d.unplugged && d.side == 0 && !d.host.silent.Load() {
			peers = append(peers, d.Info())
		}
		if len(peers) == entries {
			break
		}
	}
	return peers
}

// node returns a node that has no host yet.
func (n *Network) node() *Node {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.made++
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(n.rng.UintN(256)) //nolint:gosec // it fits
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		n.t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		n.t.Fatal(err)
	}
	addr, err := multiaddr.NewMultiaddrBytes([]byte{
		multiaddr.P_IP4, 127, byte(n.made >> 16), byte(n.made >> 8), byte(n.made), //nolint:gosec // three bytes of a number
		multiaddr.P_TCP, 4001 >> 8, 4001 & 0xff,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return &Node{net: n, number: n.made, id: id, key: key, addr: addr, place: routing.KeyOf([]byte(id))}
}

// start gives a node a new host, with a DHT if it has a Config for one.
func (n *Network) start(d *Node) {
	n.t.Helper()
	h, err := newHost(n, d)
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	d.Host, d.host = h, h
	n.nodes[d.id] = d
	n.order = append(n.order, d)
	delete(n.dark, d.id)
	n.mu.Unlock()
	if d.cfg == nil {
		return
	}
	dht, err := kad.New(h, *d.cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	d.DHT = dht
	n.mu.Unlock()
}

const (
	// readyTime is how long Settle waits for a node to be ready.
	readyTime = time.Minute

	// fillTime is how long a table takes to fill up after that.
	fillTime = 20 * time.Second
)

// Settle waits until the network has come to rest: until each node is ready, for up to
// a minute where one is not, and then for 20s, in which the tables fill up.
func (n *Network) Settle() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), readyTime)
	defer cancel()
	for _, d := range n.Nodes() {
		if d.DHT != nil {
			_ = d.DHT.Ready(ctx)
		}
	}
	time.Sleep(fillTime)
}

// Nodes returns the nodes that run, in the order in which they were started.
func (n *Network) Nodes() []*Node {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Clone(n.order)
}

// Find returns the node with an ID, if it runs; else nil.
func (n *Network) Find(id peer.ID) *Node {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.nodes[id]
}

// Pick returns as many of the nodes that run, at random, except some. It returns all of
// them, shuffled, if there are fewer.
func (n *Network) Pick(count int, except ...*Node) []*Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	picked := make([]*Node, 0, min(count, len(n.order)))
	for _, i := range n.rng.Perm(len(n.order)) {
		if len(picked) == count {
			break
		}
		if !slices.Contains(except, n.order[i]) {
			picked = append(picked, n.order[i])
		}
	}
	return picked
}

// Closest returns the count nodes closest to a key that run and serve a DHT, the closest
// first: what a lookup of that key should find. A lookup never finds the node that makes it:
// name that node in except.
func (n *Network) Closest(key string, count int, except ...*Node) []*Node {
	target := routing.KeyOf([]byte(key))
	var all []*Node
	n.mu.RLock()
	for _, d := range n.order {
		if d.host.serves() && !slices.Contains(except, d) {
			all = append(all, d)
		}
	}
	n.mu.RUnlock()
	slices.SortFunc(all, func(a, b *Node) int { return target.Compare(a.place, b.place) })
	return all[:min(count, len(all))]
}

// close closes all that is in the network.
func (n *Network) close() {
	n.ending.Lock()
	n.closed = true
	n.ending.Unlock()
	n.mu.RLock()
	nodes := slices.Clone(n.order)
	hosts := make([]*memHost, len(nodes))
	for i, d := range nodes {
		hosts[i] = d.host
		hosts[i].close() // first of all, so that no host hears of the links that end
	}
	n.mu.RUnlock()
	for _, h := range hosts {
		for _, c := range h.connections() {
			c.link.end(errGone, errGone)
		}
	}
	for _, d := range nodes {
		if d.DHT != nil {
			_ = d.DHT.Close()
		}
	}
	for _, h := range hosts {
		h.emit.close()
	}
	n.running.Wait()
}

// isClosed reports whether the network is being closed.
func (n *Network) isClosed() bool {
	n.ending.RLock()
	defer n.ending.RUnlock()
	return n.closed
}

// later calls f in a goroutine of its own, after a time, unless the network is closed.
func (n *Network) later(after time.Duration, f func()) {
	n.ending.RLock()
	defer n.ending.RUnlock()
	if n.closed {
		return
	}
	n.running.Add(1)
	time.AfterFunc(after, func() {
		defer n.running.Done()
		f()
	})
}
