package routing

import (
	"math/rand/v2"
	"testing"
)

// A network is a set of nodes in memory, each with the table it would have after
// all the others have answered it.
type network struct {
	nodes  []Contact
	tables map[Key]*Table
	dead   map[Key]bool
}

func newNetwork(n int, rng *rand.Rand) *network {
	net := &network{tables: make(map[Key]*Table)}
	for i := range n {
		net.nodes = append(net.nodes, contact(i))
	}
	for _, node := range net.nodes {
		tab := NewTable(node.Key, TableConfig{})
		for _, i := range rng.Perm(n) {
			tab.Seen(epoch, net.nodes[i])
		}
		net.tables[node.Key] = tab
	}
	return net
}

// find runs a lookup of target by a node of net, in which requests are answered
// in the order in which they were sent.
func (net *network) find(from Contact, target Key, cfg LookupConfig) Result {
	l := NewLookup(from.ID, target, net.tables[from.Key].Closest(target, 20), cfg)
	var asked []Action
	for {
		switch action := l.Next(epoch); action.Kind {
		case Ask:
			asked = append(asked, action)
		case Wait:
			c := asked[0].Contact
			if net.dead[c.Key] {
				l.Failed(c.ID)
			} else {
				l.Answered(c.ID, net.tables[c.Key].Closest(asked[0].wants(target), 20))
			}
			asked = asked[1:]
		case Done:
			return l.Result()
		}
	}
}

// wants returns the key that a contact is asked for.
func (a Action) wants(target Key) Key {
	if a.About.ID != "" {
		return a.About.Key
	}
	return target
}

// without returns the live nodes other than one.
func (net *network) without(c Contact) []Contact {
	var others []Contact
	for _, node := range net.nodes {
		if node.ID != c.ID && !net.dead[node.Key] {
			others = append(others, node)
		}
	}
	return others
}

// A lookup ends with exactly the k closest nodes, sorted, at a budget of
// requests: 32 where 20 is the least that k = 20 and beta = k can take.
func TestLookupFindsTheClosest(t *testing.T) {
	long(t)
	const nodes, lookups, budget = 1000, 500, 32
	rng := seeded(t, 1)
	net := newNetwork(nodes, rng)
	requests, hops := 0, 0
	for i := range lookups {
		from := net.nodes[rng.IntN(nodes)]
		target := KeyOf(Preimage(from.Key, i%4, rng))
		got := net.find(from, target, LookupConfig{})
		if want := closestOf(target, net.without(from), 20); !sameContacts(got.Closest, want) {
			t.Errorf("lookup %d found %v, want %v", i, ids(got.Closest), ids(want))
		}
		if got.End != Converged {
			t.Errorf("lookup %d: %v, want %v", i, got.End, Converged)
		}
		requests += got.Requests
		hops = max(hops, got.Hops)
	}
	if mean := float64(requests) / lookups; mean > budget {
		t.Errorf("%.1f requests a lookup, want %d or fewer", mean, budget)
	} else {
		t.Logf("%.1f requests a lookup, at most %d hops", mean, hops)
	}
}

// One node in five is dead, and still in all tables and answers, so that nobody
// names all of the 20 closest live ones. The closest half is found even so, and
// nearly all of the others.
func TestLookupFindsTheClosestLive(t *testing.T) {
	const nodes, lookups = 500, 200
	rng := seeded(t, 8)
	net := newNetwork(nodes, rng)
	net.dead = make(map[Key]bool)
	for _, i := range rng.Perm(nodes)[:nodes/5] {
		net.dead[net.nodes[i].Key] = true
	}
	found := 0
	for i := range lookups {
		from := net.nodes[rng.IntN(nodes)]
		target := KeyOf(Preimage(from.Key, 0, rng))
		got := net.find(from, target, LookupConfig{}).Closest
		want := closestOf(target, net.without(from), 20)
		if !sameContacts(got[:10], want[:10]) {
			t.Errorf("lookup %d found %v, want %v", i, ids(got[:10]), ids(want[:10]))
		}
		for _, c := range got {
			if net.dead[c.Key] {
				t.Errorf("lookup %d found %s, which is dead", i, c.ID)
			}
			if target.Compare(c.Key, want[19].Key) <= 0 {
				found++
			}
		}
	}
	if share := float64(found) / (20 * lookups); share < 0.985 {
		t.Errorf("found %.2f%% of the closest, want 98.5%%", 100*share)
	} else {
		t.Logf("found %.2f%% of the closest", 100*share)
	}
}

// With honest peers, disjoint paths find what a plain lookup finds.
func TestPathsFindTheClosest(t *testing.T) {
	long(t)
	const nodes, lookups = 300, 100
	rng := seeded(t, 2)
	net := newNetwork(nodes, rng)
	for _, paths := range []int{1, 2, 4, 8} {
		requests := 0
		for range lookups {
			from := net.nodes[rng.IntN(nodes)]
			target := KeyOf(Preimage(from.Key, 0, rng))
			got := net.find(from, target, LookupConfig{Paths: paths})
			if want := closestOf(target, net.without(from), 20); !sameContacts(got.Closest, want) {
				t.Errorf("%d paths found %v, want %v", paths, ids(got.Closest), ids(want))
			}
			requests += got.Requests
		}
		t.Logf("%d paths: %.1f requests a lookup", paths, float64(requests)/lookups)
	}
}

// Budget: 32 requests and 300 µs for one lookup among 1000 nodes, most of which
// is their tables.
func BenchmarkLookup(b *testing.B) {
	const nodes = 1000
	rng := rand.New(rand.NewPCG(1, 1))
	net := newNetwork(nodes, rng)
	requests, lookups := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		from := net.nodes[rng.IntN(nodes)]
		requests += net.find(from, net.nodes[rng.IntN(nodes)].Key, LookupConfig{}).Requests
		lookups++
	}
	b.ReportMetric(float64(requests)/float64(lookups), "requests/op")
}
