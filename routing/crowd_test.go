package routing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A crowd is told from chance: no lookup of 3000 in networks without liars takes one for the
// other, with an estimate that is wrong by as much as it says, and peers that are nearer to a
// key than all others are told when they are 18 of the K closest.
func TestCrowded(t *testing.T) {
	long(t)
	const k = 20
	for _, nodes := range []int{60, 200, 1000} {
		rng := rand.New(rand.NewPCG(uint64(nodes), 1))
		keys := make([]Contact, nodes)
		for i := range keys {
			keys[i] = Contact{Key: randomKey(rng)}
		}
		size := Estimate{Nodes: float64(nodes) * (1 - 0.07), Error: 0.07}
		alarms := 0
		detected := map[int]int{}
		const lookups = 1000
		for range lookups {
			target := randomKey(rng)
			SortByDistance(target, keys)
			if size.Crowded(target, keys[:k]) {
				alarms++
			}
			for _, liars := range []int{14, 18} {
				if size.Crowded(target, append(make([]Contact, 0, k), append(near(target, liars), keys[:k-liars]...)...)) {
					detected[liars]++
				}
			}
		}
		t.Logf("%d nodes: %d alarms in %d lookups; of crowds of 14 and 18, %d and %d are told", nodes, alarms, lookups, detected[14], detected[18])
		if alarms > 1 || detected[14] < lookups/2 || detected[18] < lookups*9/10 {
			t.Errorf("%d nodes: %d alarms, %v of %d crowds", nodes, alarms, detected, lookups)
		}
	}
	if (Estimate{}).Crowded(target, near(target, k)) {
		t.Error("a crowd in a network of unknown size")
	}
}

// near returns contacts that lie next to a target.
func near(target Key, count int) []Contact {
	out := make([]Contact, count)
	for i := range out {
		out[i].Key = target
		out[i].Key[len(target)-1] ^= byte(i)
	}
	return out
}

// A lookup of a key that a crowd surrounds, which has come into all tables that have room for
// it, finds the honest contacts that are as near as K are on average, and says that the key
// is crowded. The peers of the crowd name each other only.
func TestLookupBeyondCrowd(t *testing.T) {
	long(t)
	const nodes, k, liars = 300, 20, 45
	cfg := LookupConfig{K: k, Alpha: 10, Beta: k, Paths: 1, Size: Estimate{Nodes: nodes, Error: 0.05}}
	for seed := range uint64(5) {
		rng := seeded(t, seed)
		net, target := newNetwork(nodes, rng), randomKey(rng)
		crowd := near(target, liars)
		accomplices := NewTable(target, TableConfig{})
		for i := range crowd {
			crowd[i].ID = peer.ID(fmt.Sprint("liar ", i))
			accomplices.Seen(epoch, crowd[i])
		}
		SortByDistance(target, net.nodes)
		for _, c := range net.nodes {
			for _, liar := range crowd {
				net.tables[c.Key].Seen(epoch, liar)
			}
		}
		for _, from := range []Contact{net.nodes[k], net.nodes[nodes-1]} {
			seeds := net.tables[from.Key].Closest(target, SeedFactor*k)
			r := driven(NewLookup(from.ID, target, seeds, cfg), target, func(c Contact, about Key) []Contact {
				if tab := net.tables[c.Key]; tab != nil {
					return tab.Closest(about, k)
				}
				return accomplices.Closest(about, k)
			})
			found := 0
			for _, c := range net.nodes[:k] {
				if slices.ContainsFunc(r.Closest, func(f Contact) bool { return f.ID == c.ID }) {
					found++
				}
			}
			t.Logf("%d of the %d closest honest contacts are among %d, after %d requests", found, k, len(r.Closest), r.Requests)
			if !r.Crowded || found < k/2 || len(r.Closest) > maxCrowd*k {
				t.Errorf("crowded %v, and %d found", r.Crowded, found)
			}
		}
	}
}

// driven runs a lookup in which all requests are answered, in the order in which they were
// sent.
func driven(l *Lookup, target Key, answer func(c Contact, about Key) []Contact) Result {
	var asked []Action
	for {
		switch action := l.Next(epoch); action.Kind {
		case Ask:
			asked = append(asked, action)
		case Wait:
			l.Answered(asked[0].Contact.ID, answer(asked[0].Contact, asked[0].wants(target)))
			asked = asked[1:]
		case Done:
			return l.Result()
		}
	}
}

// A crowd counts as no more than there should be that close.
func TestWithin(t *testing.T) {
	size := Estimate{Nodes: 1024, Error: 0.1}
	key := target
	key[0] ^= 1 << 4 // a sixteenth of the key space away
	for count, crowded := range map[int]bool{64: false, 100: false, 200: true} {
		if got := size.CrowdedCount(target, key, count); got != crowded {
			t.Errorf("%d contacts where 64 should be are a crowd: %v", count, got)
		}
	}
	one := Estimate{Nodes: 16} // where six or more are by chance in 6 of 10 000, and seven in 0.8
	if one.CrowdedCount(target, key, 6) || !one.CrowdedCount(target, key, 7) {
		t.Error("7 contacts where one should be are the fewest that are a crowd")
	}
	if got := size.Within(target, key); got < 25 || got > 64 {
		t.Errorf("%v nodes at least are that close, want 64 less two deviations", got)
	}
	if got := (Estimate{}).Within(target, key); got != 0 || (Estimate{}).CrowdedCount(target, key, 1000) {
		t.Errorf("%v nodes in a network of unknown size", got)
	}
}

// A lookup of a crowded target goes on for all contacts that are as near as K are on average:
// for one more than K at least, and four times as many at most. What has failed, is not believed,
// or is farther away does not count.
func TestWiden(t *testing.T) {
	const k = 4
	for _, tt := range []struct{ answered, fresh, failed, made, want int }{
		{k, 3, 0, 0, 7},
		{k, 3, 5, 0, 7},
		{k, 3, 0, 5, 7},
		{k, 0, 0, 0, 5},
		{k, 40, 0, 0, 16},
		{k - 1, 10, 0, 0, 0},
	} {
		seeds := near(target, tt.answered+tt.fresh+tt.failed+tt.made)
		for i := range seeds {
			seeds[i].ID = peer.ID(fmt.Sprint("near ", i))
		}
		l := NewLookup("self", target, append(seeds, placed("far", 0), placed("less far", 1, 2)), LookupConfig{K: k, Size: Estimate{Nodes: 16, Error: 0.05}})
		liar := &candidate{naming: naming{bad: 2 * maxUnanswered}}
		for i, c := range l.paths[0].candidates[:len(seeds)] {
			switch {
			case i < tt.answered:
				c.state = answered
				l.answered = append(l.answered, c)
			case i < tt.answered+tt.fresh:
			case i < tt.answered+tt.fresh+tt.failed:
				c.state = failed
			default:
				c.namers = []*candidate{liar}
			}
		}
		l.census = new(census) // which nobody has answered
		goesOn := l.widen()
		if want := max(tt.want, k); goesOn != (tt.want > 0) || l.cfg.K != want || l.cfg.Beta != want {
			t.Errorf("%+v: it goes on: %v, for %d and %d", tt, goesOn, l.cfg.K, l.cfg.Beta)
		}
	}
}
