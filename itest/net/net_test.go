// Package net_test runs the DHT on real libp2p hosts: with real sockets on
// loopback, and over links that take virtual time.
package net_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/multiformats/go-multihash"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/itest/internal/race"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const (
	atOnce = 8 // rounds

	// patience bounds every operation: none comes near it, and a hang fails
	// with the operation's own error.
	patience = time.Minute
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
	f := newFleet(seed)
	for i := range n {
		// A TCP host cannot dial a QUIC address and the other way round: each
		// listens on one, and speaks both.
		listen := "/ip4/127.0.0.1/tcp/0"
		if i%2 == 1 {
			listen = "/ip4/127.0.0.1/udp/0/quic-v1"
		}
		f.add(t, libp2p.ListenAddrStrings(listen))
	}
	joined(t, f.nodes[1:], patience)
	return f
}

// launchMany is launch for many nodes, of which a few join at a time: if all do, requests are
// late and are made again, which takes a third longer. They are on QUIC: with TCP, 200 nodes have
// 20 000 file descriptors.
func launchMany(t testing.TB, n int, seed uint64) *fleet {
	t.Helper()
	f := newFleet(seed)
	waiting := 1 // the first one has nothing to join
	for i := range n {
		f.add(t, libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.Transport(libp2pquic.NewTransport), libp2p.DisableMetrics())
		if i%8 == 7 || i == n-1 {
			joined(t, f.nodes[min(waiting, i+1):], 10*time.Minute)
			waiting = i + 1
		}
	}
	return f
}

func newFleet(seed uint64) *fleet { return &fleet{rng: rand.New(rand.NewPCG(seed, seed))} }

// add adds a node, which joins through the first one.
func (f *fleet) add(t testing.TB, opts ...libp2p.Option) {
	t.Helper()
	h, err := libp2p.New(append(opts, libp2p.ResourceManager(&network.NullResourceManager{}))...) // they share one address here
	if err != nil {
		t.Fatal(err)
	}
	cfg := kad.Config{Network: "/itest", Validators: map[string]record.Validator{"v": greatest{}}}
	if len(f.hosts) > 0 {
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

// joined waits until nodes have joined, and not for longer than a time.
func joined(t testing.TB, nodes []*kad.DHT, most time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	for i, d := range nodes { // they have been joining since they were made
		if err := d.Bootstrap(ctx); err != nil {
			t.Errorf("node %d of %d: %v", i, len(nodes), err)
		}
	}
}

// pick returns a random node.
func (f *fleet) pick() *kad.DHT { return f.nodes[f.rng.IntN(len(f.nodes))] }

// play plays rounds, a few at a time: 50, and 25 with the race detector, which makes
// each four times slower. The nodes of each round are drawn before.
func (f *fleet) play(t *testing.T) {
	t.Helper()
	rounds := 50
	if race.Enabled {
		rounds = 25
	}
	start := time.Now()
	var players errgroup.Group
	players.SetLimit(atOnce)
	for i := range rounds {
		r := round{
			key:   fmt.Sprintf("/v/%d-%d", f.rng.Uint64(), i),
			value: strings.Repeat("x", 1+f.rng.IntN(1000)),
		}
		for j := range r.nodes {
			r.nodes[j] = f.pick()
		}
		players.Go(func() error {
			if err := r.play(t.Context()); err != nil {
				return fmt.Errorf("round %d: %w", i, err)
			}
			return nil
		})
	}
	if err := players.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d rounds among %d nodes, %d at a time, in %v",
		rounds, len(f.nodes), atOnce, time.Since(start).Round(time.Millisecond))
}

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

// A round is a put and a get, a provide and a look-up, an advertisement and a
// search, and a search for a peer, each pair between two random nodes.
type round struct {
	nodes      [8]*kad.DHT
	key, value string
}

func (r round) play(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, part := range []func(context.Context) error{r.values, r.contents, r.meeting, r.peers} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r round) values(ctx context.Context) error {
	if _, err := r.nodes[0].Put(ctx, r.key, []byte(r.value)); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	got, err := r.nodes[1].GetValue(ctx, r.key)
	if err != nil || string(got) != r.value {
		return fmt.Errorf("get: %d bytes, %w; want %d bytes", len(got), err, len(r.value))
	}
	return nil
}

func (r round) contents(ctx context.Context) error {
	hash, err := multihash.Sum([]byte(r.key), multihash.SHA2_256, -1)
	if err != nil {
		return err
	}
	content := cid.NewCidV1(cid.Raw, hash)
	if _, err := r.nodes[2].Announce(ctx, content); err != nil {
		return fmt.Errorf("provide: %w", err)
	}
	return finds(r.nodes[3], r.nodes[2], r.nodes[3].Providers(ctx, content, 0))
}

func (r round) meeting(ctx context.Context) error {
	if _, err := r.nodes[4].Advertise(ctx, r.key); err != nil {
		return fmt.Errorf("advertise: %w", err)
	}
	return finds(r.nodes[5], r.nodes[4], r.nodes[5].Discover(ctx, r.key, 0))
}

func (r round) peers(ctx context.Context) error {
	found, err := r.nodes[6].FindPeer(ctx, r.nodes[7].ID())
	if err != nil || len(found.Addrs) == 0 {
		return fmt.Errorf("find peer: %v, %w", found, err)
	}
	return nil
}

// finds returns nil if wanted is among the peers that seeker found, with
// addresses; who looks is not told of itself.
func finds(seeker, wanted *kad.DHT, peers iter.Seq2[peer.AddrInfo, error]) error {
	found := wanted == seeker
	for p, err := range peers {
		if err != nil {
			return fmt.Errorf("find: %w", err)
		}
		if p.ID == wanted.ID() && len(p.Addrs) == 0 {
			return errors.New("no address of the provider was found")
		}
		found = found || p.ID == wanted.ID()
	}
	if !found {
		return errors.New("the provider was not found")
	}
	return nil
}

// Fifty hosts, or twenty with the race detector: all tables fill, every operation
// succeeds; then three in ten are stopped without a word, and every operation succeeds
// still.
func TestFleet(t *testing.T) {
	fleetSize := 50
	if race.Enabled {
		fleetSize = 20
	}
	const seed = 1
	t.Logf("seed %d", seed)
	start := time.Now()
	f := launch(t, fleetSize, seed)
	smallest, sum := fleetSize, 0
	for i, d := range f.nodes {
		got := d.Stats().Contacts
		smallest, sum = min(smallest, got), sum+got
		if want := min(20, fleetSize-1); got < want {
			t.Errorf("node %d has %d contacts, want %d or more of %d", i, got, want, fleetSize-1)
		}
	}
	t.Logf("%d nodes joined in %v; contacts: %d at least, %d on average",
		fleetSize, time.Since(start).Round(time.Millisecond), smallest, sum/fleetSize)

	f.play(t)
	f.stop(t, fleetSize*3/10)
	f.play(t)
}
