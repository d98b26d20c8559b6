package routing

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A world is what a lookup can meet: who names whom, and who answers.
type world struct {
	contacts []Contact
	names    map[peer.ID][]Contact
	dead     map[peer.ID]bool
}

func drawWorld(t *rapid.T) world {
	w := world{contacts: span(1, rapid.IntRange(1, 40).Draw(t, "contacts"))}
	w.names, w.dead = make(map[peer.ID][]Contact), make(map[peer.ID]bool)
	seed := rapid.Uint64().Draw(t, "seed")
	rng := rand.New(rand.NewPCG(seed, seed))
	for _, c := range w.contacts {
		for range rng.IntN(6) {
			w.names[c.ID] = append(w.names[c.ID], w.contacts[rng.IntN(len(w.contacts))])
		}
		w.dead[c.ID] = rng.IntN(4) == 0
	}
	for i := range w.contacts {
		c := &w.contacts[i]
		c.Doubtful = rng.IntN(4) == 0
		c.Connected = rng.IntN(2) == 0
		c.RoundTrip = time.Duration(rng.IntN(3)) * 100 * time.Millisecond
		c.Expect = time.Duration(rng.IntN(5)-1) * 400 * time.Millisecond
	}
	return w
}

// reachable returns the live contacts that a walk from seeds can reach.
func (w world) reachable(seeds []Contact) []Contact {
	var live []Contact
	heard := make(map[peer.ID]bool)
	for queue := slices.Clone(seeds); len(queue) > 0; queue = queue[1:] {
		if c := queue[0]; !heard[c.ID] && !w.dead[c.ID] {
			live = append(live, c)
			queue = append(queue, w.names[c.ID]...)
		}
		heard[queue[0].ID] = true
	}
	return live
}

// A journey is one lookup in a world, and its requests as the driver sees them.
type journey struct {
	lookup      *Lookup
	now         time.Time
	asked       map[peer.ID]time.Time
	outstanding []Contact // asked, and neither settled nor dropped
	dropped     int
}

// act does what the lookup wants, and checks that it may want it. It returns the
// action.
func (j *journey) act(t *rapid.T) Action {
	cfg := j.lookup.cfg
	a := j.lookup.Next(j.now)
	switch a.Kind {
	case Ask:
		if _, again := j.asked[a.Contact.ID]; again && a.About.ID == "" {
			t.Fatalf("%v is asked twice", a.Contact.ID)
		}
		if slices.ContainsFunc(j.outstanding, func(c Contact) bool { return c.ID == a.Contact.ID }) {
			t.Fatalf("%v is asked while it is being asked", a.Contact.ID)
		}
		j.asked[a.Contact.ID] = j.now
		j.outstanding = append(j.outstanding, a.Contact)
		if limit := 2 * max(cfg.Alpha, cfg.Paths); len(j.outstanding) > limit {
			t.Fatalf("%d requests in flight, limit is %d", len(j.outstanding), limit)
		}
		for _, c := range j.outstanding {
			if late := !j.now.Before(j.asked[c.ID].Add(2 * cfg.SlowAfter)); late && j.lookup.awaited(c.ID).state != slow {
				t.Fatalf("%v is not slow", c.ID)
			}
		}
	case Drop:
		i := slices.IndexFunc(j.outstanding, func(c Contact) bool { return c.ID == a.Contact.ID })
		if i < 0 {
			t.Fatalf("%v is dropped, and is not in flight", a.Contact.ID)
		}
		j.outstanding = slices.Delete(j.outstanding, i, i+1)
		j.dropped++
		if j.lookup.Answered(a.Contact.ID, nil) || j.lookup.Failed(a.Contact.ID) || j.lookup.Connected(j.now, a.Contact.ID) {
			t.Fatalf("%v is dropped, and awaited", a.Contact.ID)
		}
	case Wait:
		if !a.Until.After(j.now) {
			t.Fatalf("wait until %v, which has passed", a.Until)
		}
		if len(j.outstanding) == 0 {
			t.Fatal("waits for nobody")
		}
	}
	return a
}

