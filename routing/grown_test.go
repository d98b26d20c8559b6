package routing

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A network that has grown at once does not seem crowded for long, be it small or large, and
// its size is known again.
func TestGrownNetworkIsNoCrowd(t *testing.T) {
	long(t)
	const k, lookups = 20, 60
	for _, tt := range []struct{ before, after int }{{25, 60}, {40, 200}, {30, 400}, {100, 600}} {
		rng := seeded(t, uint64(tt.after))
		var p Paces
		look := func(net *network) (crowded int) {
			for range lookups {
				cfg := p.Tune(LookupConfig{K: k, Alpha: 10}, Key{}, nil)
				target := randomKey(rng)
				r := net.find(net.nodes[0], target, cfg)
				p.Learn(time.Time{}, target, r)
				if r.Crowded {
					crowded++
				}
			}
			return crowded
		}
		if crowded := look(newNetwork(tt.before, rng)); crowded > 0 {
			t.Errorf("%d nodes: %d of %d targets seem crowded", tt.before, crowded, lookups)
		}
		crowded := look(newNetwork(tt.after, rng))
		share := p.size.Estimate().Nodes / float64(tt.after)
		t.Logf("%d to %d nodes: %d of %d targets seem crowded, the estimate is %.2f of the truth", tt.before, tt.after, crowded, lookups, share)
		if crowded > 2*manyCrowds || share < 0.7 || share > 1.4 {
			t.Errorf("%d to %d nodes: %d targets seem crowded, the estimate is %.2f of the truth", tt.before, tt.after, crowded, share)
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
