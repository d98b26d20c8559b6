package routing

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestAtMost(t *testing.T) {
	for _, tt := range []struct {
		n    int
		mean float64
		want float64
	}{{0, 0, 1}, {5, 0, 1}, {0, 1, 0.3679}, {1, 1, 0.7358}, {19, 20, 0.4703}, {3, 20, 0}, {40, 20, 1}} {
		if got := atMost(tt.n, tt.mean); math.Abs(got-tt.want) > 1e-4 {
			t.Errorf("%d or fewer of %v: %.4f, want %v", tt.n, tt.mean, got, tt.want)
		}
	}
}

// Each answer that reaches past a node is one more that would have named it.
func TestUnheard(t *testing.T) {
	l := NewLookup("self", target, span(1, 20), LookupConfig{K: 10, Size: unit})
	p := l.paths[0]
	expect := func(what string, want ...float64) {
		t.Helper()
		got, full := l.unheard(p)
		if !full || len(got) != 10 {
			t.Fatalf("%s: %v, full %v", what, got, full)
		}
		for i, w := range want {
			if math.Abs(got[i]-w) > 1e-9 {
				t.Errorf("%s: %v are unheard of, want %v up to %d", what, got[i], w, i+1)
			}
		}
	}
	expect("nobody has answered", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	p.reaches = []reach{{cpl: 253, far: 0x1p-253}} // as far as 8
	expect("one", 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.8, 2.8)
	p.reaches = append(p.reaches, reach{cpl: 253, far: 0x1p-250})
	expect("two", 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.18, 0.28)
	p.reaches = []reach{{cpl: 250, far: 0x1p-200}} // from a bucket of 32, of whom it knows 10
	expect("a full bucket", 1-0.9*10/32)
	p.reaches = nil
	for range 6 {
		p.reaches = append(p.reaches, reach{cpl: 253, far: 1})
	}
	if got := l.confidence(p); got < 0.9999 {
		t.Errorf("confidence is %v after six answers", got)
	}
}

// Without the size of the network there is no confidence but that of the exact
// rule, and nobody is certain before the end.
func TestConfidenceWithoutSize(t *testing.T) {
	l := NewLookup("self", target, span(1, 3), LookupConfig{})
	asks(l, epoch)
	l.Answered("1", nil)
	if r := l.Result(); r.Confidence != 0 || len(l.Certain()) != 0 {
		t.Errorf("confidence is %v, certain are %v", r.Confidence, ids(l.Certain()))
	}
	l.Answered("2", nil)
	l.Failed("3")
	expectEnd(t, l, Exhausted, ps(1, 2)...)
	if r := l.Result(); r.Confidence != 1 || !sameContacts(l.Certain(), ps(1, 2)) {
		t.Errorf("confidence is %v, certain are %v", r.Confidence, ids(l.Certain()))
	}
	l = NewLookup("self", target, span(1, 3), LookupConfig{})
	asks(l, epoch)
	l.Answered("1", nil)
	l.Stop()
	if r := l.Result(); r.Confidence != 0 || len(l.Certain()) != 0 {
		t.Errorf("stopped: confidence is %v, certain are %v", r.Confidence, ids(l.Certain()))
	}
}

// Whoever is certain while a lookup goes on is in its result, nearly always; half
// of the result is certain before the last of it has answered.
func TestCertain(t *testing.T) {
	const nodes, lookups = 500, 100
	rng := seeded(t, 11)
	net := newNetwork(nodes, rng)
	for _, paths := range []int{1, 4} {
		early, wrong, total := 0, 0, 0
		for range lookups {
			from := net.nodes[rng.IntN(nodes)]
			target := KeyOf(Preimage(from.Key, 0, rng))
			cfg := LookupConfig{Size: Estimate{Nodes: nodes, Error: 0.07}, Paths: paths}
			l := NewLookup(from.ID, target, net.tables[from.Key].Closest(target, 20), cfg)
			want := closestOf(target, net.without(from), 20)
			var asked, before []Contact
			for l.Result().End == Running {
				switch a := l.Next(epoch); a.Kind {
				case Ask:
					asked = append(asked, a.Contact)
				case Wait:
					before = l.Certain()
					i := rng.IntN(len(asked))
					l.Answered(asked[i].ID, net.tables[asked[i].Key].Closest(target, 20))
					asked = slices.Delete(asked, i, i+1)
					for _, c := range l.Certain() {
						total++
						if !slices.ContainsFunc(want, func(w Contact) bool { return w.ID == c.ID }) {
							wrong++
						}
					}
				}
			}
			early += len(before)
			if !sameContacts(l.Certain(), l.Result().Closest) {
				t.Errorf("certain are %v at the end, the result %v", ids(l.Certain()), ids(l.Result().Closest))
			}
			if c := l.Result().Confidence; c < enough {
				t.Errorf("%d paths: confidence is %v", paths, c)
			}
		}
		if wrong > total/100 || early < 10*lookups {
			t.Errorf("%d paths: %d of %d certain ones were wrong, %d of %d before the end", paths, wrong, total, early, 20*lookups)
		}
		t.Logf("%d paths: %d of %d certain ones were wrong, %d of %d before the end", paths, wrong, total, early, 20*lookups)
	}
}

// A lookup is right as often as its confidence says, or more often, where one node
// in five is dead.
func TestConfidenceIsCalibrated(t *testing.T) {
	const nodes = 1000
	c := newCity(nodes, 3)
	c.dead = 0.2
	rng := seeded(t, 12)
	said, right, lookups := 0.0, 0.0, 150
	for range lookups {
		from := rng.IntN(nodes)
		for c.isDead(from) {
			from = rng.IntN(nodes)
		}
		target := KeyOf(Preimage(c.keys[from], 0, rng))
		cfg := LookupConfig{Size: Estimate{Nodes: nodes, Error: 0.07}, SlowAfter: time.Second, Failing: 0.2}
		got := c.find(from, target, c.seeds(from, target), cfg, rng)
		said += got.result.Confidence / float64(lookups)
		if got.accuracy == 1 {
			right += 1 / float64(lookups)
		}
	}
	t.Logf("right in %.2f of the lookups, %.2f by their confidence", right, said)
	if said > right+0.1 {
		t.Errorf("right in %.2f of the lookups, %.2f by their confidence", right, said)
	}
}
