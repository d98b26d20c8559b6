package interop_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A mixed network: as many nodes of each kind, half of them on TCP and half on
// QUIC, each joined through one of the other kind.
type mixed struct {
	nodes map[kind][]node
	ids   []peer.ID
	rng   *rand.Rand
}

const nodesPerKind = 15

// joining bounds how many nodes join at a time.
const joining = 4

func launch(t *testing.T, seed uint64) *mixed {
	t.Helper()
	m := &mixed{nodes: make(map[kind][]node), rng: rand.New(rand.NewPCG(seed, seed))}
	for i := range nodesPerKind {
		listen := []string{tcp, quic}[i%2]
		x := start(t, theirs, setup{listen: listen, identity: m.rng.Uint64()})
		m.nodes[theirs] = append(m.nodes[theirs], x)
		s := setup{listen: listen, identity: m.rng.Uint64()}
		s.bootstrap = []peer.AddrInfo{infoOf(m.nodes[theirs][0])}
		o := start(t, ours, s)
		m.nodes[ours] = append(m.nodes[ours], o)
		m.ids = append(m.ids, o.Host().ID(), x.Host().ID())
	}
	for _, x := range m.nodes[theirs] {
		introduce(t, x, m.nodes[ours][0])
	}
	// Who joins first meets few: all look for neighbours once more when all are there.
	for range 2 {
		m.each(t, func(ctx context.Context, n node) error { return n.refresh(ctx) })
	}
	return m
}

// each runs an operation on all nodes, some at a time.
func (m *mixed) each(t *testing.T, op func(context.Context, node) error) {
	t.Helper()
	ctx := patient(t)
	var running sync.WaitGroup
	slots := make(chan struct{}, joining)
	for kind, nodes := range m.nodes {
		for i, n := range nodes {
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				if err := op(ctx, n); err != nil {
					t.Errorf("%s, node %d: %v", kind, i, err)
				}
			})
		}
	}
	running.Wait()
}

// pick returns a random node of a kind.
func (m *mixed) pick(k kind) node { return m.nodes[k][m.rng.IntN(nodesPerKind)] }

func TestMixedNetwork(t *testing.T) {
	const seed = 1
	begin := time.Now()
	m := launch(t, seed)
	t.Logf("seed %d: %d nodes joined in %v", seed, len(m.ids), time.Since(begin).Round(time.Millisecond))

	t.Run("tables", m.tables)
	t.Run("closest peers", m.closestPeers)
	for _, from := range []kind{ours, theirs} {
		t.Run(fmt.Sprintf("from %s to %s", from, from.other()), func(t *testing.T) {
			for i := range 10 {
				m.round(t, i, from)
			}
		})
	}
	t.Run("discovery", m.discovery)
}

// tables checks that all nodes are in tables of both kinds, and that every
// table has contacts of both.
func (m *mixed) tables(t *testing.T) {
	known := map[kind]map[peer.ID]int{ours: {}, theirs: {}}
	for k, nodes := range m.nodes {
		for i, n := range nodes {
			of := make(map[kind]int)
			for _, id := range n.contacts() {
				known[k][id]++
				for kk, all := range m.nodes {
					if slices.ContainsFunc(all, func(n node) bool { return n.Host().ID() == id }) {
						of[kk]++
					}
				}
			}
			// A bucket takes 20, half of the 29 others are in the first: more than
			// a few are missing only if a kind is not admitted.
			if of[ours] < nodesPerKind-4 || of[theirs] < nodesPerKind-4 {
				t.Errorf("%s, node %d: %d contacts are ours and %d theirs, want %d or more of each", k, i, of[ours], of[theirs], nodesPerKind-4)
			}
		}
	}
	for k, counts := range known {
		for _, id := range m.ids {
			if counts[id] < nodesPerKind/2 {
				t.Errorf("%v is in %d of the %d tables of %s", id, counts[id], nodesPerKind, k)
			}
		}
	}
}

// closestPeers checks that both kinds find the peers that are the closest by
// definition, in order.
func (m *mixed) closestPeers(t *testing.T) {
	for range 10 {
		key := make([]byte, 32)
		for i := range key {
			key[i] = byte(m.rng.Uint32())
		}
		for _, k := range []kind{ours, theirs} {
			asker := m.pick(k)
			got, err := asker.closest(patient(t), key)
			if want := bruteForce(m.ids, asker.Host().ID(), key); err != nil || !slices.Equal(got, want) {
				t.Errorf("the %d peers closest to %x, asked by one of %s:\n got %v, %v\nwant %v", replication, key, k, got, err, want)
			}
		}
	}
}

// round writes with one kind and reads with the other.
func (m *mixed) round(t *testing.T, i int, from kind) {
	t.Helper()
	ctx := patient(t)
	writer, reader := m.pick(from), m.pick(from.other())

	key, value := fmt.Sprintf("/v/%s-%d", from, i), fmt.Sprint("value of round ", i)
	if err := writer.PutValue(ctx, key, []byte(value)); err != nil {
		t.Fatalf("round %d: put: %v", i, err)
	}
	if got, err := reader.GetValue(ctx, key); err != nil || string(got) != value {
		t.Fatalf("round %d: get: %q, %v; want %q", i, got, err, value)
	}

	content := contentOf(t, key)
	if err := writer.announce(ctx, content); err != nil {
		t.Fatalf("round %d: provide: %v", i, err)
	}
	var providers []peer.AddrInfo
	for info := range reader.FindProvidersAsync(ctx, content, 0) {
		providers = append(providers, info)
	}
	checkOnly(t, fmt.Sprintf("round %d: find providers", i), providers, writer)

	info, err := reader.FindPeer(ctx, writer.Host().ID())
	if err != nil {
		t.Fatalf("round %d: find peer: %v", i, err)
	}
	checkOnly(t, fmt.Sprintf("round %d: find peer", i), []peer.AddrInfo{info}, writer)
}

// discovery lets some of each kind advertise a room, and the others find them.
func (m *mixed) discovery(t *testing.T) {
	const room, each = "another room", 3
	var want []peer.ID
	for _, k := range []kind{ours, theirs} {
		for _, n := range m.nodes[k][:each] {
			if _, err := n.Advertise(patient(t), room); err != nil {
				t.Fatalf("one of %s: advertise: %v", k, err)
			}
			want = append(want, n.Host().ID())
		}
	}
	for _, k := range []kind{ours, theirs} {
		found, err := m.nodes[k][each].FindPeers(patient(t), room)
		if err != nil {
			t.Fatalf("one of %s: find peers: %v", k, err)
		}
		var got []peer.ID
		for info := range found {
			if len(info.Addrs) == 0 {
				t.Errorf("one of %s: %v was found without an address", k, info.ID)
			}
			got = append(got, info.ID)
		}
		if !slices.Equal(sorted(got), sorted(want)) {
			t.Errorf("one of %s found %v, want %v", k, got, want)
		}
	}
}
