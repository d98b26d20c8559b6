package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-kad/kad/itest/internal/race"
	"github.com/go-kad/kad/routing"
)

// In networks without liars, small, random, aged and grown ones, with and without dead nodes,
// lookups that see a crowd are few, and what they ask beyond the others costs little.
func TestFalseAlarms(t *testing.T) {
	if race.Enabled {
		t.Skip("it takes minutes with the race detector, and has one goroutine")
	}
	const worlds, lookups = 5, 50 // of one node each, which learns the size of the network
	grown := func(n int, seed uint64) *Population {
		return Grown(n, seed, Past{Growth: 12 * time.Hour, Churn: 12 * time.Hour, Session: Weibull(12*time.Hour, 0.6)})
	}
	total, alarms := 0, 0
	for _, tt := range []struct {
		name  string
		nodes int
		dead  float64
		how   func(n int, seed uint64) *Population
	}{
		{"small", 25, 0, NewPopulation},
		{"small", 40, 0, NewPopulation},
		{"small", 40, 0.25, NewPopulation},
		{"small", 100, 0, NewPopulation},
		{"random", 400, 0, NewPopulation},
		{"random", 2000, 0, NewPopulation},
		{"random", 2000, 0.25, NewPopulation},
		{"aged", 400, 0, Aged},
		{"aged", 2000, 0, Aged},
		{"aged", 2000, 0.25, Aged},
		{"grown", 200, 0, grown},
		{"grown", 200, 0.25, grown},
	} {
		name := fmt.Sprintf("%s, %d nodes, %.0f %% dead", tt.name, tt.nodes, 100*tt.dead)
		row := Row{Scenario: Scenario{Dead: tt.dead, Lookup: routing.LookupConfig{K: 20}}}
		pop := tt.how(tt.nodes, seeded(t, 1))
		var crowded, plain tallied
		for run := range worlds {
			w := row.World(pop, run)
			from := w.Anybody()
			for range lookups {
				if r := w.Lookup(from, w.AnyPreimage()); r.Crowded {
					crowded.add(r)
				} else {
					plain.add(r)
				}
			}
		}
		cost := (float64(crowded.requests) - float64(crowded.lookups)*plain.mean()) / float64(crowded.requests+plain.requests)
		t.Logf("%s: %d of %d lookups see a crowd, %.1f requests each, the others %.1f: %.2f %% more requests",
			name, crowded.lookups, crowded.lookups+plain.lookups, crowded.mean(), plain.mean(), 100*cost)
		if crowded.lookups > worlds*lookups/50 || cost > maxAlarmCost {
			t.Errorf("%s: %d of %d lookups see a crowd, for %.2f %% more requests", name, crowded.lookups, worlds*lookups, 100*cost)
		}
		total, alarms = total+worlds*lookups, alarms+crowded.lookups
	}
	t.Logf("%d of %d lookups in all", alarms, total)
	if alarms > total/200 {
		t.Errorf("%d of %d lookups see a crowd where there is none", alarms, total)
	}
}

// maxAlarmCost is the share of the requests that false alarms may cost in a network.
const maxAlarmCost = 0.05

// tallied are some lookups, and their requests together.
type tallied struct{ lookups, requests int }

func (t *tallied) add(r Report) {
	t.lookups++
	t.requests += r.Requests
}

func (t tallied) mean() float64 { return float64(t.requests) / float64(max(t.lookups, 1)) }
