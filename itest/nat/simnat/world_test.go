package simnat

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
)

// port is where all hosts listen.
const port = 4001

// patience bounds what a test waits for, in virtual time: a network that stands
// still would else run for ever.
const patience = 2 * time.Minute

// publicServers is how many public servers a network has.
const publicServers = 6

// waitForDirect is longer than the three attempts of a hole punch take.
const waitForDirect = 40 * time.Second

// A world is a network of the DHT: public servers, of which some are relays, and
// whoever else is added.
type world struct {
	t       *testing.T
	net     *Net
	relays  []*node
	servers []*node // all of them, relays first
	nodes   []*node // that are to be closed
	private int     // how many are behind NATs
}

// A node is a host with a DHT.
type node struct {
	seed   uint64
	offers bool // to be a relay
	link   *Link
	nat    *NAT
	host   host.Host
	dht    *kad.DHT
}

// inWorld runs a test in a network, some servers of which are relays.
func inWorld(t *testing.T, seed uint64, relays int, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: New(seed, Latency{15 * time.Millisecond, 35 * time.Millisecond})}
		defer w.close()
		for i := range publicServers {
			s := &node{seed: uint64(i), offers: i < relays, link: w.net.Public(netip.AddrFrom4([4]byte{byte(40 + i), 1, 0, 1}))}
			w.start(s, publicOptions()...)
			w.servers = append(w.servers, s)
			if i < relays {
				w.relays = append(w.relays, s)
			}
		}
		for _, s := range w.servers {
			w.ready(s)
		}
		test(t, w)
	})
}

// publicOptions are those of a host that everybody reaches.
func publicOptions() []libp2p.Option {
	return []libp2p.Option{
		libp2p.ForceReachabilityPublic(), libp2p.EnableHolePunching(),
		// As many as a server of the net has: the default would close all beyond 192.
		libp2p.ConnectionManager(connmgr.NullConnMgr{}),
	}
}

// privateOptions are those of a host behind a NAT.
func (w *world) privateOptions(n *node) []libp2p.Option {
	return []libp2p.Option{
		kad.Traversal(&n.dht, w.config(n)), libp2p.ForceReachabilityPrivate(),
		// AutoNAT dials from real sockets, and port mapping asks a real router.
		func(cfg *libp2p.Config) error {
			cfg.EnableService, cfg.EnableAutoNATv2, cfg.NATManager = false, false, nil
			return nil
		},
	}
}

// config is that of the DHT of all nodes.
func (w *world) config(n *node) kad.Config {
	return kad.Config{
		Network: "/nat", Bootstrap: infos(w.servers), OfferRelay: n.offers,
		Relay: kad.RelayLimits{Reservations: 4096, Circuits: 64},
	}
}

// start starts the host and the DHT of n.
func (w *world) start(n *node, opts ...libp2p.Option) {
	w.t.Helper()
	h, err := libp2p.New(append(opts,
		n.link.Transport(), n.link.ListenAddr(port), libp2p.Identity(identity(n.seed)),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableMetrics(),
	)...)
	if err != nil {
		w.t.Fatal(err)
	}
	n.host = h
	w.nodes = append(w.nodes, n)
	if n.dht != nil {
		return // the host has started it
	}
	if n.dht, err = kad.New(h, w.config(n)); err != nil {
		w.t.Fatal(err)
	}
}

// behind returns a node behind a NAT of its own, and starts it. Wait with reachable.
func (w *world) behind(flavour Flavour) *node {
	w.t.Helper()
	i := w.private
	w.private++
	nat := w.net.NAT(netip.AddrFrom4([4]byte{byte(60 + i>>8), byte(i), 0, 1}), flavour)
	n := &node{seed: 1<<32 + uint64(i), nat: nat, link: nat.Link(netip.MustParseAddr("192.168.1.2"))}
	w.start(n, w.privateOptions(n)...)
	return n
}

// ready waits until lookups of n work.
func (w *world) ready(n *node) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := n.dht.Ready(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// reachable waits until n is ready and has a relay.
func (w *world) reachable(n *node) {
	w.t.Helper()
	w.ready(n)
	for start := time.Now(); !announcesRelay(n.host); time.Sleep(100 * time.Millisecond) {
		if time.Since(start) > patience {
			w.t.Fatalf("node %d has no relay after %v: %v", n.seed, patience, n.host.Addrs())
		}
	}
}

// close ends all that runs.
func (w *world) close() {
	for _, n := range w.nodes {
		w.stop(n)
	}
	w.net.Close()
}

// stop closes a node. Peers hear of it if its Link is plugged.
func (w *world) stop(n *node) {
	w.t.Helper()
	if n.host == nil {
		return
	}
	var err error
	if n.dht != nil {
		err = n.dht.Close()
	}
	if err = errors.Join(err, n.host.Close()); err != nil {
		w.t.Error(err)
	}
	n.host, n.dht = nil, nil
}

// A verdict is how one node reached another.
type verdict string

const (
	direct  verdict = "direct"
	relayed verdict = "relayed"
	nothing verdict = "nothing"
)

// A meeting is what it took to get there.
type meeting struct {
	verdict   verdict
	connected time.Duration // until there was any connection
	direct    time.Duration // until there was one without a relay; 0 if there was none
	err       error
}

// meet makes a find b by its ID and connect to it, and waits for a direct connection.
func meet(ctx context.Context, a *node, b peer.ID) meeting {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	conn, err := a.dht.Connect(ctx, b, kad.WaitDirect(waitForDirect))
	if err != nil {
		return meeting{verdict: nothing, err: err}
	}
	m := meeting{verdict: relayed, connected: time.Since(start)}
	if conn.Via != kad.ViaRelayed {
		m.verdict, m.direct = direct, m.connected
	}
	for _, s := range conn.Steps {
		if s.Name == "punch" {
			m.connected -= s.Took
		}
	}
	return m
}

// announcesRelay reports whether one of the addresses of h goes through a relay.
func announcesRelay(h host.Host) bool {
	return slices.ContainsFunc(h.Addrs(), throughRelay)
}

// throughRelay reports whether an address goes through a relay.
func throughRelay(a multiaddr.Multiaddr) bool {
	_, err := a.ValueForProtocol(multiaddr.P_CIRCUIT)
	return err == nil
}

// identity returns the key that follows from a number.
func identity(n uint64) crypto.PrivKey {
	seed := binary.BigEndian.AppendUint64(make([]byte, 24, ed25519.SeedSize), n)
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		panic(err)
	}
	return key
}

// infos returns where nodes are.
func infos(nodes []*node) []peer.AddrInfo {
	var out []peer.AddrInfo
	for _, n := range nodes {
		out = append(out, peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()})
	}
	return out
}
