package routing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A timed world says how long each contact takes to answer; who is not in takes
// has never been there.
type timed struct {
	names map[peer.ID][]Contact
	takes map[peer.ID]time.Duration
}

// find drives l to its end, on a clock of its own, and returns how long that
// took. Requests that nobody answers fail after twice SlowAfter.
func (w timed) find(l *Lookup) (Result, time.Duration) {
	type reply struct {
		at   time.Time
		from peer.ID
	}
	now := epoch
	var replies []reply // soonest first
	for {
		switch a := l.Next(now); a.Kind {
		case Ask:
			d, there := w.takes[a.Contact.ID]
			if !there {
				d = 2 * l.cfg.SlowAfter
			}
			r := reply{now.Add(d), a.Contact.ID}
			i, _ := slices.BinarySearchFunc(replies, r, func(a, b reply) int {
				if a.at.After(b.at) {
					return 1
				}
				return -1 // after those at the same time
			})
			replies = slices.Insert(replies, i, r)
		case Wait:
			if len(replies) == 0 || a.Until.Before(replies[0].at) {
				now = a.Until
				continue
			}
			r := replies[0]
			replies = replies[1:]
			now = r.at
			if _, there := w.takes[r.from]; there {
				l.Answered(r.from, w.names[r.from])
			} else {
				l.Failed(r.from)
			}
		case Done:
			return l.Result(), now.Sub(epoch)
		}
	}
}

const (
	honestNodes = 30
	inventedIDs = 40 // by each liar
	roundTrip   = 5 * time.Millisecond
)

// A siege is honest nodes that know each other, with liars among them.
type siege struct {
	timed
	honest []Contact
	liars  []Contact
}

// besieged returns a siege of so many liars, each of which names inventions that
// are closer to target than anybody real: its own, or the same ones as the
// others. Liars answer, and so belong in the result.
func besieged(liars int, collude bool, rng *rand.Rand) *siege {
	s := &siege{timed: timed{names: make(map[peer.ID][]Contact), takes: make(map[peer.ID]time.Duration)}}
	distance := func(far int) uint64 { return uint64(far)<<32 + uint64(rng.Uint32()) }
	for i := range honestNodes {
		s.honest = append(s.honest, away(target, distance(100+rng.IntN(100)), fmt.Sprint("honest ", i)))
	}
	for i := range liars {
		s.liars = append(s.liars, away(target, distance(100+rng.IntN(100)), fmt.Sprint("liar ", i)))
	}
	for _, c := range s.real() {
		s.takes[c.ID] = roundTrip
		s.names[c.ID] = closestOf(target, s.real(), 20)
	}
	for i, c := range s.liars {
		if collude && i > 0 {
			s.names[c.ID] = s.names[s.liars[0].ID]
			continue
		}
		var invented []Contact
		for i := range inventedIDs {
			invented = append(invented, away(target, distance(i), fmt.Sprint(string(c.ID), " invents ", i)))
		}
		s.names[c.ID] = invented
	}
	return s
}

// expect says how long anybody is expected to take.
func (s *siege) expect(d time.Duration) {
	for _, named := range s.names {
		for i := range named {
			named[i].Expect = d
		}
	}
}

// real returns all that answer.
func (s *siege) real() []Contact { return slices.Concat(s.honest, s.liars) }

// seeds returns 20 of those that answer, all liars among them.
func (s *siege) seeds(rng *rand.Rand) []Contact {
	seeds := slices.Clone(s.liars)
	for _, i := range rng.Perm(len(s.honest))[:20-len(s.liars)] {
		seeds = append(seeds, s.honest[i])
	}
	return seeds
}

// Liars who invent contacts cost a lookup as long as it waits for two strangers,
// for four if it waits briefly, and a few requests each. They change nothing of
// what it finds.
func TestLiarsCostFewWaits(t *testing.T) {
	long(t)
	const sieges = 50
	for _, tt := range []struct {
		liars    int
		collude  bool
		expect   time.Duration
		requests int
	}{{0, false, 0, 20}, {1, false, 0, 30}, {2, false, 0, 40}, {4, false, 0, 60}, {4, true, 0, 60}, {4, false, 200 * time.Millisecond, 60}} {
		var sum, most time.Duration
		requests := 0
		for seed := range uint64(sieges) {
			rng := rand.New(rand.NewPCG(seed, 1))
			s := besieged(tt.liars, tt.collude, rng)
			s.expect(tt.expect)
			l := NewLookup("self", target, s.seeds(rng), LookupConfig{})
			got, took := s.find(l)
			if want := closestOf(target, s.real(), 20); !sameContacts(got.Closest, want) || got.End != Converged {
				t.Errorf("seed %d, %d liars: %v, found %v, want %v", seed, tt.liars, got.End, ids(got.Closest), ids(want))
			}
			limit := 5 * l.cfg.SlowAfter / 2
			if tt.expect > 0 { // doubted ones have as much: a tenth of SlowAfter is more
				limit = 9 * tt.expect / 2
			}
			if took > limit {
				t.Errorf("seed %d, %d liars: took %v, want %v", seed, tt.liars, took, limit)
			}
			if got.Requests > tt.requests {
				t.Errorf("seed %d, %d liars: %d requests, want %d", seed, tt.liars, got.Requests, tt.requests)
			}
			sum, most, requests = sum+took, max(most, took), max(requests, got.Requests)
		}
		t.Logf("%d liars, colluding %v, expected within %v: %v on average, at most %v and %d requests",
			tt.liars, tt.collude, tt.expect, sum/sieges, most, requests)
	}
}

