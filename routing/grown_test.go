package routing

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// No target in a network that has grown at once seems crowded, be it small or large: a lookup
// asks elsewhere first. Its size is known from then on. As in go-libp2p-kad-dht, a contact that
// is asked about itself names itself alone.
func TestGrownNetworkIsNoCrowd(t *testing.T) {
	long(t)
	const k, lookups = 20, 50
	for _, tt := range []struct{ before, after int }{{25, 60}, {40, 200}, {30, 400}, {100, 600}} {
		rng := seeded(t, uint64(tt.after))
		var p Paces
		look := func(net *network) (crowded int, requests float64) {
			for range lookups {
				target := randomKey(rng)
				seeds := net.tables[net.nodes[0].Key].Closest(target, SeedFactor*k)
				r := driven(NewLookup(net.nodes[0].ID, target, seeds, p.Tune(LookupConfig{K: k}, Key{}, nil)), target, func(c Contact, about Key) []Contact {
					if about == c.Key {
						return []Contact{c}
					}
					return net.answer(c, about)
				})
				p.Learn(time.Time{}, target, r)
				requests += float64(r.Requests) / lookups
				if r.Crowded {
					crowded++
				}
			}
			return crowded, requests
		}
		_, before := look(newNetwork(tt.before, rng))
		crowded, requests := look(newNetwork(tt.after, rng))
		share := p.size.Estimate().Nodes / float64(tt.after)
		t.Logf("%d to %d nodes: %d of %d targets seem crowded, %.1f requests (%.1f before), the estimate is %.2f of the truth",
			tt.before, tt.after, crowded, lookups, requests, before, share)
		if crowded > 0 || requests > 30 || share < 0.7 || share > 1.4 {
			t.Errorf("%d to %d nodes: %d targets seem crowded, %.1f requests, the estimate is %.2f of the truth",
				tt.before, tt.after, crowded, requests, share)
		}
	}
}

// Where the contacts that are asked elsewhere name no others, the results of some crowded
// lookups that are even show the growth.
func TestGrowthWithoutCensus(t *testing.T) {
	long(t)
	const k, lookups = 20, 60
	rng := seeded(t, 1)
	var p Paces
	crowded := 0
	for _, net := range []*network{newNetwork(40, rng), newNetwork(200, rng)} {
		for range lookups {
			target := randomKey(rng)
			seeds := net.tables[net.nodes[0].Key].Closest(target, SeedFactor*k)
			r := driven(NewLookup(net.nodes[0].ID, target, seeds, p.Tune(LookupConfig{K: k}, Key{}, nil)), target, func(c Contact, about Key) []Contact {
				if about != target {
					return []Contact{c}
				}
				return net.answer(c, about)
			})
			p.Learn(time.Time{}, target, r)
			if r.Crowded {
				crowded++
			}
		}
	}
	if share := p.size.Estimate().Nodes / 200; crowded == 0 || crowded > 2*manyCrowds || share < 0.7 || share > 1.4 {
		t.Errorf("%d of %d targets seem crowded, the estimate is %.2f of the truth", crowded, lookups, share)
	}
}

// answer returns the contacts that a node names as the closest to a key.
func (net *network) answer(c Contact, about Key) []Contact {
	return net.tables[c.Key].Closest(about, 20)
}

