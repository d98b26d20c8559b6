package net_test

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/routing"
)

const (
	// nearest and farthest bound what a link takes in one direction: 100 ms there
	// and back on average.
	nearest  = 25 * time.Millisecond
	farthest = 75 * time.Millisecond

	// jitter is what a packet takes longer than that, at most.
	jitter = 10 * time.Millisecond

	// bandwidth is that of a host, in bits a second each way: so much that nothing
	// ever waits for it.
	bandwidth = 1e9

	// entries is how many others a new node is told of.
	entries = 3

	// k is how many peers are the closest to a key.
	k = 20
)

// A simNet is a network for a synctest bubble: real hosts, whose QUIC connections
// run over links that take virtual time.
type simNet struct {
	t     *testing.T
	seed  uint64
	rng   *rand.Rand // chooses keys, and who joins through whom
	net   *simnet.Simnet
	nodes []*kad.DHT
	mute  map[peer.ID]bool // they never answer

	options func() []libp2p.Option // of each host, besides the usual ones; may be nil
}

// newSimNet returns an empty network. The seed decides on links and IDs.
func newSimNet(t *testing.T, seed uint64) *simNet {
	t.Helper()
	packets := rand.New(rand.NewPCG(seed, 1)) // used by the one goroutine that routes
	n := &simNet{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 2)), mute: make(map[peer.ID]bool)}
	n.net = &simnet.Simnet{LatencyFunc: func(p *simnet.Packet) time.Duration {
		return wayOf(seed, p) + time.Duration(packets.Int64N(int64(jitter)))
	}}
	n.net.Start()
	t.Cleanup(n.net.Close)
	return n
}

// wayOf returns what the link of a packet takes, in its direction: always the same.
func wayOf(seed uint64, p *simnet.Packet) time.Duration {
	ends := uint64(ipOf(p.From))<<32 | uint64(ipOf(p.To))
	draw := rand.New(rand.NewPCG(seed, ends))
	return nearest + time.Duration(draw.Int64N(int64(farthest-nearest)))
}

// ipOf returns the IPv4 address in addr.
func ipOf(addr net.Addr) uint32 {
	return binary.BigEndian.Uint32(addr.(*net.UDPAddr).IP.To4())
}

// host returns a new host, in an IPv4 /16 of its own, and without what has no part
// in a lookup and costs time.
func (n *simNet) host() host.Host {
	n.t.Helper()
	i := len(n.nodes) + 1
	seed := binary.BigEndian.AppendUint64(nil, n.seed)
	seed = binary.BigEndian.AppendUint64(seed, uint64(i))
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(append(seed, make([]byte, 16)...)))
	if err != nil {
		n.t.Fatal(err)
	}
	link := simnet.LinkSettings{BitsPerSecond: bandwidth}
	options := []libp2p.Option{libp2p.ConnectionManager(connmgr.NullConnMgr{})}
	if n.options != nil {
		options = n.options()
	}
	h, err := libp2p.New(append(options,
		libp2p.Identity(key),
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%d.%d.1.1/udp/4001/quic-v1", 20+i>>8, i&0xff)),
		simlibp2p.QUICSimnet(n.net, simnet.NodeBiDiLinkSettings{Uplink: link, Downlink: link}),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
	)...)
	if err != nil {
		n.t.Fatal(err)
	}
	return h
}

// add returns a new node, which joins through some of the others.
func (n *simNet) add() *kad.DHT {
	n.t.Helper()
	cfg := kad.Config{
		Network:    "/itest",
		Mode:       kad.ModeServer,
		Validators: map[string]record.Validator{"v": greatest{}},
	}
	for _, i := range n.rng.Perm(len(n.nodes))[:min(entries, len(n.nodes))] {
		cfg.Bootstrap = append(cfg.Bootstrap, info(n.nodes[i]))
	}
	h := n.host()
	d, err := kad.New(h, cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		_ = d.Close()
		_ = h.Close()
	})
	n.nodes = append(n.nodes, d)
	return d
}

// grow adds nodes, one after the other, and waits until they have forgotten how
// small the network was.
func (n *simNet) grow(count int) {
	n.t.Helper()
	for range count {
		n.add()
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(settleAfter)
}

// silence makes a node one that is connected, and never answers.
func (n *simNet) silence(d *kad.DHT) {
	n.mute[d.ID()] = true
	for _, id := range d.Host().Mux().Protocols() {
		if id == "/itest/kad/1.0.0" {
			d.Host().SetStreamHandler(id, func(network.Stream) {})
		}
	}
}

// connect connects a node to all others.
func (n *simNet) connect(d *kad.DHT) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	for _, other := range n.nodes {
		if other == d {
			continue
		}
		if err := d.Host().Connect(ctx, info(other)); err != nil {
			n.t.Fatal(err)
		}
	}
}

// cool ends all connections of nodes, and waits until that is no news. Whoever has
// lost a connection checks at once whether the other is still there, which connects
// the two again, and is in doubt about it for a minute.
func (n *simNet) cool(nodes []*kad.DHT) {
	n.t.Helper()
	for _, wait := range []time.Duration{10 * time.Second, 70 * time.Second} {
		for _, d := range nodes {
			for _, other := range d.Host().Network().Peers() {
				if err := d.Host().Network().ClosePeer(other); err != nil {
					n.t.Fatal(err)
				}
			}
		}
		time.Sleep(wait)
	}
}

// closest returns the peers that answer and are closest to a preimage, but for the
// one that looks for them.
func (n *simNet) closest(preimage []byte, without *kad.DHT) []peer.ID {
	var ids []peer.ID
	for _, d := range n.nodes {
		if d != without && !n.mute[d.ID()] {
			ids = append(ids, d.ID())
		}
	}
	return closestOf(ids, preimage)
}

// closestOf sorts peers, and returns the k that are closest to a preimage.
func closestOf(ids []peer.ID, preimage []byte) []peer.ID {
	key := routing.KeyOf(preimage)
	slices.SortFunc(ids, func(a, b peer.ID) int {
		return key.Compare(routing.KeyOf([]byte(a)), routing.KeyOf([]byte(b)))
	})
	return ids[:min(k, len(ids))]
}

// info returns a node's ID and addresses.
func info(d *kad.DHT) peer.AddrInfo {
	return peer.AddrInfo{ID: d.ID(), Addrs: d.Host().Addrs()}
}
