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

	"github.com/go-kad/kad/routing"
)

// figureNodes is the size of the networks in which lookups are measured: as
// KAD_FIGURE_NODES says, or what fits a test that is run often.
func figureNodes(t *testing.T) int {
	t.Helper()
	s := os.Getenv("KAD_FIGURE_NODES")
	switch {
	case s == "" && raceEnabled:
		t.Skip("with the race detector, it takes minutes: set KAD_FIGURE_NODES for it to run")
	case s == "":
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
	got := fmt.Sprintf("%-24s median %4d ms, p99 %4d ms, %5.1f requests, accuracy %.4f", f.name, median.Milliseconds(), p99.Milliseconds(), requests, accuracy)
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

// warm connects d to all others, which after some lookups it is in any case, unless
// the network is large.
func (n *memNet) warm(d *DHT) {
	for _, other := range n.all() {
		if other != d {
			n.link(n.lookUp(d.self), n.lookUp(other.self))
		}
	}
	time.Sleep(10 * time.Second)
}

// figureLookups is how many lookups make a figure, each by another node if there
// are so many.
const figureLookups = 50

// Lookups among nodes whose links have 50 ms on average are as quick as they are
// to be, whether all are well, nobody is connected, or many are silent or dead.
func TestFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		n.grown(figureNodes(t))
		ms := func(v int) time.Duration { return time.Duration(v) * time.Millisecond }

		warm, again := &figures{name: "warm"}, &figures{name: "same key again"}
		for i, d := range n.sample(figureLookups) {
			n.warm(d)
			warm.lookup(t, n, d, fmt.Sprint("warm", i))
			again.lookup(t, n, d, fmt.Sprint("warm", i))
			time.Sleep(ms(100))
		}
		warm.check(t, bound{ms(350), ms(700), 30, 0.985})
		again.check(t, bound{ms(130), ms(300), 3.5, 0.985})
		figureGets(t, n)
		figureBurst(t, n)
		figureJoins(t, n)

		all := func(name string, prepare func(*DHT)) *figures {
			f := &figures{name: name}
			for i, d := range n.sample(figureLookups) {
				prepare(d)
				f.lookup(t, n, d, fmt.Sprint(name, i))
				time.Sleep(ms(100))
			}
			return f
		}
		fifth := n.sample(figureNodes(t) / 5)
		for _, d := range fifth {
			n.lookUp(d.self).mute.Store(true)
		}
		all("warm, a fifth silent", n.warm).check(t, bound{ms(600), ms(1500), 50, 0.95})
		for _, d := range fifth {
			n.lookUp(d.self).mute.Store(false)
		}
		time.Sleep(20 * time.Minute)

		n.silent.Store(true) // from now on, nobody is told that connections end
		all("cold", func(d *DHT) {
			for _, other := range n.lookUp(d.self).connections() {
				n.unlink(n.lookUp(d.self), other)
			}
		}).check(t, bound{ms(800), ms(1500), 34, 0.985})
		for _, d := range fifth { // dials to them hang
			n.kill(d)
		}
		all("warm, a fifth dead", n.warm).check(t, bound{ms(600), ms(1500), 50, 0.95})
	})
}

// figureJoins measures how long newcomers take until their table is complete, and
// whether the k closest to them are in it.
func figureJoins(t *testing.T, n *memNet) {
	t.Helper()
	joins := &figures{name: "join until complete"}
	for range 10 {
		d := n.join(Config{})
		joins.took = append(joins.took, took(func() {
			if err := d.Bootstrap(t.Context()); err != nil {
				t.Error(err)
			}
		}))
		joins.requests += int(d.Stats().Requests)
		for _, id := range n.closest([]byte(d.self), d.cfg.K, d) {
			joins.wanted++
			if d.peers.has(routing.ContactOf(id)) {
				joins.right++
			}
		}
	}
	joins.check(t, bound{2500 * time.Millisecond, 3500 * time.Millisecond, 200, 0.99})
}

// figureGets measures how soon a get has its first value.
func figureGets(t *testing.T, n *memNet) {
	t.Helper()
	gets := &figures{name: "first value of a get"}
	nodes := n.sample(figureLookups)
	for i, d := range nodes {
		n.warm(d)
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
	n.warm(d)
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
