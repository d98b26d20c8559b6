package network_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// figureNodes is the size of the networks in which lookups are measured: as
// KAD_FIGURE_NODES says, or what fits a test that is run often.
func figureNodes(t *testing.T) int {
	t.Helper()
	s := os.Getenv("KAD_FIGURE_NODES")
	if s == "" {
		return 100
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
	crowded  int // how many took their target for crowded
	right    int // of those found, how many are among the k closest that there are
	wanted   int
}

// mostCrowded is how many lookups of a figure may take their target for crowded: one of some
// 10 000 does by chance.
const mostCrowded = 1

// A bound is what figures are to be within.
type bound struct {
	median, p99 time.Duration
	requests    float64 // on average
	accuracy    float64
}

// check logs f as a benchmark, which itest/bench reads, and fails if it is worse than b.
func (f *figures) check(t *testing.T, b bound) {
	t.Helper()
	slices.Sort(f.took)
	n := len(f.took)
	median, p95, p99 := f.took[n/2], f.took[(n*95-1)/100], f.took[(n*99-1)/100]
	requests := float64(f.requests) / float64(n)
	accuracy := 1.0
	if f.wanted > 0 {
		accuracy = float64(f.right) / float64(f.wanted)
	}
	got := fmt.Sprintf("BenchmarkFigures/%-22s %3d %4d median-ms %4d p95-ms %4d p99-ms %5.1f requests %.4f accuracy %d crowded",
		strings.ReplaceAll(f.name, " ", "-"), n, median.Milliseconds(), p95.Milliseconds(), p99.Milliseconds(), requests, accuracy, f.crowded)
	t.Log(got)
	if median > b.median || p99 > b.p99 || requests > b.requests || accuracy < b.accuracy || f.crowded > mostCrowded {
		t.Errorf("%s; want %v, %v, %.1f, %.3f and %d", got, b.median, b.p99, b.requests, b.accuracy, mostCrowded)
	}
}

// A measured network is one in which lookups are measured. Some of its nodes may be
// silent.
type measured struct {
	*kadtest.Network
	silent []*kadtest.Node
}

// lookup measures one lookup of d.
func (n *measured) lookup(t *testing.T, f *figures, d *kadtest.Node, key string) {
	t.Helper()
	ctx, trace := kad.WithTrace(t.Context())
	start := time.Now()
	found, err := d.DHT.ClosestPeers(ctx, []byte(key))
	f.took = append(f.took, time.Since(start))
	cost := trace.Stats()
	f.requests += cost.Requests
	if cost.Crowded {
		f.crowded++
	}
	if err != nil {
		t.Errorf("%s: %v", f.name, err)
	}
	want := slices.DeleteFunc(n.Closest(key, defaultK, d), func(d *kadtest.Node) bool { return slices.Contains(n.silent, d) })
	f.wanted += len(want)
	for _, p := range found {
		if slices.Contains(ids(want), p.ID) {
			f.right++
		}
	}
}

// sample returns the nodes that look something up.
func (n *measured) sample() []*kadtest.Node { return n.Pick(figureLookups, n.silent...) }

// warm connects nodes to all others, which after some lookups they are in any case,
// unless the network is large.
func (n *measured) warm(t *testing.T, nodes ...*kadtest.Node) {
	t.Helper()
	var dials sync.WaitGroup
	for _, d := range nodes {
		for _, other := range n.Nodes() {
			if other != d {
				dials.Go(func() { _ = d.Host.Connect(t.Context(), other.Info()) })
			}
		}
	}
	dials.Wait()
	time.Sleep(10 * time.Second)
}

// lookups measures one lookup of each of some nodes.
func (n *measured) lookups(t *testing.T, name string, nodes []*kadtest.Node) *figures {
	t.Helper()
	f := &figures{name: name}
	for i, d := range nodes {
		n.lookup(t, f, d, fmt.Sprint(name, i))
		time.Sleep(ms(100))
	}
	return f
}

// figureLookups is how many lookups make a figure, each by another node if there are so
// many.
const figureLookups = 50

func ms(v int) time.Duration { return time.Duration(v) * time.Millisecond }

// Lookups among nodes whose links have 50 ms on average are as quick as they are
// to be, whether all are well, nobody is connected, or many are silent or dead.
func TestFigures(t *testing.T) { bubble(t, testFigures) }

func testFigures(t *testing.T) {
	n := &measured{Network: kadtest.New(t, kadtest.Config{Latency: wide})}
	n.grows(t)
	time.Sleep(20 * time.Minute) // all have refreshed their tables, and remember no lookup

	warm, again := &figures{name: "warm"}, &figures{name: "again"}
	nodes := n.sample()
	n.warm(t, nodes...)
	for i, d := range nodes {
		n.lookup(t, warm, d, fmt.Sprint("warm", i))
		n.lookup(t, again, d, fmt.Sprint("warm", i))
		time.Sleep(ms(100))
	}
	warm.check(t, bound{ms(350), ms(700), 30, 0.985})
	again.check(t, bound{ms(130), ms(300), 3.5, 0.985})
	n.gets(t, nodes)
	n.burst(t, nodes[0])
	n.joins(t)

	fifth := n.Pick(figureNodes(t) / 5)
	n.silent = fifth
	n.Silence(fifth...)
	nodes = n.sample()
	n.warm(t, nodes...)
	n.lookups(t, "fifth silent", nodes).check(t, bound{ms(600), ms(1500), 50, 0.95})
	n.Heal(fifth...)
	n.silent = nil
	time.Sleep(20 * time.Minute)

	cold := &figures{name: "cold"} // each by another node
	for i, d := range n.sample() {
		hangUp(d)
		n.lookup(t, cold, d, fmt.Sprint("cold", i))
		time.Sleep(ms(100))
	}
	// The node is told that its connections have ended, and doubts all its contacts at once.
	cold.check(t, bound{ms(800), ms(1500), 34, 0.985})

	n.Unplug(fifth...) // dials to them hang
	n.Kill(fifth...)
	nodes = n.sample()
	n.warm(t, nodes...)
	n.lookups(t, "fifth dead", nodes).check(t, bound{ms(600), ms(1500), 50, 0.96})
}

// grows adds the nodes in two steps, and measures lookups of a node which knows how large the
// network was before the second one.
func (n *measured) grows(t *testing.T) {
	t.Helper()
	old := joined(n.Network, figureNodes(t)/5, kad.Config{})[0]
	for i := range figureLookups {
		n.lookup(t, &figures{}, old, fmt.Sprint("young", i))
	}
	joined(n.Network, figureNodes(t)-figureNodes(t)/5, kad.Config{})
	n.warm(t, old)
	grown := &figures{name: "grown"}
	for i := range figureLookups {
		n.lookup(t, grown, old, fmt.Sprint("grown", i))
		time.Sleep(ms(100))
	}
	grown.check(t, bound{ms(350), ms(900), 30, 0.985})
}

// joins measures how long newcomers take until their table is complete, and whether the
// k closest to them are in it.
func (n *measured) joins(t *testing.T) {
	t.Helper()
	joins := &figures{name: "join"}
	for range 10 {
		d := n.Add(1, with(kad.Config{}))[0]
		joins.took = append(joins.took, took(func() {
			if err := d.DHT.Bootstrap(t.Context()); err != nil {
				t.Error(err)
			}
		}))
		joins.requests += int(d.DHT.Stats().Requests)
		for _, other := range n.Closest(string(d.ID()), defaultK, d) {
			joins.wanted++
			if knows(d, other.ID()) {
				joins.right++
			}
		}
	}
	joins.check(t, bound{2500 * time.Millisecond, 3500 * time.Millisecond, 200, 0.99})
}

// gets measures how soon a get has its first value.
func (n *measured) gets(t *testing.T, nodes []*kadtest.Node) {
	t.Helper()
	gets := &figures{name: "first value"}
	for i, d := range nodes {
		if err := nodes[len(nodes)-1-i].DHT.PutValue(t.Context(), recordKey(i), []byte("1")); err != nil {
			t.Error(err)
		}
		ctx, trace := kad.WithTrace(t.Context())
		gets.took = append(gets.took, took(func() {
			if _, err := d.DHT.GetValue(ctx, recordKey(i), kad.Quorum(1)); err != nil {
				t.Error(err)
			}
		}))
		gets.requests += trace.Stats().Requests
	}
	gets.check(t, bound{250 * time.Millisecond, 500 * time.Millisecond, 20, 0})
}

// burst measures 256 lookups of one node at once.
func (n *measured) burst(t *testing.T, d *kadtest.Node) {
	t.Helper()
	all := make([]*figures, 256)
	var lookups sync.WaitGroup
	for i := range all {
		all[i] = &figures{name: "256 at once"}
		lookups.Go(func() { n.lookup(t, all[i], d, fmt.Sprint("burst", i)) })
	}
	spent := took(lookups.Wait)
	sum := &figures{name: "256 at once"}
	for _, f := range all {
		sum.took = append(sum.took, f.took...)
		sum.requests += f.requests
		sum.crowded += f.crowded
		sum.right += f.right
		sum.wanted += f.wanted
	}
	// A peer serves 32 streams of one node at a time: further requests wait.
	sum.check(t, bound{time.Second, 3 * time.Second, 40, 0.995})
	perSecond := 256 / spent.Seconds()
	t.Logf("BenchmarkFigures/rate 1 %.0f lookups/s", perSecond)
	if perSecond < 200 {
		t.Errorf("%.0f lookups a second, want 200", perSecond)
	}
}