// In whatever order answers, failures and silences come, a lookup ends, asks
// nobody twice, keeps to its slots, and finds the closest of those it can reach.
func TestLookupInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		seeds := slices.Clone(w.contacts[:rapid.IntRange(1, min(5, len(w.contacts))).Draw(t, "seeds")])
		cfg := LookupConfig{
			K:         rapid.SampledFrom([]int{1, 3, 40}).Draw(t, "k"),
			Alpha:     rapid.IntRange(1, 5).Draw(t, "alpha"),
			Paths:     rapid.IntRange(1, 3).Draw(t, "paths"),
			MaxDepth:  -1,
			SlowAfter: time.Second,
		}
		if rapid.Bool().Draw(t, "sized") { // half of all nodes are among the closest
			cfg.Size = Estimate{Nodes: math.Ldexp(1, KeyBits-8)}
			cfg.Failing = rapid.Float64Range(0, 1).Draw(t, "failing")
		}
		recent := rapid.IntRange(0, len(seeds)).Draw(t, "recent")
		for i := range recent {
			seeds[i].Recent = true
		}
		j := journey{lookup: NewLookup("self", target, seeds, cfg), now: epoch, asked: make(map[peer.ID]time.Time)}
		l := j.lookup
		for l.Result().End == Running {
			if j.act(t).Kind != Wait {
				continue
			}
			i := rapid.IntRange(0, len(j.outstanding)-1).Draw(t, "who")
			c := j.outstanding[i]
			switch what := rapid.IntRange(0, 4).Draw(t, "what"); {
			case what == 0:
				j.now = j.now.Add(300 * time.Millisecond)
			case what == 1 && !l.awaited(c.ID).Connected:
				l.Connected(j.now, c.ID)
			case w.dead[c.ID]:
				j.outstanding = slices.Delete(j.outstanding, i, i+1)
				if rapid.Bool().Draw(t, "here") {
					l.Hindered(c.ID)
				} else {
					l.Failed(c.ID)
				}
			default:
				j.outstanding = slices.Delete(j.outstanding, i, i+1)
				l.Answered(c.ID, w.names[c.ID])
			}
		}
		if a := l.Next(j.now.Add(time.Hour)); a.Kind != Done {
			t.Fatalf("next is %v after the end", a.Kind)
		}
		if c := l.Result().Confidence; c < 0 || c > 1 {
			t.Errorf("confidence is %v", c)
		}
		if recent == 0 {
			w.judge(t, l.Result(), cfg, seeds, len(j.outstanding)+j.dropped > 0)
		}
	})
}

// judge checks the result of a lookup; overtook says that it ended without some
// that it had asked.
func (w world) judge(t *rapid.T, r Result, cfg LookupConfig, seeds []Contact, overtook bool) {
	answeredBy := make(map[peer.ID]bool)
	for _, c := range r.Answered {
		answeredBy[c.ID] = true
		if w.dead[c.ID] {
			t.Errorf("%v is dead, and in the result", c.ID)
		}
	}
	if r.Crowded { // it looks beyond the crowd
		if len(r.Closest) > maxCrowd*cfg.K {
			t.Errorf("%d contacts around a crowd", len(r.Closest))
		}
		cfg.K = max(cfg.K, len(r.Closest))
	}
	if want := closestOf(target, r.Answered, cfg.K); !sameContacts(r.Closest, want) {
		t.Errorf("closest are %v, want %v", ids(r.Closest), ids(want))
	}
	if r.End != Converged && r.End != Exhausted {
		t.Errorf("end is %v", r.End)
	}
	if overtook || cfg.Paths > 1 {
		return // it did not wait for slow ones, or paths did not share what they heard
	}
	// Everybody heard of who is closer than the last of the result is in it.
	bar := KeyBits
	if len(r.Closest) == cfg.K {
		bar = int(r.Closest[cfg.K-1].Key[31] ^ target[31])
	}
	heard := slices.Clone(seeds)
	for _, c := range r.Answered {
		heard = append(heard, w.names[c.ID]...)
	}
	for _, c := range heard {
		if d := int(c.Key[31] ^ target[31]); d < bar && !w.dead[c.ID] && !answeredBy[c.ID] {
			t.Errorf("%v was heard of and not asked; the result is %v", c.ID, ids(r.Closest))
		}
	}
	// With k large, that is everybody who can be reached.
	if cfg.K < len(w.contacts) {
		return
	}
	live := w.reachable(seeds)
	if want := closestOf(target, live, cfg.K); !sameContacts(r.Closest, want) {
		t.Errorf("found %v, want %v", ids(r.Closest), ids(want))
	}
}
