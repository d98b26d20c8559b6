// Package net_test runs the DHT on real libp2p hosts with real sockets on
// loopback.
package net_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
	"go.uber.org/goleak"

	kad "github.com/go-kad/kad/host"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const (
	fleetSize = 50
	fleetGone = 15
	rounds    = 100

	// patience bounds every operation: none comes near it, and a hang fails
	// with the operation's own error.
	patience = 30 * time.Second
)

// greatest is the validator of the test's namespace: anything goes, the
// greatest value wins.
type greatest struct{}

func (greatest) Validate(string, []byte) error { return nil }

func (greatest) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i, v := range values {
		if string(v) > string(values[best]) {
			best = i
		}
	}
	return best, nil
}

// A fleet is a network of nodes that joined through the first of them.
type fleet struct {
	nodes []*kad.DHT
	hosts []host.Host
	rng   *rand.Rand
}

// launch starts n nodes, half of them on TCP and half on QUIC, and waits until
// all have joined.
func launch(t *testing.T, n int, seed uint64) *fleet {
	t.Helper()
	f := &fleet{rng: rand.New(rand.NewPCG(seed, seed))}
	for i := range n {
		// A TCP host cannot dial a QUIC address and the other way round: each
		// listens on one, and speaks both.
		listen := "/ip4/127.0.0.1/tcp/0"
		if i%2 == 1 {
			listen = "/ip4/127.0.0.1/udp/0/quic-v1"
		}
		h, err := libp2p.New(
			libp2p.ListenAddrStrings(listen),
			libp2p.ResourceManager(&network.NullResourceManager{}), // fifty nodes share one address here
		)
		if err != nil {
			t.Fatal(err)
		}
		cfg := kad.Config{Network: "/itest", Validators: map[string]record.Validator{"v": greatest{}}}
		if i > 0 {
			first := f.hosts[0]
			cfg.Bootstrap = []peer.AddrInfo{{ID: first.ID(), Addrs: first.Addrs()}}
		}
		d, err := kad.New(h, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // what was stopped already is stopped twice, which is fine
			_ = d.Close()
			_ = h.Close()
		})
		f.nodes = append(f.nodes, d)
		f.hosts = append(f.hosts, h)
	}
	f.each(t, func(ctx context.Context, d *kad.DHT) error { return d.Bootstrap(ctx) }, f.nodes[1:])
	return f
}

// each runs an operation on nodes, in parallel.
func (f *fleet) each(t *testing.T, op func(context.Context, *kad.DHT) error, nodes []*kad.DHT) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wg sync.WaitGroup
	for i, d := range nodes {
		wg.Go(func() {
			if err := op(ctx, d); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// pick returns a random node.
func (f *fleet) pick() *kad.DHT { return f.nodes[f.rng.IntN(len(f.nodes))] }

// stop takes n random nodes away, without a word to anybody.
func (f *fleet) stop(t *testing.T, n int) {
	t.Helper()
	for range n {
		i := 1 + f.rng.IntN(len(f.nodes)-1)
		h := f.nodes[i].Host()
		// The host first, so that the DHT has no chance to say goodbye.
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		_ = f.nodes[i].Close()
		f.nodes = append(f.nodes[:i:i], f.nodes[i+1:]...)
	}
}

// round is one put and get, one provide and look-up, and one FindPeer, between
// random nodes.
func (f *fleet) round(t *testing.T, i int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	key := fmt.Sprintf("/v/%d-%d", f.rng.Uint64(), i)
	value := []byte(strings.Repeat("x", 1+f.rng.IntN(1000)))
	if _, err := f.pick().Put(ctx, key, value); err != nil {
		t.Fatalf("round %d: put: %v", i, err)
	}
	got, err := f.pick().GetValue(ctx, key)
	if err != nil || string(got) != string(value) {
		t.Fatalf("round %d: get: %d bytes, %v; want %d bytes", i, len(got), err, len(value))
	}

	hash, err := multihash.Sum([]byte(key), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	content := cid.NewCidV1(cid.Raw, hash)
	provider, seeker := f.pick(), f.pick()
	if _, err := provider.Announce(ctx, content); err != nil {
		t.Fatalf("round %d: provide: %v", i, err)
	}
	found := provider == seeker // who looks is not told of itself
	for p, err := range seeker.Providers(ctx, content, 0) {
		if err != nil {
			t.Fatalf("round %d: providers: %v", i, err)
		}
		found = found || p.ID == provider.ID() && len(p.Addrs) > 0
	}
	if !found {
		t.Fatalf("round %d: the provider was not found", i)
	}

	target := f.pick()
	peer, err := f.pick().FindPeer(ctx, target.ID())
	if err != nil || len(peer.Addrs) == 0 {
		t.Fatalf("round %d: find peer: %v, %v", i, peer, err)
	}
}

// Fifty hosts: all tables fill, every operation succeeds; then fifteen of them
// are stopped without a word, and every operation succeeds still.
func TestFleet(t *testing.T) {
	const seed = 1
	t.Logf("seed %d", seed)
	start := time.Now()
	f := launch(t, fleetSize, seed)
	smallest, sum := fleetSize, 0
	for i, d := range f.nodes {
		got := d.Stats().Contacts
		smallest, sum = min(smallest, got), sum+got
		if got < 20 {
			t.Errorf("node %d has %d contacts, want 20 or more of %d", i, got, fleetSize-1)
		}
	}
	t.Logf("%d nodes joined in %v; contacts: %d at least, %d on average",
		fleetSize, time.Since(start).Round(time.Millisecond), smallest, sum/fleetSize)

	start = time.Now()
	for i := range rounds {
		f.round(t, i)
	}
	t.Logf("%d rounds in %v", rounds, time.Since(start).Round(time.Millisecond))

	f.stop(t, fleetGone)
	start = time.Now()
	for i := range rounds {
		f.round(t, i)
	}
	t.Logf("%d rounds without %d of the nodes in %v", rounds, fleetGone, time.Since(start).Round(time.Millisecond))
}
