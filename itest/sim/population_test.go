package sim

import (
	"slices"
	"testing"

	"github.com/go-kad/kad/routing"
)

// Nodes are in the order of their keys, which are those of their IDs, and can be
// found by them.
func TestPopulation(t *testing.T) {
	seed := seeded(t, 1)
	p := NewPopulation(1000, seed)
	for i := range p.Len() {
		c := p.Contact(i)
		if c.Key != routing.ContactOf(c.ID).Key {
			t.Fatalf("the key of node %d is not that of its ID", i)
		}
		if i > 0 && (routing.Key{}).Compare(p.keys[i-1], c.Key) >= 0 {
			t.Fatalf("node %d is out of order", i)
		}
		if n, ok := p.find(c.Key); !ok || n != i {
			t.Fatalf("node %d is found as %d, %v", i, n, ok)
		}
	}
	if _, ok := p.find(routing.KeyOf([]byte("nobody"))); ok {
		t.Error("a key that no node has is found")
	}
	if NewPopulation(1000, seed+1).keys[0] == p.keys[0] {
		t.Error("another seed gives the same keys")
	}
}

// The true closest nodes, which all results are compared with, are those of a
// sort of all nodes.
func TestClosestIsThatOfASort(t *testing.T) {
	rng := newRNG(seeded(t, 1))
	for _, size := range []int{1, 2, 19, 20, 21, 500} {
		p := NewPopulation(size, rng.Uint64())
		odd := slices.DeleteFunc(numbers(size), func(i int) bool { return i%2 == 0 })
		for range 50 {
			preimage, want := naiveClosest(p, numbers(size), rng, 20)
			if got := p.Closest(routing.KeyOf(preimage), 20, nil); !slices.Equal(got, want) {
				t.Fatalf("of %d nodes: %v, want %v", size, got, want)
			}
			preimage, want = naiveClosest(p, odd, rng, 20)
			got := p.Closest(routing.KeyOf(preimage), 20, func(i int) bool { return i%2 == 1 })
			if !slices.Equal(got, want) {
				t.Fatalf("of the odd of %d nodes: %v, want %v", size, got, want)
			}
		}
	}
}

// A view has, of each CPL, k nodes, or all if they are fewer, and none twice.
func TestView(t *testing.T) {
	const k = 20
	p := NewPopulation(3000, seeded(t, 1))
	for i := 0; i < p.Len(); i += 97 {
		v := p.view(i, k)
		there, known, spare := byCPL(p, i, numbers(p.Len())), byCPL(p, i, widen(v.known)), byCPL(p, i, widen(v.spare))
		for cpl, nodes := range there {
			if want := min(k, len(nodes)); len(known[cpl]) != want {
				t.Fatalf("node %d knows %d of CPL %d, of %d", i, len(known[cpl]), cpl, len(nodes))
			}
			if want := min(spares, len(nodes)-len(known[cpl])); len(spare[cpl]) != want {
				t.Fatalf("node %d has %d to spare of CPL %d, of %d", i, len(spare[cpl]), cpl, len(nodes))
			}
		}
		all := slices.Sorted(slices.Values(append(widen(v.known), widen(v.spare)...)))
		if len(slices.Compact(all)) != len(v.known)+len(v.spare) {
			t.Fatalf("node %d knows somebody twice", i)
		}
		if again := p.view(i, k); !slices.Equal(again.known, v.known) || !slices.Equal(again.spare, v.spare) {
			t.Fatalf("node %d has another view the second time", i)
		}
	}
}

// byCPL groups nodes by the bits that they share with node i.
func byCPL(p *Population, i int, nodes []int) map[int][]int {
	out := make(map[int][]int)
	for _, j := range nodes {
		if j != i {
			cpl := p.keys[i].CPL(p.keys[j])
			out[cpl] = append(out[cpl], j)
		}
	}
	return out
}

func widen(nodes []int32) []int {
	out := make([]int, len(nodes))
	for i, n := range nodes {
		out[i] = int(n)
	}
	return out
}

// A sample is without repetition, and each number is as likely as any other.
func TestSample(t *testing.T) {
	rng := newRNG(seeded(t, 1))
	const rounds = 20_000
	counts := make(map[int32]int)
	for range rounds {
		s := sample(rng, 10, 20, 3)
		if len(s) != 3 || s[0] == s[1] || s[1] == s[2] || s[0] == s[2] {
			t.Fatalf("sample %v", s)
		}
		for _, n := range s {
			counts[n]++
		}
	}
	for n := range int32(30) {
		want := 0
		if n >= 10 && n < 20 {
			want = rounds * 3 / 10
		}
		if got := counts[n]; got < want*9/10 || got > want*11/10 {
			t.Errorf("%d was drawn %d times, want %d", n, got, want)
		}
	}
}

// A node that answers from its view answers what its table would, and the table
// is the one that it would have if all others had answered it: with as many of
// each CPL.
func TestViewIsTable(t *testing.T) {
	const nodes = 600
	p := NewPopulation(nodes, seeded(t, 1))
	w := NewWorld(p, Scenario{}, 1)
	rng := newRNG(2)
	for i := 0; i < nodes; i += 41 {
		table := p.table(i, routing.TableConfig{})
		for range 20 {
			target, without := routing.KeyOf(randomBytes(rng)), rng.IntN(nodes)
			got := w.closest(i, target, without)
			want := w.except(table.Closest(target, 21), without, 20)
			if !slices.EqualFunc(got, want, func(a, b routing.Contact) bool { return a.Key == b.Key && a.ID == b.ID }) {
				t.Fatalf("node %d answers %v, and with its table %v", i, got, want)
			}
		}
		full := routing.NewTable(p.keys[i], routing.TableConfig{})
		for _, j := range rng.Perm(nodes) {
			full.Seen(epoch, p.Contact(j))
		}
		if got, want := sizesOf(table), sizesOf(full); !slices.Equal(got, want) {
			t.Fatalf("the buckets of node %d have %v, want %v", i, got, want)
		}
	}
}

// sizesOf returns the contacts and the pending of each bucket.
func sizesOf(t *routing.Table) []int {
	var out []int
	for _, b := range t.Buckets() {
		out = append(out, len(b.Contacts), b.Pending)
	}
	return out
}
