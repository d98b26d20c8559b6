package routing

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/libp2p/go-libp2p/core/peer"
)

// check fails the test if an invariant of t does not hold.
func (t *Table) check(tb interface{ Errorf(string, ...any) }) {
	size, suspects, missed := 0, 0, 0
	groups := make(map[string]int)
	known := make(map[Key]bool)
	last := len(t.buckets) - 1
	for i, b := range t.buckets {
		inBucket := make(map[string]int)
		for _, e := range slices.Concat(b.entries, b.pending) {
			// Bucket ranges are disjoint, cover all distances, and do not hold us.
			if min(e.cpl, last) != i || e.cpl != t.self.CPL(e.Key) || e.Key == t.self {
				tb.Errorf("%s with CPL %d is in bucket %d of %d", e.ID, e.cpl, i, last)
			}
			if known[e.Key] {
				tb.Errorf("%s is there twice", e.ID)
			}
			known[e.Key] = true
		}
		near := 0
		for j, e := range b.entries {
			size++
			if e.suspect {
				suspects++
			}
			if e.missed {
				missed++
			}
			if e.score < 1 || e.score > maxScore || e.missed && !e.suspect && !e.hindered {
				tb.Errorf("%s has a score of %d, is suspect: %v, missed: %v", e.ID, e.score, e.suspect, e.missed)
			}
			if e.Group != "" {
				groups[e.Group]++
				inBucket[e.Group]++
			}
			if e.near {
				near++
			}
			if e.claim {
				tb.Errorf("%s is held and has a claim", e.ID)
			}
			if j > 0 && e.seen.Before(b.entries[j-1].seen) {
				tb.Errorf("bucket %d is not in order of last seen", i)
			}
		}
		for j, e := range b.pending {
			if j > 0 && e.seen.After(b.pending[j-1].seen) {
				tb.Errorf("pending of bucket %d are not newest first", i)
			}
			if len(b.entries) < t.cfg.K && e.Group == "" {
				tb.Errorf("%s is pending in bucket %d, which has room", e.ID, i)
			}
			if e.checking() {
				tb.Errorf("%s is pending and probed", e.ID)
			}
		}
		if len(b.entries) > t.cfg.K || len(b.pending) > maxPending {
			tb.Errorf("bucket %d has %d contacts and %d pending", i, len(b.entries), len(b.pending))
		}
		if near > t.cfg.K/2 {
			tb.Errorf("%d contacts of bucket %d are there for their round trip", near, i)
		}
		for g, n := range inBucket {
			if t.cfg.MaxPerGroup >= 0 && n > t.cfg.MaxPerGroup {
				tb.Errorf("bucket %d has %d contacts of group %s", i, n, g)
			}
		}
		if last > 0 && i >= last-1 && len(b.entries) == 0 {
			tb.Errorf("bucket %d of %d is empty", i, last)
		}
	}
	for g, n := range groups {
		if n != t.bounds[0].count[g] || t.cfg.MaxPerGroupTotal >= 0 && n > t.cfg.MaxPerGroupTotal {
			tb.Errorf("%d contacts of group %s, counted %d", n, g, t.bounds[0].count[g])
		}
	}
	if suspects != t.audit.suspects || missed != t.audit.missed {
		tb.Errorf("%d suspects, %d missed, counted %d and %d", suspects, missed, t.audit.suspects, t.audit.missed)
	}
	if size != t.size || len(groups) != len(t.bounds[0].count) {
		tb.Errorf("%d contacts of %d groups, counted %d of %d", size, len(groups), t.size, len(t.bounds[0].count))
	}
}

// Closest equals a sort of all contacts, for any table and target, our own key
// and those of contacts among them.
func TestTableClosestEqualsSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		self := keys().Draw(t, "self")
		tab := NewTable(self, TableConfig{K: rapid.SampledFrom([]int{1, 3, 20, 50}).Draw(t, "k")})
		for i, k := range rapid.SliceOfN(keys(), 0, 120).Draw(t, "contacts") {
			tab.Seen(epoch, Contact{ID: peer.ID(fmt.Sprint(i)), Key: k})
		}
		all := slices.Collect(tab.All())
		targets := []Key{self, keys().Draw(t, "target")}
		if len(all) > 0 {
			targets = append(targets, rapid.SampledFrom(all).Draw(t, "held").Key)
		}
		n := rapid.IntRange(-1, 130).Draw(t, "n")
		for _, target := range targets {
			if got, want := tab.Closest(target, n), closestOf(target, all, max(n, 0)); !sameContacts(got, want) {
				t.Errorf("closest %d to %x are %v, want %v", n, target, ids(got), ids(want))
			}
		}
	})
}

