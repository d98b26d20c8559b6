package sim

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/go-kad/kad/routing"
)

// Lookups are right at least as often as they say, in networks with a past too, and find
// there what they find where tables are random.
func TestCalibration(t *testing.T) {
	long(t)
	seed := seeded(t, 1)
	populations := map[string]*Population{
		"random": NewPopulation(1000, seed), "aged400": Aged(400, seed), "aged": Aged(1000, seed),
	}
	for _, k := range []int{4, 8, 20} {
		young := Past{Growth: 12 * time.Hour, Churn: 12 * time.Hour, Session: Weibull(12*time.Hour, 0.6), K: k}
		populations[fmt.Sprint("churning", k)] = Grown(400, seed, young)
		young.Decline, young.Lost = time.Hour, 0.4
		populations[fmt.Sprint("dying", k)] = Grown(600, seed, young)
	}
	for _, tt := range []struct {
		network  string
		k        int
		scenario Scenario
		accuracy float64 // at least
		requests float64 // at most
	}{
		{"random", 20, Scenario{}, 1, 26},
		{"random", 20, Scenario{Dead: 0.25}, 0.995, 48},
		{"aged400", 20, Scenario{Dead: 0.1}, 0.995, 40},
		{"aged400", 20, Scenario{Dead: 0.25}, 0.99, 52},
		{"aged400", 20, Scenario{Silent: 0.25}, 0.99, 52},
		{"aged", 20, Scenario{}, 1, 30},
		{"aged", 20, Scenario{Dead: 0.2}, 0.99, 47.5},
		{"aged", 20, Scenario{Dead: 0.4}, 0.97, 62},
		{"aged", 8, Scenario{Dead: 0.25}, 0.94, 33},
		{"aged", 4, Scenario{Dead: 0.25}, 0.87, 28},
		{"churning20", 20, Scenario{}, 1, 32},
		{"churning20", 20, Scenario{Dead: 0.25}, 0.995, 52},
		{"churning8", 8, Scenario{Dead: 0.25}, 0.98, 33},
		{"churning4", 4, Scenario{Silent: 0.25}, 0.95, 26},
		{"dying20", 20, Scenario{}, 0.995, 54},
		{"dying8", 8, Scenario{}, 0.98, 35},
		{"dying4", 4, Scenario{}, 0.95, 30},
	} {
		tt.scenario.Lookup, tt.scenario.Table = routing.LookupConfig{K: tt.k}, routing.TableConfig{K: tt.k}
		c := Calibrate(populations[tt.network], tt.scenario, 150)
		t.Logf("%-7s k = %2d, %2.0f %% dead: accuracy %.4f, %.1f requests, %v", tt.network, tt.k,
			100*(tt.scenario.Dead+tt.scenario.Silent), c.Accuracy, c.Requests, c.Said[4:])
		if c.Accuracy < tt.accuracy || c.Requests > tt.requests {
			t.Errorf("%s, k = %d: accuracy %.4f, %.1f requests, want %v, %v", tt.network, tt.k, c.Accuracy, c.Requests, tt.accuracy, tt.requests)
		}
		for _, s := range c.Said {
			n := float64(s.Lookups)
			wrong := n*(1-s.AtLeast) + 2*math.Sqrt(n*s.AtLeast*(1-s.AtLeast)) // with two standard deviations
			if float64(s.Lookups-s.Right) > wrong {
				t.Errorf("%s, k = %d: of %d lookups that say %v, %d are right", tt.network, tt.k, s.Lookups, s.AtLeast, s.Right)
			}
		}
		if c.Said[len(c.Said)-1].Lookups < min(150/4, 4*tt.k) {
			t.Errorf("%s, k = %d: %d of 150 lookups say 0.99", tt.network, tt.k, c.Said[len(c.Said)-1].Lookups)
		}
	}
}

// In an aged network all tables overlook the same nodes: the late ones. In one that grew,
// tables hold nodes that are there, and all near ones.
func TestNetworksWithAPast(t *testing.T) {
	long(t)
	seed := seeded(t, 1)
	p := Aged(500, seed)
	known := make(map[int32]int)
	for i := range p.Len() {
		for _, c := range p.view(i, 20).known {
			known[c]++
		}
	}
	first, last := 0, 0
	for i := range p.Len() {
		switch n := known[int32(i)]; {
		case p.ordinal[i] < 20:
			first += n
		case p.ordinal[i] >= 480:
			last += n
		}
	}
	if first < 5*last {
		t.Errorf("the first 20 nodes are in %d tables, the last in %d", first, last)
	}
	how := Past{Growth: time.Hour, Churn: 5 * time.Hour, Session: Exponential(5 * time.Hour)}
	g := Grown(100, seed, how)
	there := slices.DeleteFunc(numbers(g.Len()), func(i int) bool { return g.gone[i] })
	if len(there) != 100 || g.Len() == 100 {
		t.Fatalf("%d nodes are there, want 100; tables name %d that are gone, want some", len(there), g.Len()-len(there))
	}
	how.Decline, how.Lost = time.Hour, 0.5
	if left := slices.DeleteFunc(slices.Clone(Grown(100, seed, how).gone), func(gone bool) bool { return gone }); len(left) > 60 || len(left) < 25 {
		t.Errorf("%d nodes of 100 are left after a decline that half of them survive, and a fifth of these leave", len(left))
	}
	newcomers, near := 0, 0
	for _, i := range there {
		if g.ordinal[i] >= 100 {
			newcomers++
		}
		found := slices.DeleteFunc(g.closest(g.view(i, 20), g.keys[i], 20, i), func(j int) bool { return g.gone[j] })[:5]
		for _, j := range g.Closest(g.keys[i], 5, func(j int) bool { return j != i && !g.gone[j] }) {
			for _, f := range found {
				if f == j {
					near++
				}
			}
		}
	}
	if newcomers < 30 || near < 490 {
		t.Errorf("%d newcomers; tables hold %d of the 500 closest", newcomers, near)
	}
}
