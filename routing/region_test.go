package routing

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/libp2p/go-libp2p/core/peer"
)

// randomKey draws a key with rng.
func randomKey(rng *rand.Rand) Key {
	var k Key
	for i := 0; i < len(k); i += 8 {
		binary.BigEndian.PutUint64(k[i:], rng.Uint64())
	}
	return k
}

// beginning returns key with the first bits of prefix.
func beginning(prefix Key, bits int, key Key) Key {
	for i := range bits {
		if key.at(i) != prefix.at(i) {
			key = key.flip(i)
		}
	}
	return key
}

// A survey drives a Region over a network whose lookups are exact.
type survey struct {
	nodes   []Contact
	k       int
	rng     *rand.Rand
	region  *Region
	lookups int
	hashes  float64 // to find preimages
}

func newSurvey(nodes []Contact, k int, rng *rand.Rand) *survey {
	return &survey{nodes: nodes, k: k, rng: rng, region: NewRegion(k)}
}

// ask drives the region until it answers for key, and returns the answer and the
// lookups it took, which are limit at most.
func (s *survey) ask(tb interface{ Fatalf(string, ...any) }, key Key, limit int) (closest []Contact, lookups int) {
	for n := 0; ; n++ {
		got, prefix, bits, ok := s.region.Closest(key)
		if ok {
			return got, n
		}
		if got != nil || bits < 0 || bits > MaxPreimageBits || n == limit {
			tb.Fatalf("%d lookups for %x, and now %d bits of %x, with %v", n, key, bits, prefix, ids(got))
		}
		target := key
		if key.CPL(prefix) < bits {
			target = beginning(prefix, bits, randomKey(s.rng))
			s.hashes += float64(uint64(1) << bits)
		}
		s.region.Add(target, closestOf(target, s.nodes, s.k))
		s.lookups++
	}
}

func randomNodes(n int, rng *rand.Rand) []Contact {
	var nodes []Contact
	for i := range n {
		nodes = append(nodes, Contact{ID: peer.ID(fmt.Sprint(i)), Key: randomKey(rng)})
	}
	return nodes
}

// drawNetwork draws nodes, many of them in clusters that share up to 250 bits.
func drawNetwork(t *rapid.T, rng *rand.Rand) []Contact {
	nodes := randomNodes(rapid.IntRange(0, 400).Draw(t, "nodes"), rng)
	clusters := rapid.SliceOfN(rapid.IntRange(0, 250), 0, 3).Draw(t, "clusters")
	for _, bits := range clusters {
		centre := randomKey(rng)
		for i := range nodes[:len(nodes)/2] {
			if rng.IntN(len(clusters)+1) == 0 {
				nodes[i].Key = beginning(centre, bits, nodes[i].Key)
			}
		}
	}
	// Clusters of 250 bits are so small that keys would be there twice.
	slices.SortFunc(nodes, func(a, b Contact) int { return Key{}.Compare(a.Key, b.Key) })
	nodes = slices.CompactFunc(nodes, func(a, b Contact) bool { return a.Key == b.Key })
	rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	return nodes
}

// Every answer is exact, in whatever network and for whatever keys, and comes
// after a small number of lookups.
func TestRegionIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(1, 20).Draw(t, "k")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		nodes := drawNetwork(t, rng)
		s := newSurvey(nodes, k, rng)
		for range 20 {
			key := randomKey(rng)
			if len(nodes) > 0 {
				near := nodes[rng.IntN(len(nodes))].Key
				key = beginning(near, []int{0, 0, 8, 30, 256}[rng.IntN(5)], key)
			}
			got, _ := s.ask(t, key, 2*MaxPreimageBits)
			if want := closestOf(key, nodes, k); !sameContacts(got, want) {
				t.Fatalf("closest to %x are %v, want %v", key, ids(got), ids(want))
			}
		}
	})
}

// The lookups that all keys of a store take, among 1000 nodes with k = 20: no more
// than there are keys, and no more than cover the network however many keys there
// are, which is N/k = 50 if each brought k new nodes.
func TestRegionLookups(t *testing.T) {
	long(t)
	tests := []struct{ keys, lookups, most int }{
		{1, 1, 1},
		{20, 20, 2},
		{100, 75, 3},
		{1000, 85, 3},
		{5000, 85, 3},
	}
	for _, tt := range tests {
		for seed := range uint64(5) {
			rng := seeded(t, seed)
			s := newSurvey(randomNodes(1000, rng), 20, rng)
			most := 0
			for range tt.keys {
				_, n := s.ask(t, randomKey(rng), MaxPreimageBits)
				most = max(most, n)
			}
			t.Logf("%d keys: %d lookups, at most %d for a key, %.0f hashes for each", tt.keys, s.lookups, most, s.hashes/float64(s.lookups))
			if s.lookups > tt.lookups || most > tt.most {
				t.Errorf("%d keys take %d lookups, at most %d for one; want %d and %d", tt.keys, s.lookups, most, tt.lookups, tt.most)
			}
		}
	}
}