// A liar cannot hide honest contacts by naming them before others do, among
// inventions.
func TestLiarsHideNobody(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 2))
		s := besieged(4, true, rng)
		hidden := closestOf(target, s.honest, 20)
		for _, c := range s.liars {
			s.takes[c.ID] = time.Millisecond // before all others
			s.names[c.ID] = append(s.names[c.ID][:20:20], hidden...)
		}
		seeds := append(slices.Clone(s.liars), s.honest[0], s.honest[1])
		got, _ := s.find(NewLookup("self", target, seeds, LookupConfig{}))
		if want := closestOf(target, s.real(), 20); !sameContacts(got.Closest, want) {
			t.Errorf("seed %d: found %v, want %v", seed, ids(got.Closest), ids(want))
		}
	}
}

// Where many are dead and nobody lies, everybody heard of who is closer than the
// last of the result was asked and did not answer.
func TestNoHonestContactIsLeftOut(t *testing.T) {
	long(t)
	const nodes = 500
	rng := seeded(t, 9)
	net := newNetwork(nodes, rng)
	for _, dead := range []int{20, 40} { // percent
		w := timed{names: make(map[peer.ID][]Contact), takes: make(map[peer.ID]time.Duration)}
		alive := make(map[Key]bool)
		for _, i := range rng.Perm(nodes)[nodes*dead/100:] {
			alive[net.nodes[i].Key] = true
		}
		var most time.Duration
		for i := range 100 {
			from := net.nodes[rng.IntN(nodes)]
			target := KeyOf(Preimage(from.Key, 0, rng))
			for _, c := range net.nodes {
				if alive[c.Key] {
					w.takes[c.ID] = time.Duration(5+rng.IntN(200)) * time.Millisecond
					w.names[c.ID] = net.tables[c.Key].Closest(target, 20)
				}
			}
			seeds := net.tables[from.Key].Closest(target, 20)
			got, took := w.find(NewLookup(from.ID, target, seeds, LookupConfig{}))
			most = max(most, took)
			heard := slices.Clone(seeds)
			for _, c := range got.Answered {
				heard = append(heard, w.names[c.ID]...)
			}
			bar := got.Closest[len(got.Closest)-1]
			for _, c := range heard {
				in := slices.ContainsFunc(got.Closest, func(o Contact) bool { return o.ID == c.ID })
				if alive[c.Key] && c.ID != from.ID && !in && target.Compare(c.Key, bar.Key) < 0 {
					t.Errorf("%d%% dead, lookup %d: %s was heard of, and is not in the result", dead, i, c.ID)
				}
			}
		}
		t.Logf("%d%% dead: at most %v", dead, most)
	}
}

// One whose names do not answer is blamed: as many again are asked, with little
// patience, and then none, unless one of them answers or somebody else names them.
func TestBlame(t *testing.T) {
	blame := func(t *testing.T) (*Lookup, time.Time) {
		l := NewLookup("self", target, ps(100, 101), LookupConfig{SlowAfter: time.Second})
		expectAsks(t, l, epoch, ps(100, 101)...)
		l.Answered("100", span(1, 30))
		last := expectAsks(t, l, epoch, span(1, 5)...)
		if want := epoch.Add(time.Second); !last.Until.Equal(want) {
			t.Fatalf("wait until %v, want %v", last.Until, want)
		}
		now := last.Until
		last = expectAsks(t, l, now, span(6, 10)...)
		if want := now.Add(100 * time.Millisecond); !last.Until.Equal(want) {
			t.Fatalf("wait until %v, want %v", last.Until, want)
		}
		return l, now
	}
	t.Run("no more", func(t *testing.T) {
		l, now := blame(t)
		expectAsks(t, l, now.Add(100*time.Millisecond))
		expectEnd(t, l, Exhausted, p(100))
	})
	t.Run("one answers", func(t *testing.T) {
		l, now := blame(t)
		l.Answered("7", nil)
		expectAsks(t, l, now, p(11)) // nine do not; the word is good for ten
	})
	t.Run("somebody else names them", func(t *testing.T) {
		l, now := blame(t)
		l.Answered("101", ps(20, 21))
		expectAsks(t, l, now, ps(20, 21)...)
	})
}

