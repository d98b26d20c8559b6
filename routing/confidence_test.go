package routing

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
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

// Each answer that reaches past a node is one more that would have named it. What full
// buckets have no room for counts once.
func TestUnheard(t *testing.T) {
	l := NewLookup("self", target, span(1, 20), LookupConfig{K: 10, Size: Estimate{Nodes: 0x1p256}})
	p := l.paths[0]
	expect := func(what string, want ...float64) {
		t.Helper()
		got, full := l.unheard(p)
		if !full || len(got) != 10 {
			t.Fatalf("%s: %v, full %v", what, got, full)
		}
		for i, w := range want {
			if math.Abs(got[i]-w) > 1e-2 {
				t.Errorf("%s: %v are unheard of, want %v up to %d", what, got[i], w, i+1)
			}
		}
	}
	near, far := ps(1)[0].Key, ps(1 << 20)[0].Key
	expect("nobody has answered", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	p.reaches = []reach{{by: near, about: target, far: 0x1p-255}} // as far as 2
	expect("one", 0.1, 0.2, 1.2, 2.2)
	p.reaches = append(p.reaches, reach{by: near, about: target, far: 0x1p-253}) // as far as 8
	expect("two", 0.01, 0.02, 0.12)
	p.reaches = []reach{{by: near, about: ps(4)[0].Key, far: 0x1p-255}} // from 4 to 6
	expect("about another", 1, 2, 3, 3.1, 3.2, 3.3, 4.3)
	p.reaches = nil
	for range 50 {
		p.reaches = append(p.reaches, reach{by: far, about: target, far: 1})
	}
	expect("those that have no room", 1-10/0x1p20, 2-20/0x1p20)
	p.reaches = nil
	for range 6 {
		p.reaches = append(p.reaches, reach{by: near, about: target, far: 1})
	}
	if got := l.confidence(p); got < 0.8 || got > 0.9 { // a bucket of 8 on average overlooks some
		t.Errorf("confidence is %v after six answers", got)
	}
}

// An answer that reaches both ends of a gap need not reach what is inside.
func TestUnheardInsideGap(t *testing.T) {
	l := NewLookup("self", target, ps(0x70, 0x90), LookupConfig{K: 2, Size: Estimate{Nodes: 0x1p250}})
	p := l.paths[0]
	at80 := ps(0x80)[0].Key
	p.reaches = []reach{{by: at80, about: at80, far: 0xf0 * 0x1p-256}} // from 0x70 on its side, and all on the other
	got, full := l.unheard(p)
	if want := (0.5 + 0.5*0.1) * 0x20 * 0x1p-6; !full || math.Abs(got[1]-got[0]-want) > 0.01 {
		t.Errorf("%v are unheard of, full %v; want %v more in the second gap", got, full, want)
	}
}

// What a bucket has no room for is what a Poisson distribution has beyond K.
func TestExcess(t *testing.T) {
	for _, tt := range []struct {
		k          int
		mean, want float64
	}{{20, 1, 0}, {20, 100, 0.8}, {20, 20, 0.0888}, {1, 1, 0.3679}, {4, 400, 0.99}} {
		if got := excess(tt.k, tt.mean); math.Abs(got-tt.want) > 1e-3 {
			t.Errorf("more than %d of %v: a share of %.4f, want %v", tt.k, tt.mean, got, tt.want)
		}
	}
}

// Without the size of the network there is no confidence, unless all contacts have
// answered or failed, and none is certain before the end.
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
	l = NewLookup("self", target, span(1, 3), LookupConfig{K: 2})
	asks(l, epoch)
	l.Answered("1", nil)
	l.Answered("2", nil)
	expectEnd(t, l, Converged, ps(1, 2)...)
	if r := l.Result(); r.Confidence != 0 {
		t.Errorf("converged: confidence is %v, though there may be others", r.Confidence)
	}
	l = NewLookup("self", target, span(1, 3), LookupConfig{})
	asks(l, epoch)
	l.Answered("1", nil)
	l.Stop()
	if r := l.Result(); r.Confidence != 0 || len(l.Certain()) != 0 {
		t.Errorf("stopped: confidence is %v, certain are %v", r.Confidence, ids(l.Certain()))
	}
}