// Liars that say that nodes are dense around them do not hide a crowd, as long as they are a
// part of the contacts that are asked: the size is what it was, and the target is crowded.
func TestCensusOfLiars(t *testing.T) {
	long(t)
	const nodes, k, crowd, lookups = 200, 20, 45, 100
	for _, tt := range []struct {
		liars  float64
		hidden int // at most
	}{{0, 0}, {0.1, 0}, {0.3, 4}} {
		rng := seeded(t, 7)
		net := newNetwork(nodes, rng)
		lies := make(map[Key]bool)
		for _, c := range net.nodes[1:] {
			lies[c.Key] = rng.Float64() < tt.liars
		}
		hidden := 0
		for range lookups {
			var p Paces
			for range 10 {
				target := randomKey(rng)
				p.found(target, closestOf(target, net.nodes, k))
			}
			before := p.size.Estimate()
			target := randomKey(rng)
			around := near(target, crowd)
			for i := range around {
				around[i].ID = peer.ID(fmt.Sprint("crowd ", i))
			}
			seeds := net.tables[net.nodes[0].Key].Closest(target, SeedFactor*k)
			r := driven(NewLookup(net.nodes[0].ID, target, seeds, p.Tune(LookupConfig{K: k}, Key{}, nil)), target, func(c Contact, about Key) []Contact {
				switch {
				case about == target:
					return around[:k]
				case lies[c.Key]:
					return near(about, k)
				case net.tables[c.Key] == nil:
					return around[:k]
				}
				return net.answer(c, about)
			})
			p.Learn(time.Time{}, target, r)
			if !r.Crowded {
				hidden++
			} else if p.size.Estimate() != before {
				t.Errorf("the size was %v, and is %v", before, p.size.Estimate())
			}
		}
		t.Logf("%.0f %% of the contacts lie: %d of %d crowds are hidden", 100*tt.liars, hidden, lookups)
		if hidden > tt.hidden {
			t.Errorf("%.0f %% of the contacts lie: %d of %d crowds are hidden", 100*tt.liars, hidden, lookups)
		}
	}
}

// Crowds that lie next to keys leave the size as it was, however many keys they are at and
// however often these are looked up. Others are to be at many keys.
func TestCrowdsLeaveSize(t *testing.T) {
	const nodes, k, liars = 300, 20, 45
	spread := func(target Key, rng *rand.Rand) []Contact { return nearest(target, 4*nodes, rng) }
	for _, tt := range []struct {
		name  string
		keys  int
		crowd func(Key, *rand.Rand) []Contact
		most  float64
	}{
		{"next to many keys", 20, func(target Key, _ *rand.Rand) []Contact { return near(target, liars) }, 1.3},
		{"spread around some keys", manyCrowds - 1, spread, 1.3},
		{"spread around many keys", 20, spread, 6},
	} {
		rng := seeded(t, 1)
		net := newNetwork(nodes, rng)
		var p Paces
		for range 10 {
			target := randomKey(rng)
			p.Learn(time.Time{}, target, net.find(net.nodes[0], target, p.Tune(LookupConfig{K: k}, Key{}, nil)))
		}
		for range 5 {
			for i := range tt.keys {
				target := KeyOf([]byte{byte(i)})
				SortByDistance(target, net.nodes)
				around := append(tt.crowd(target, rng), net.nodes...)
				SortByDistance(target, around)
				within, size := k, p.size.Estimate()
				for within < 4*k && size.Nodes*target.distance(around[within].Key) < k {
					within++
				}
				p.Learn(time.Time{}, target, Result{End: Converged, Crowded: size.Crowded(target, around[:k]), Closest: around[:within]})
			}
		}
		if share := p.size.Estimate().Nodes / nodes; share > tt.most {
			t.Errorf("crowds %s: the estimate is %.2f of the truth", tt.name, share)
		} else {
			t.Logf("crowds %s: the estimate is %.2f of the truth", tt.name, share)
		}
	}
}

// The results that follow correct a size that a false census has made a thousand times too large.
func TestFalseGrowthFades(t *testing.T) {
	const nodes, k = 300, 20
	rng := seeded(t, 1)
	net := newNetwork(nodes, rng)
	var p Paces
	p.Learn(time.Time{}, target, Result{grown: Size{ranks: 80, reach: 80.0 / (1000 * nodes)}})
	var shares []float64
	for range 10 {
		target := randomKey(rng)
		p.Learn(time.Time{}, target, net.find(net.nodes[0], target, p.Tune(LookupConfig{K: k}, Key{}, nil)))
		shares = append(shares, p.size.Estimate().Nodes/nodes)
	}
	t.Logf("after each of ten results the estimate is %.2f of the truth", shares)
	if shares[0] > 8 || shares[4] > 2.2 || shares[9] > 1.6 {
		t.Errorf("after each of ten results the estimate is %.2f of the truth", shares)
	}
}
