package host

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// figureNodes is the size of the networks in which lookups are measured: as
// KAD_FIGURE_NODES says, or what fits a test that is run often.
func figureNodes(t *testing.T) int {
	t.Helper()
	s := os.Getenv("KAD_FIGURE_NODES")
	if s == "" {
		return 200
	}
	nodes, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("KAD_FIGURE_NODES: %v", err)
	}
	return nodes
}

// Figures are what lookups of one kind came to, in virtual time.
type figures struct {
	name     string
	took     []time.Duration
	requests int
	right    int // of those found, how many are among the k closest that there are
	wanted   int
}

// A bound is what figures are to be within.
type bound struct {
	median, p99 time.Duration
	requests    float64 // on average
	accuracy    float64
}

// check logs f, and fails if it is worse than b.
func (f *figures) check(t *testing.T, b bound) {
	t.Helper()
	slices.Sort(f.took)
	n := len(f.took)
	median, p99 := f.took[n/2], f.took[(n*99-1)/100]
	requests := float64(f.requests) / float64(n)
	accuracy := 1.0
	if f.wanted > 0 {
		accuracy = float64(f.right) / float64(f.wanted)
	}
	got := fmt.Sprintf("%-22s median %4d ms, p99 %4d ms, %5.1f requests, accuracy %.4f", f.name, median.Milliseconds(), p99.Milliseconds(), requests, accuracy)
	t.Log(got)
	if median > b.median || p99 > b.p99 || requests > b.requests || accuracy < b.accuracy {
		t.Errorf("%s; want %v, %v, %.1f and %.3f", got, b.median, b.p99, b.requests, b.accuracy)
	}
}

// lookup measures one lookup of d.
func (f *figures) lookup(t *testing.T, n *memNet, d *DHT, key string) {
	t.Helper()
	ctx, trace := WithTrace(t.Context())
	start := time.Now()
	found, err := d.ClosestPeers(ctx, []byte(key))
	f.took = append(f.took, time.Since(start))
	f.requests += trace.Stats().Requests
	if err != nil {
		t.Errorf("%s: %v", f.name, err)
	}
	want := n.closest([]byte(key), d.cfg.K, d)
	want = slices.DeleteFunc(want, func(id peer.ID) bool { return n.lookUp(id).mute.Load() })
	f.wanted += len(want)
	for _, p := range found {
		if slices.Contains(want, p.ID) {
			f.right++
		}
	}
}

// grown makes a network and waits until it has forgotten how small it was: until all
// have refreshed their tables, and remember no lookup.
func (n *memNet) grown(count int) {
	n.nodes(count, Config{})
	time.Sleep(20 * time.Minute)
}

// sample returns nodes that can look something up, of all parts of the network.
func (n *memNet) sample(count int) []*DHT {
	var nodes []*DHT
	for _, d := range n.all() {
		if !n.lookUp(d.self).mute.Load() {
			nodes = append(nodes, d)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	return nodes[:min(count, len(nodes))]
}

// figureLookups is how many lookups make a figure, each by another node if there
// are so many.
const figureLookups = 100

// Lookups among nodes whose links have 50 ms on average are as quick as they are
// to be, whether all are well, nobody is connected, or many are dead.
func TestFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		n.grown(figureNodes(t))

		warm, again := &figures{name: "warm"}, &figures{name: "same key again"}
		for i, d := range n.sample(figureLookups) {
			warm.lookup(t, n, d, fmt.Sprint("warm", i))
			again.lookup(t, n, d, fmt.Sprint("warm", i))
			time.Sleep(100 * time.Millisecond)
		}
		warm.check(t, bound{350 * time.Millisecond, 700 * time.Millisecond, 30, 0.985})
		again.check(t, bound{130 * time.Millisecond, 300 * time.Millisecond, 3.5, 0.985})
		figureGets(t, n)
		figureBurst(t, n)

		cold := &figures{name: "cold"}
		n.silent.Store(true) // nobody is told that connections end
		for i, d := range n.sample(figureLookups) {
			for _, other := range n.lookUp(d.self).connections() {
				n.unlink(n.lookUp(d.self), other)
			}
			cold.lookup(t, n, d, fmt.Sprint("cold", i))
			time.Sleep(100 * time.Millisecond)
		}
		cold.check(t, bound{800 * time.Millisecond, 1500 * time.Millisecond, 34, 0.985})
	})
}

// A fifth that is gone, with dials that hang, costs little.
func TestFiguresOfDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		n.grown(figureNodes(t))
		n.silent.Store(true) // nobody is told that connections end
		for _, d := range n.sample(figureNodes(t) / 5) {
			n.kill(d)
		}
		dead := &figures{name: "a fifth dead"}
		for i, d := range n.sample(figureLookups) {
			dead.lookup(t, n, d, fmt.Sprint("dead", i))
			time.Sleep(100 * time.Millisecond)
		}
		dead.check(t, bound{600 * time.Millisecond, 1500 * time.Millisecond, 50, 0.95})
	})
}

// figureGets measures how soon a get has its first value.
func figureGets(t *testing.T, n *memNet) {
	t.Helper()
	gets := &figures{name: "first value of a get"}
	nodes := n.sample(figureLookups)
	for i, d := range nodes {
		if err := nodes[len(nodes)-1-i].PutValue(t.Context(), recordKey(i), []byte("1")); err != nil {
			t.Error(err)
		}
		ctx, trace := WithTrace(t.Context())
		gets.took = append(gets.took, took(func() {
			if _, err := d.GetValue(ctx, recordKey(i), Quorum(1)); err != nil {
				t.Error(err)
			}
		}))
		gets.requests += trace.Stats().Requests
	}
	gets.check(t, bound{250 * time.Millisecond, 500 * time.Millisecond, 20, 0})
}

// figureBurst measures 256 lookups of one node at once.
func figureBurst(t *testing.T, n *memNet) {
	t.Helper()
	d := n.any()
	all := make([]*figures, 256)
	var lookups sync.WaitGroup
	for i := range all {
		all[i] = &figures{name: "256 at once"}
		lookups.Go(func() { all[i].lookup(t, n, d, fmt.Sprint("burst", i)) })
	}
	spent := took(lookups.Wait)
	sum := &figures{name: "256 at once"}
	for _, f := range all {
		sum.took = append(sum.took, f.took...)
		sum.requests += f.requests
		sum.right += f.right
		sum.wanted += f.wanted
	}
	sum.check(t, bound{time.Second, 3 * time.Second, 40, 0.98})
	if perSecond := 256 / spent.Seconds(); perSecond < 200 {
		t.Errorf("%.0f lookups a second, want 200", perSecond)
	}
}

// A fifth that is connected and never answers costs little.
func TestFiguresOfSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		n.grown(figureNodes(t))
		for _, d := range n.sample(figureNodes(t) / 5) {
			n.lookUp(d.self).mute.Store(true)
		}
		silence := &figures{name: "a fifth silent"}
		for i, d := range n.sample(figureLookups) {
			silence.lookup(t, n, d, fmt.Sprint("silent", i))
			time.Sleep(100 * time.Millisecond)
		}
		silence.check(t, bound{600 * time.Millisecond, 1500 * time.Millisecond, 50, 0.95})
	})
}
