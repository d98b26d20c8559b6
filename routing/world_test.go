package routing

import (
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
		w.contacts[i].Doubtful = rng.IntN(4) == 0
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

// In whatever order answers, failures and silences come, a lookup ends, asks
// nobody twice, keeps to its slots, and finds the closest of those it can reach.
func TestLookupInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		seeds := w.contacts[:rapid.IntRange(1, min(5, len(w.contacts))).Draw(t, "seeds")]
		cfg := LookupConfig{
			K:         rapid.SampledFrom([]int{1, 3, 40}).Draw(t, "k"),
			Alpha:     rapid.IntRange(1, 5).Draw(t, "alpha"),
			Paths:     rapid.IntRange(1, 3).Draw(t, "paths"),
			MaxDepth:  -1,
			SlowAfter: time.Second,
		}
		l := NewLookup("self", target, seeds, cfg)
		now := epoch
		asked := make(map[peer.ID]time.Time)
		var outstanding []Contact
		for l.Result().End == Running {
			a := l.Next(now)
			switch a.Kind {
			case Ask:
				if _, again := asked[a.Contact.ID]; again {
					t.Fatalf("%v is asked twice", a.Contact.ID)
				}
				asked[a.Contact.ID] = now
				outstanding = append(outstanding, a.Contact)
				fast := 0
				for _, c := range outstanding {
					if l.known[c.ID].state == waiting {
						fast++
					}
					if late := !now.Before(asked[c.ID].Add(cfg.SlowAfter)); late && l.known[c.ID].state != slow {
						t.Fatalf("%v is not slow", c.ID)
					}
				}
				if limit := max(cfg.Alpha, cfg.K, cfg.Paths) + cfg.Paths; fast > limit {
					t.Fatalf("%d requests hold a slot, limit is %d", fast, limit)
				}
			case Wait:
				if !a.Until.After(now) {
					t.Fatalf("wait until %v, which has passed", a.Until)
				}
				if len(outstanding) == 0 {
					t.Fatal("waits for nobody")
				}
				if rapid.IntRange(0, 3).Draw(t, "silence") == 0 {
					now = now.Add(300 * time.Millisecond)
					continue
				}
				i := rapid.IntRange(0, len(outstanding)-1).Draw(t, "who")
				c := outstanding[i]
				outstanding = slices.Delete(outstanding, i, i+1)
				if w.dead[c.ID] {
					l.Failed(c.ID)
				} else {
					l.Answered(c.ID, w.names[c.ID])
				}
			}
		}
		w.judge(t, l.Result(), cfg, seeds, outstanding)
	})
}

// judge checks the result of a lookup that ended while some were outstanding.
func (w world) judge(t *rapid.T, r Result, cfg LookupConfig, seeds, outstanding []Contact) {
	answeredBy := make(map[peer.ID]bool)
	for _, c := range r.Answered {
		answeredBy[c.ID] = true
		if w.dead[c.ID] {
			t.Errorf("%v is dead, and in the result", c.ID)
		}
	}
	if want := closestOf(target, r.Answered, cfg.K); !sameContacts(r.Closest, want) {
		t.Errorf("closest are %v, want %v", ids(r.Closest), ids(want))
	}
	if r.End != Converged && r.End != Exhausted {
		t.Errorf("end is %v", r.End)
	}
	if len(outstanding) > 0 || cfg.Paths > 1 {
		return // it passed over slow ones, or paths did not share what they heard
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