// Peers who invent others that answer, and so on, cannot make a lookup run on.
func TestLookupOverrun(t *testing.T) {
	for _, tt := range []struct{ k, want int }{{0, 160}, {1, 160}, {30, 240}} {
		l := NewLookup("self", target, ps(1_000_000), LookupConfig{K: tt.k, MaxDepth: -1})
		next := 1_000_000
		for a := l.Next(epoch); a.Kind == Ask; a = l.Next(epoch) {
			next--
			l.Answered(a.Contact.ID, ps(next))
		}
		r := l.Result()
		if r.End != Overrun || r.Requests != tt.want || r.Closest[0].ID != p(next+1).ID {
			t.Errorf("K %d: %v after %d requests, found %v", tt.k, r.End, r.Requests, r.Closest[0].ID)
		}
	}
}

// A lookup that may ask no more waits for those it has asked.
func TestLookupOverrunWaits(t *testing.T) {
	l := NewLookup("self", target, span(1, 200), LookupConfig{Alpha: 2})
	asked, _ := asks(l, epoch)
	for len(asked) > 0 && l.Result().Requests < 160 {
		l.Failed(peer.ID(asked[0]))
		more, _ := asks(l, epoch)
		asked = append(asked[1:], more...)
	}
	if a := l.Next(epoch); a.Kind != Wait {
		t.Fatalf("next is %v, with %d outstanding", a.Kind, len(asked))
	}
	l.Failed(peer.ID(asked[0]))
	for _, id := range asked[1:] {
		l.Answered(peer.ID(id), nil)
	}
	if a := l.Next(epoch); a.Kind != Done || l.Result().End != Overrun {
		t.Fatalf("next is %v, the end %v", a.Kind, l.Result().End)
	}
	if got := l.Result().Closest; !slices.Equal(ids(got), asked[1:]) {
		t.Errorf("found %v, want %v", ids(got), asked[1:])
	}
}

// A doubtful contact is asked in its turn, and frees its slot sooner.
func TestLookupDoubtful(t *testing.T) {
	doubtful := func(n int) Contact {
		c := p(n)
		c.Doubtful = true
		return c
	}
	cfg := LookupConfig{Alpha: 2, SlowAfter: time.Second}
	l := NewLookup("self", target, []Contact{p(1), doubtful(2), p(4), p(8)}, cfg)
	last := expectAsks(t, l, epoch, ps(1, 2)...)
	if want := epoch.Add(100 * time.Millisecond); !last.Until.Equal(want) {
		t.Fatalf("wait until %v, want %v", last.Until, want)
	}
	now := last.Until
	last = expectAsks(t, l, now, p(4))
	if want := epoch.Add(time.Second); !last.Until.Equal(want) {
		t.Errorf("wait until %v, want %v", last.Until, want)
	}
	l.Answered("4", []Contact{doubtful(8)}) // it stays as it was first heard of
	expectAsks(t, l, now, p(8))
	expectAsks(t, l, now.Add(100*time.Millisecond))
	if l.known["8"].state != waiting {
		t.Error("8 is doubtful, because it was named so later")
	}
	l.Answered("2", nil) // late
	l.Answered("1", nil)
	l.Answered("8", nil)
	expectEnd(t, l, Exhausted, ps(1, 2, 4, 8)...)

	cfg.SlowAfter = -1 // nobody is ever slow
	l = NewLookup("self", target, []Contact{doubtful(1), p(2)}, cfg)
	expectAsks(t, l, epoch, ps(1, 2)...)
	l.Answered("2", nil)
	if last := expectAsks(t, l, epoch.Add(time.Hour)); last.Kind != Wait {
		t.Errorf("next is %v", last.Kind)
	}
}

// A table holds those that answered, and does not doubt them.
func TestTableDoubtsNobody(t *testing.T) {
	tab := NewTable(KeyOf([]byte("self")), TableConfig{})
	c := contact(1)
	c.Doubtful = true
	tab.Seen(epoch, c)
	tab.Seen(epoch, c)
	tab.Update(epoch, c)
	if got, ok := tab.Contact(c.Key); !ok || got.Doubtful {
		t.Errorf("contact is %+v", got)
	}
}
