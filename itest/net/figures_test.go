package net_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/itest/internal/race"
)

// settleAfter is how long after the last node has joined figures are taken: when
// no lookup is remembered any more that was made in a smaller network.
const settleAfter = 6 * time.Minute

// figureNodes is the size of the network in which lookups are measured: as
// KAD_FIGURE_NODES says, or what fits a test that is run often.
func figureNodes(t *testing.T) int {
	t.Helper()
	s := os.Getenv("KAD_FIGURE_NODES")
	if s == "" {
		return 30
	}
	nodes, err := strconv.Atoi(s)
	if err != nil || nodes < 30 {
		t.Fatalf("KAD_FIGURE_NODES: %q is not a number of nodes, 30 or more", s)
	}
	return nodes
}

// A sample is one operation, in virtual time.
type sample struct {
	took     time.Duration
	requests int
	dials    int
	right    int // of those found, how many are among the k closest that answer
	wanted   int
}

// A row is what operations of one kind came to, and what they are to be within.
type row struct {
	name        string
	median, p99 time.Duration // at most
	requests    float64       // at most, on average
	accuracy    float64       // at least

	mu      sync.Mutex
	samples []sample
}

func (r *row) add(s sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, s)
}

// check returns r as a line of a table, and fails if it is worse than it is to be.
func (r *row) check(t *testing.T, nodes int) string {
	t.Helper()
	slices.SortFunc(r.samples, func(a, b sample) int { return int(a.took - b.took) })
	count := len(r.samples)
	if count == 0 {
		t.Fatalf("%s: nothing was measured", r.name)
	}
	var sum sample
	for _, s := range r.samples {
		sum.requests += s.requests
		sum.dials += s.dials
		sum.right += s.right
		sum.wanted += s.wanted
	}
	median, p99 := r.samples[count/2].took, r.samples[(count*99-1)/100].took
	requests, dials := float64(sum.requests)/float64(count), float64(sum.dials)/float64(count)
	accuracy := 1.0
	if sum.wanted > 0 {
		accuracy = float64(sum.right) / float64(sum.wanted)
	}
	line := fmt.Sprintf("| %-22s | %4d | %4d | %6d ms | %6d ms | %6.1f | %5.1f | %.4f |",
		r.name, nodes, count, median.Milliseconds(), p99.Milliseconds(), requests, dials, accuracy)
	if median > r.median || p99 > r.p99 || requests > r.requests || accuracy < r.accuracy {
		t.Errorf("%s\nwant %v, %v, %.1f requests and %.2f", line, r.median, r.p99, r.requests, r.accuracy)
	}
	return line
}

// measure measures an operation of a node.
func (n *simNet) measure(r *row, d *kad.DHT, do func(context.Context) error) sample {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	ctx, trace := kad.WithTrace(ctx)
	before := len(d.Host().Network().Conns())
	start := time.Now()
	err := do(ctx)
	s := sample{
		took:     time.Since(start),
		requests: trace.Stats().Requests,
		dials:    len(d.Host().Network().Conns()) - before,
	}
	if err != nil {
		n.t.Errorf("%s: %v", r.name, err)
	}
	return s
}

// lookup measures a lookup.
func (n *simNet) lookup(r *row, d *kad.DHT, key string) {
	n.t.Helper()
	var found []peer.AddrInfo
	s := n.measure(r, d, func(ctx context.Context) (err error) {
		found, err = d.ClosestPeers(ctx, []byte(key))
		return err
	})
	want := n.closest([]byte(key), d)
	s.wanted = len(want)
	for _, p := range found {
		if slices.Contains(want, p.ID) {
			s.right++
		}
	}
	r.add(s)
}

// lookups measures lookups, one by each node, of keys that begin with a word.
// Before, prepare is called with the node.
func (n *simNet) lookups(r *row, nodes []*kad.DHT, word string, prepare func(*kad.DHT)) {
	n.t.Helper()
	for i, d := range nodes {
		prepare(d)
		n.lookup(r, d, fmt.Sprint(word, i))
	}
}

// burst measures many lookups of one node at once: 256 in a network of 200, and in
// one of fewer as many as give each peer as much to do.
func (n *simNet) burst(r *row, d *kad.DHT) {
	n.t.Helper()
	share := min(float64(len(n.nodes))/200, 1)
	count := int(256 * share)
	n.connect(d)
	start := time.Now()
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() { n.lookup(r, d, fmt.Sprint(r.name, i)) })
	}
	all.Wait()
	if perSecond := float64(count) / time.Since(start).Seconds(); perSecond < 200*share {
		n.t.Errorf("%s: %.0f a second, want %.0f", r.name, perSecond, 200*share)
	}
}

