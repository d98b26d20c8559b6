package sim

import (
	"fmt"
	"time"

	"github.com/go-kad/kad/routing"
)

// A Row is a measurement: an operation in a scenario, and what is to be reached.
type Row struct {
	Slug     string // names it on the command line
	Name     string
	Nodes    int
	Scenario Scenario
	Do       func(w *World) []Report
	Checks   []Check // of each report
	Part     int     // of the runs that are asked for, one in so many is made; 0 means all
	Want     Want
}

// Want is what a row is to reach. The zero value of a field is no target.
type Want struct {
	Median, P99       time.Duration // at most
	Requests          float64       // at most, on average
	Accuracy, Reached float64       // at least
	Filled            float64       // at least
	Rate              float64       // at least
}

// Met reports whether m reaches all targets.
func (t Want) Met(m *Metrics) bool {
	return (t.Median == 0 || m.Time(0.5) <= t.Median) &&
		(t.P99 == 0 || m.Time(0.99) <= t.P99) &&
		(t.Requests == 0 || m.MeanRequests() <= t.Requests) &&
		m.Accuracy >= t.Accuracy && m.Reached >= t.Reached &&
		m.Filled >= t.Filled && m.Rate >= t.Rate
}

// A RunError is a check that failed in a run, and how to see it again.
type RunError struct {
	Row  string
	Seed uint64 // of the population
	Run  int
	Err  error
}

// Error says what failed, and the command that replays it.
func (e *RunError) Error() string {
	return fmt.Sprintf("%s, run %d: %v\nreplay: go run ./itest/sim/cmd/sim -row %s -seed %d -replay %d",
		e.Row, e.Run, e.Err, e.Row, e.Seed, e.Run)
}

// Unwrap returns what failed.
func (e *RunError) Unwrap() error { return e.Err }

// World returns the world of one run of a row, before anything has happened.
func (r Row) World(pop *Population, run int) *World {
	return NewWorld(pop, r.Scenario, mix(pop.seed, forRun, word(run)))
}

// Runs returns how many runs of a row are made if so many are asked for.
func (r Row) Runs(asked int) int { return max(1, asked/max(1, r.Part)) }

// Measure makes so many runs of a row, each in its own world, from run 0 on. It
// calls progress after each. The first failure of a check ends it.
func (r Row) Measure(pop *Population, runs int, progress func(done int)) (*Metrics, error) {
	m := &Metrics{}
	defer m.finish()
	for run := range runs {
		w := r.World(pop, run)
		reports := r.Do(w)
		m.add(reports)
		if err := r.check(w, reports); err != nil {
			return m, &RunError{r.Slug, pop.seed, run, err}
		}
		progress(run + 1)
	}
	return m, nil
}

// check applies the checks of a row.
func (r Row) check(w *World, reports []Report) error {
	for _, report := range reports {
		for _, check := range r.Checks {
			if err := check(w, report); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxCost is the limit of requests that a lookup has, whatever others do.
const maxCost = 8 * 20

// always are the checks that hold in any scenario without churn and upkeep.
func always() []Check { return []Check{Ends, Settles, NoDead, SoundTables, Quiet, Costs(maxCost)} }

// lookupOnce looks up a random key.
func lookupOnce(w *World) []Report {
	return []Report{w.Lookup(w.Anybody(), w.AnyPreimage())}
}

// lookupTwice looks up the same key twice, and reports of the second.
func lookupTwice(w *World) []Report {
	from, preimage := w.Anybody(), w.AnyPreimage()
	w.Lookup(from, preimage)
	w.Advance(time.Second)
	return []Report{w.Lookup(from, preimage)}
}

// lookupMany looks up so many random keys at once.
func lookupMany(n int) func(w *World) []Report {
	return func(w *World) []Report {
		preimages := make([][]byte, n)
		for i := range preimages {
			preimages[i] = w.AnyPreimage()
		}
		return w.Lookups(w.Anybody(), preimages)
	}
}

// get looks for a value, and reports the time of the first.
func get(w *World) []Report {
	r := w.Get(w.Anybody(), w.AnyPreimage())
	r.Took = r.First
	return []Report{r}
}

// provide stores something under a random key, until 15 have acknowledged it.
func provide(w *World) []Report {
	return []Report{w.Provide(w.Anybody(), w.AnyPreimage(), 15)}
}

// join has a node join.
func join(w *World) []Report { return []Report{w.Join(w.Anybody())} }

// outage cuts a node off for 5 minutes and up to 5 seconds, in which it looks
// something up all the time.
func outage(w *World) []Report {
	extra := time.Duration(w.rng.Int64N(int64(5 * time.Second))) // or the end would fall on a probe
	return []Report{w.Blackout(w.Anybody(), 5*time.Minute+extra)}
}

// lookupAfterChurn lets half an hour pass, and then has so many nodes look something
// up, one after the other.
func lookupAfterChurn(n int) func(w *World) []Report {
	return func(w *World) []Report {
		w.Advance(30 * time.Minute)
		var reports []Report
		for range n {
			reports = append(reports, w.Lookup(w.Anybody(), w.AnyPreimage()))
		}
		return reports
	}
}

// warm returns the row of a lookup in a network of n in which all are well.
func warm(slug string, n int, want Want) Row {
	return Row{
		Slug: slug, Name: "warm lookup", Nodes: n, Do: lookupOnce, Want: want,
		Checks: append(always(), FindsClosest),
	}
}

// ailing returns the row of a lookup in a network of n in which something is
// wrong.
func ailing(slug, name string, n int, s Scenario, want Want) Row {
	return Row{Slug: slug, Name: name, Nodes: n, Scenario: s, Do: lookupOnce, Want: want, Checks: always()}
}

// fooled is ailing, for liars: their lookups may end by a limit.
func fooled(slug, name string, lie Lie, paths int, want Want) Row {
	s := Scenario{Liars: 0.2, Lie: lie, Lookup: routing.LookupConfig{Paths: paths}}
	row := ailing(slug, fmt.Sprintf("%s, Paths: %d", name, paths), 10_000, s, want)
	row.Checks = []Check{Ends, NoDead, SoundTables, Quiet}
	return row
}