// drawContact draws one of a hundred contacts, in some group and at some address.
func drawContact(t *rapid.T, self Key) Contact {
	cpl := rapid.IntRange(0, 8).Draw(t, "cpl")
	c := at(self, cpl, fmt.Sprintf("%d/%d", cpl, rapid.IntRange(0, 9).Draw(t, "number")))
	c.Group = rapid.SampledFrom([]string{"", "", "a", "b"}).Draw(t, "group")
	if wire := rapid.SampledFrom([]string{"", "", "x", "y"}).Draw(t, "wire"); wire != "" {
		c.Wire = []byte(wire)
	}
	c.RoundTrip = time.Duration(rapid.SampledFrom([]int{0, 0, 1, 3, 10}).Draw(t, "round trip"))
	return c
}

// Invariants hold after any sequence of calls, and only contacts that have
// answered since they were last removed are ever held. Nobody is handed to others
// who missed since.
func TestTableInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		self := KeyOf([]byte("self"))
		tab := NewTable(self, TableConfig{
			K:                rapid.IntRange(1, 4).Draw(t, "k"),
			MaxPerGroup:      rapid.SampledFrom([]int{-1, 0, 1}).Draw(t, "per group"),
			MaxPerGroupTotal: rapid.SampledFrom([]int{-1, 0, 3}).Draw(t, "in total"),
		})
		now := epoch
		answered := make(map[Key]bool)
		draw := func() Contact { return drawContact(t, self) }
		probed := []Contact{withCPL(self, 0, 1)[0]}
		t.Repeat(map[string]func(*rapid.T){
			"seen": func(t *rapid.T) {
				c := draw()
				_, held := tab.Contact(c.Key)
				// Those who go for this answer may be replaced by others of its Group.
				wanted := tab.Wants(c) && tab.audit.missed == 0
				out := tab.Seen(now, c)
				answered[c.Key] = out != Rejected
				if wanted && out == Rejected {
					t.Errorf("%v was wanted, and rejected", c.ID)
				}
				if held != (out == Refreshed) && (!held || out != Rejected) {
					t.Errorf("%v is %v, was held: %v", c.ID, out, held)
				}
				if _, held = tab.Contact(c.Key); held != (out == Added || out == Refreshed) {
					t.Errorf("%v is %v, and is held: %v", c.ID, out, held)
				}
			},
			"failed": func(*rapid.T) { tab.Failed(now, draw()) },
			"remove": func(*rapid.T) {
				c := draw()
				tab.Remove(c)
				answered[c.Key] = false
			},
			"update": func(*rapid.T) { tab.Update(now, draw()) },
			"due": func(t *rapid.T) {
				n := rapid.IntRange(0, 3).Draw(t, "n")
				if tab.idle(now, n) { // then a look at all contacts says the same
					due, next := tab.plan(now)
					if n > 0 && len(due) > 0 || !next.Equal(tab.wakeAt) {
						t.Errorf("%d are due, and the next at %v; it says none, and %v", len(due), next, tab.wakeAt)
					}
				}
				probe, next := tab.Due(now, n)
				if !next.IsZero() && !next.After(now) {
					t.Errorf("call again at %v, which is not after %v", next, now)
				}
				probed = append(probed, probe...)
			},
			"checked": func(t *rapid.T) {
				tab.Checked(now, rapid.SampledFrom(probed).Draw(t, "probed"), rapid.Bool().Draw(t, "alive"))
			},
			"postponed": func(t *rapid.T) {
				tab.Postponed(now, rapid.SampledFrom(probed).Draw(t, "probed"))
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "seconds")) * time.Second)
			},
			"": func(t *rapid.T) {
				tab.check(t)
				for c := range tab.All() {
					if !answered[c.Key] {
						t.Errorf("%v is held, and has not answered", c.ID)
					}
				}
				sound := tab.Closest(self, 1000)
				if len(sound) != tab.Len()-tab.Stats(now).Suspects || len(tab.Seeds(self, 1000)) != tab.Len() {
					t.Errorf("%d contacts are handed out, of %+v", len(sound), tab.Stats(now))
				}
			},
		})
	})
}