// gets measures how soon a get has its first value. Who gets it does not hold it,
// as nearly all do not in a network that is not as small.
func (n *simNet) gets(r *row, nodes []*kad.DHT) {
	n.t.Helper()
	for i, d := range nodes {
		n.connect(d)
		key := n.foreignKey(d)
		if err := nodes[(i+1)%len(nodes)].PutValue(n.t.Context(), key, []byte("1")); err != nil {
			n.t.Error(err)
		}
		r.add(n.measure(r, d, func(ctx context.Context) error {
			_, err := d.GetValue(ctx, key, kad.Quorum(1))
			return err
		}))
	}
}

// foreignKey returns a random key to which others are the closest.
func (n *simNet) foreignKey(d *kad.DHT) string {
	for {
		key := fmt.Sprintf("/v/%x", n.rng.Uint64())
		if !slices.Contains(n.closest([]byte(key), nil), d.ID()) {
			return key
		}
	}
}

// joins measures how soon new nodes have joined, and whether they know then who is
// the closest to them.
func (n *simNet) joins(r *row, count int) {
	n.t.Helper()
	for range count {
		var d *kad.DHT
		start := time.Now()
		d = n.add()
		if err := d.Bootstrap(n.t.Context()); err != nil {
			n.t.Errorf("%s: %v", r.name, err)
		}
		s := sample{
			took:     time.Since(start),
			requests: int(d.Stats().Requests + d.Stats().Probes),
			dials:    len(d.Host().Network().Conns()),
		}
		known := make(map[peer.ID]bool)
		for _, b := range d.Table() {
			for _, c := range b.Contacts {
				known[c.ID] = true
			}
		}
		want := n.closest([]byte(d.ID()), d)
		s.wanted = len(want)
		for _, id := range want {
			if known[id] {
				s.right++
			}
		}
		r.add(s)
	}
}

// Real hosts look up as quickly as they are to, over links that take 100 ms there
// and back: warm, cold, among peers that are silent, and many at once. How long it
// takes is virtual time, which what is computed does not take.
func TestFigures(t *testing.T) {
	const seed = 1
	if race.Enabled && os.Getenv("KAD_FIGURE_NODES") == "" {
		t.Skip("with the race detector, it takes minutes: set KAD_FIGURE_NODES for it to run")
	}
	nodes := figureNodes(t)
	synctest.Test(t, func(t *testing.T) {
		n := newSimNet(t, seed)
		n.grow(nodes)
		// Each part of the network has one row, so that nothing is measured that was
		// learnt for another.
		part := func(i int) []*kad.DHT { return n.nodes[1+i*(nodes-1)/5 : 1+(i+1)*(nodes-1)/5] }

		ms := time.Millisecond
		asIs := &row{name: "as it comes", median: 1000 * ms, p99: 2000 * ms, requests: 40, accuracy: 0.95}
		warm := &row{name: "warm", median: 500 * ms, p99: 1000 * ms, requests: 40, accuracy: 0.95}
		again := &row{name: "same key again", median: 200 * ms, p99: 400 * ms, requests: 5, accuracy: 0.95}
		get := &row{name: "first value of a get", median: 300 * ms, p99: 600 * ms, requests: 30}
		burst := &row{name: "many at once", median: 1000 * ms, p99: 3000 * ms, requests: 40, accuracy: 0.95}
		cold := &row{name: "cold", median: 650 * ms, p99: 1000 * ms, requests: 28, accuracy: 0.95}
		join := &row{name: "join until complete", median: 5000 * ms, p99: 10000 * ms, requests: 400, accuracy: 0.99}
		silent := &row{name: "a fifth silent", median: 1000 * ms, p99: 2000 * ms, requests: 60, accuracy: 0.9}

		n.lookups(asIs, part(4), "as it comes", func(*kad.DHT) {})
		for i, d := range part(0) {
			n.connect(d) // takes half a minute
			n.lookup(warm, d, fmt.Sprint("warm", i))
			n.lookup(again, d, fmt.Sprint("warm", i))
		}
		n.gets(get, part(1))
		n.burst(burst, n.nodes[0])
		n.cool(part(2))
		n.lookups(cold, part(2), "cold", func(*kad.DHT) {})
		n.joins(join, 3)
		for _, d := range part(4) {
			n.silence(d)
		}
		n.lookups(silent, part(3), "silent", n.connect)

		var table strings.Builder
		for _, r := range []*row{asIs, warm, again, get, burst, cold, join, silent} {
			fmt.Fprintln(&table, r.check(t, nodes))
		}
		t.Logf("seed %d\n| what                   |    N | runs |    median |       p99 | requests | dials | accuracy |\n%s", seed, &table)
	})
}