// The first part to look into is all; then the prefix is no longer than needed.
func TestRegionAsksForShortPrefixes(t *testing.T) {
	key := KeyOf([]byte("key"))
	r := NewRegion(2)
	if _, prefix, bits, ok := r.Closest(key); ok || bits != 0 || prefix != key {
		t.Errorf("an empty region asks for %d bits of %v (%v)", bits, prefix, ok)
	}
	// One node near the key, one that shares 3 bits with it: nobody else is as near.
	near, far := at(key, 9, "near"), at(key, 3, "far")
	r.Add(key, []Contact{near, far})
	if got, _, _, ok := r.Closest(key); !ok || !sameContacts(got, []Contact{near, far}) {
		t.Errorf("after the lookup of the key closest are %v (%v)", ids(got), ok)
	}
	// A key elsewhere in the prefix of 4 bits needs the half with the far node.
	other := at(key, 5, "other").Key
	_, prefix, bits, ok := r.Closest(other)
	if ok || bits != 4 || key.CPL(prefix) != 3 {
		t.Errorf("it asks for %d bits of %v, CPL %d (%v)", bits, prefix, key.CPL(prefix), ok)
	}
}

// A part that is too deep for a preimage is not asked for: the key itself is.
func TestRegionAsksForKeyItself(t *testing.T) {
	key := KeyOf([]byte("key"))
	nodes := withCPL(key, 100, 5)
	r := NewRegion(2)
	target := key.flip(50)
	r.Add(target, closestOf(target, nodes, 2))
	for asked := 0; ; asked++ {
		_, prefix, bits, ok := r.Closest(key)
		if ok {
			break
		}
		if asked > 1 || bits > MaxPreimageBits || key.CPL(prefix) < bits {
			t.Fatalf("it asks for %d bits of %v", bits, prefix)
		}
		r.Add(key, closestOf(key, nodes, 2))
	}
}

// Fewer than k nodes are all there are.
func TestRegionOfSmallNetwork(t *testing.T) {
	key := KeyOf([]byte("key"))
	for n := range 3 {
		r := NewRegion(3)
		nodes := withCPL(key, 2, n)
		r.Add(KeyOf([]byte("any")), nodes)
		got, _, _, ok := r.Closest(key)
		if !ok || !sameContacts(got, closestOf(key, nodes, n)) {
			t.Errorf("of %d nodes closest are %v (%v)", n, ids(got), ok)
		}
	}
}

// A later lookup wins where it knows all, and only there.
func TestRegionLaterLookupWins(t *testing.T) {
	key := KeyOf([]byte("key"))
	inside, outside := withCPL(key, 5, 4), withCPL(key, 0, 2)
	r := NewRegion(7)
	r.Add(key, append(slices.Clone(inside), outside...)) // fewer than 7: all there are
	r.Add(key, closestOf(key, append(withCPL(key, 8, 3), inside[:4]...), 7))
	// Now three more are known to be near, and of the far ones what was known.
	got, _, _, ok := r.Closest(key)
	if want := closestOf(key, append(withCPL(key, 8, 3), inside...), 7); !ok || !sameContacts(got, want) {
		t.Errorf("closest are %v (%v), want %v", ids(got), ok, ids(want))
	}
	far := key.flip(0)
	got, _, _, ok = r.Closest(far)
	want := append(closestOf(far, outside, 2), closestOf(far, append(withCPL(key, 8, 3), inside...), 5)...)
	if !ok || !sameContacts(got, want) {
		t.Errorf("closest to a far key are %v (%v), want %v", ids(got), ok, ids(want))
	}
	// A node that has gone is not there any more.
	r.Add(key, append(closestOf(key, inside[1:], 3), closestOf(key, outside, 2)...))
	got, _, _, ok = r.Closest(key)
	if want := append(closestOf(key, inside[1:], 3), closestOf(key, outside, 2)...); !ok || !sameContacts(got, want) {
		t.Errorf("closest are %v (%v), want %v", ids(got), ok, ids(want))
	}
}

// However results contradict each other, a region answers as soon as it has the
// lookup of the key itself. Results in disorder are no cause to panic.
func TestRegionOfContradictions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(1, 5).Draw(t, "k")
		r, disorderly := NewRegion(k), NewRegion(k)
		for _, result := range rapid.SliceOfN(rapid.SliceOfN(keys(), 0, 8), 0, 8).Draw(t, "results") {
			var contacts []Contact
			for _, key := range result {
				contacts = append(contacts, Contact{ID: peer.ID(key[:]), Key: key})
			}
			target := keys().Draw(t, "target")
			disorderly.Add(target, contacts)
			disorderly.Closest(target)

			SortByDistance(target, contacts)
			contacts = slices.CompactFunc(contacts, func(a, b Contact) bool { return a.Key == b.Key })
			r.Add(target, contacts)
			got, _, _, ok := r.Closest(target)
			if want := closestOf(target, contacts, k); !ok || !sameContacts(got, want) {
				t.Errorf("closest are %x (%v), want %x", ids(got), ok, ids(want))
			}
		}
	})
}

func TestRegionPanicsWithoutK(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic for k = 0")
		}
	}()
	NewRegion(0)
}

// Budget: 50 µs, 1 allocation.
func BenchmarkRegionClosest(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	s := newSurvey(randomNodes(1000, rng), 20, rng)
	var ks []Key
	for range 1000 {
		ks = append(ks, randomKey(rng))
		s.ask(b, ks[len(ks)-1], MaxPreimageBits)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.region.Closest(ks[i%len(ks)])
		i++
	}
}

// Budget: 200 µs, 30 kB.
func BenchmarkRegionAdd(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	nodes := randomNodes(1000, rng)
	var targets []Key
	var results [][]Contact
	for range 64 {
		targets = append(targets, randomKey(rng))
		results = append(results, closestOf(targets[len(targets)-1], nodes, 20))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i%64 == 0 {
			i = 0
		}
		r := NewRegion(20)
		r.Add(targets[i], results[i])
		i++
	}
}
