package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/go-kad/kad/routing"
)

// Each check fails for what it is for, and says so.
func TestChecks(t *testing.T) {
	good := func() (*World, Report) {
		w := NewWorld(NewPopulation(200, 1), Scenario{Dead: 0.2}, 1)
		from := w.Anybody()
		preimage := w.AnyPreimage()
		r := w.Lookup(from, preimage)
		r.First = r.Took
		r.Closest = w.pop.Closest(r.Target, 20, func(i int) bool { return i != from && w.Answers(i) })
		return w, r
	}
	someDead := func(w *World) int {
		i := 0
		for w.role(i) != dead {
			i++
		}
		return i
	}
	tests := []struct {
		name  string
		check Check
		spoil func(w *World, r *Report)
		want  string
	}{
		{"Ends", Ends, func(_ *World, r *Report) { r.Over = false }, "not ended"},
		{"FindsValue", FindsValue, func(_ *World, r *Report) { r.First = 0 }, "not found"},
		{"Settles", Settles, func(_ *World, r *Report) { r.End = routing.Overrun }, "overrun"},
		{"FindsClosest, one is missing", FindsClosest, func(_ *World, r *Report) { r.Closest = r.Closest[1:] }, "closest are"},
		{"FindsClosest, order", FindsClosest, func(_ *World, r *Report) {
			r.Closest[0], r.Closest[1] = r.Closest[1], r.Closest[0]
		}, "closest are"},
		{"Costs", Costs(10), func(_ *World, r *Report) { r.Requests = 11 }, "11 requests"},
		{"NoDead, in the result", NoDead, func(w *World, r *Report) { r.Closest[3] = someDead(w) }, "does not answer"},
		{"NoDead, in the answered", NoDead, func(w *World, r *Report) { r.Answered = append(r.Answered, someDead(w)) }, "does not answer"},
		{"Quiet, in flight", Quiet, func(w *World, _ *Report) { w.inFlight++ }, "in flight"},
		{"Quiet, sent later", Quiet, func(w *World, _ *Report) {
			w.line.after(time.Second, func() { w.request(&call{way: way{1, 2}, tally: &Tally{}, done: func(reply, bool) {}}) })
		}, "after the end"},
		{"SoundTables", SoundTables, func(w *World, r *Report) {
			// A table of somebody else: its buckets are not by the right CPLs.
			w.node(r.From).table = w.pop.table((r.From+100)%200, routing.TableConfig{})
		}, "table of node"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if w, r := good(); tt.name != "Costs" {
				if err := tt.check(w, r); err != nil {
					t.Fatalf("fails for nothing: %v", err)
				}
			}
			w, r := good()
			tt.spoil(w, &r)
			if err := tt.check(w, r); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// A row whose check fails names the run, and its replay does the same.
func TestMeasureNamesTheRun(t *testing.T) {
	row := Row{Slug: "row", Do: lookupOnce, Checks: []Check{func(_ *World, r Report) error {
		if r.From%3 != 0 {
			return nil
		}
		return Costs(0)(nil, r)
	}}}
	pop := NewPopulation(100, seeded(t, 5))
	_, err := row.Measure(pop, 100, ignore)
	failed, ok := err.(*RunError) //nolint:errorlint // it is not wrapped
	if !ok || failed.Row != "row" || failed.Seed != pop.seed {
		t.Fatalf("error is %v", err)
	}
	w := row.World(pop, failed.Run)
	if err := row.check(w, row.Do(w)); err == nil || err.Error() != failed.Err.Error() {
		t.Errorf("the replay says %v, the run %v", err, failed.Err)
	}
}

// One seed is one trace, in all kinds of scenarios; another seed is another.
func TestSameSeedSameTrace(t *testing.T) {
	long(t)
	seed := seeded(t, 1)
	tests := map[string]struct {
		s  Scenario
		do func(w *World) []Report
	}{
		"well":    {Scenario{}, lookupOnce},
		"cold":    {Scenario{Links: NoneOpen, Loss: 0.05}, lookupTwice},
		"all ill": {Scenario{Dead: 0.1, Silent: 0.1, Slow: 0.1, NATed: 0.1, Liars: 0.1}, lookupMany(10)},
		"sybils":  {Scenario{Liars: 0.2, Lie: LieSybils, Lookup: routing.LookupConfig{Paths: 4}}, lookupOnce},
		"invent":  {Scenario{Liars: 0.2, Lie: LieInvent}, lookupOnce},
		"get":     {Scenario{}, get},
		"provide": {Scenario{}, provide},
		"join":    {Scenario{}, join},
		"outage":  {Scenario{}, outage},
		"churn": {Scenario{
			Churn: Churn{Session: Exponential(5 * time.Minute)}, Upkeep: true,
		}, func(w *World) []Report {
			w.Advance(time.Minute)
			return lookupOnce(w)
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pop := NewPopulation(60, seed)
			run := func(seed uint64) *World {
				w := NewWorld(pop, tt.s, seed)
				tt.do(w)
				return w
			}
			a := run(seed)
			if err := SameTrace(a, run(seed)); err != nil {
				t.Error(err)
			}
			if SameTrace(a, run(seed+1)) == nil {
				t.Error("another seed has the same trace")
			}
		})
	}
}

// The log is the trace in words, and does not change it.
func TestLog(t *testing.T) {
	pop := NewPopulation(60, 1)
	var log strings.Builder
	w := NewWorld(pop, Scenario{Links: NoneOpen}, 1)
	w.Log = &log
	lookupOnce(w)
	for _, word := range []string{"lookup", "ask", "dial", "connected", "answered", "done"} {
		if !strings.Contains(log.String(), word) {
			t.Errorf("no %q in the log", word)
		}
	}
	quiet := NewWorld(pop, Scenario{Links: NoneOpen}, 1)
	lookupOnce(quiet)
	if err := SameTrace(w, quiet); err != nil {
		t.Error(err)
	}
}