// A lookup that is exhausted knows all that there are only if the peers that answered have
// named all that they know, and the network is not known to be larger.
func TestConfidenceOfExhausted(t *testing.T) {
	for _, tt := range []struct {
		name   string
		closer []Contact
		failed []Contact
		size   Estimate
		want   float64
	}{
		{"all are named", ps(1, 2, 3), nil, Estimate{}, 1},
		{"all are named, one has failed", ps(1, 2, 3), ps(3), Estimate{}, 1},
		{"the answers are full", ps(1, 2, 3, 4), ps(3, 4), Estimate{}, 0},
		{"others are there", ps(1, 2, 3), nil, Estimate{Nodes: 100, Error: 0.1}, 0},
		{"no others are there", ps(1, 2, 3), nil, Estimate{Nodes: 4, Error: 0.1}, 1},
	} {
		l := NewLookup("self", target, ps(1), LookupConfig{K: 4, Size: tt.size})
		for l.Result().End == Running {
			asked, _ := asks(l, epoch)
			for _, id := range asked {
				if slices.ContainsFunc(tt.failed, func(c Contact) bool { return c.ID == peer.ID(id) }) {
					l.Failed(peer.ID(id))
				} else {
					l.Answered(peer.ID(id), tt.closer)
				}
			}
		}
		if r := l.Result(); r.End != Exhausted || r.Confidence != tt.want {
			t.Errorf("%s: %v, confidence %v, want %v", tt.name, r.End, r.Confidence, tt.want)
		}
	}
}

// A contact that could not be asked because of a failure here may be alive: where it may be among
// the closest, there is no confidence.
func TestConfidenceOfHindered(t *testing.T) {
	for _, tt := range []struct {
		hindered string
		size     float64
		sure     bool
	}{{"1", 0x1p253, false}, {"2", 0x1p253, false}, {"3", 0x1p253, true}, {"3", 0, false}, {"1", 0, false}} {
		l := NewLookup("self", target, span(1, 3), LookupConfig{K: 2, Alpha: 3, Size: Estimate{Nodes: tt.size, Error: 0.05}})
		for l.Result().End == Running {
			asked, next := asks(l, epoch)
			for _, id := range asked {
				if id == tt.hindered {
					l.Hindered(peer.ID(id))
				} else {
					l.Answered(peer.ID(id), span(1, 3))
				}
			}
			if len(asked) == 0 && next.Kind == Wait {
				t.Fatalf("%+v: it does not end", tt)
			}
		}
		if r := l.Result(); r.Confidence > 0 != tt.sure {
			t.Errorf("%+v: confidence is %v, closest are %v", tt, r.Confidence, ids(r.Closest))
		}
	}
	l := NewLookup("self", target, span(1, 3), LookupConfig{})
	asks(l, epoch)
	l.Answered("1", nil)
	l.Answered("2", nil)
	if !l.Hindered("3") || l.Hindered("3") {
		t.Error("want true for an answer that was awaited alone")
	}
	expectEnd(t, l, Exhausted, ps(1, 2)...)
	if r := l.Result(); r.Confidence != 0 || r.Failed != 1 {
		t.Errorf("exhausted: confidence is %v, %d failed", r.Confidence, r.Failed)
	}
}

// What an earlier lookup has found, and was not asked again, may be gone: three answers say
// little of the other contacts. Where many fail, all are asked.
func TestConfidenceOfRecentContacts(t *testing.T) {
	for _, tt := range []struct {
		failing  float64
		requests int
		least    float64
		most     float64
	}{{0, 3, 0.2, 0.4}, {0.04, 3, 0, 0.3}, {0.1, 20, 0.9, 1}} {
		seeds := span(1, 20)
		for i := range seeds {
			seeds[i].Connected = true
		}
		MarkRecent(0, seeds)
		cfg := LookupConfig{K: 20, Size: Estimate{Nodes: 0x1p251, Error: 0.05}, Failing: tt.failing}
		l := NewLookup("self", target, seeds, cfg)
		for l.Result().End == Running {
			asked, _ := asks(l, epoch)
			for _, id := range asked {
				l.Answered(peer.ID(id), seeds)
			}
		}
		r := l.Result()
		if r.Requests != tt.requests || r.Confidence < tt.least || r.Confidence > tt.most || len(r.Closest) != 20 {
			t.Errorf("%v failing: %d requests, confidence %.3f, %d found; want %+v", tt.failing, r.Requests, r.Confidence, len(r.Closest), tt)
		}
	}
}

// Whoever is certain while a lookup goes on is in its result, nearly always; half
// of the result is certain before the last of it has answered.
func TestCertain(t *testing.T) {
	long(t)
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
			var asked []Action
			var before []Contact
			for l.Result().End == Running {
				switch a := l.Next(epoch); a.Kind {
				case Ask:
					asked = append(asked, a)
				case Wait:
					before = l.Certain()
					i := rng.IntN(len(asked))
					l.Answered(asked[i].Contact.ID, net.tables[asked[i].Contact.Key].Closest(asked[i].wants(target), 20))
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
			if c := l.Result().Confidence; c < 0.95 {
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
	long(t)
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
