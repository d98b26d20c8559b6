package sim

import (
	"slices"
	"testing"

	"github.com/go-kad/kad/routing"
)

// What is reached today, with some room, so that a step back fails. Targets are
// in rows.go; where one is reached, it belongs here.
func today() map[string]Want {
	return map[string]Want{
		"warm":      {Median: ms(320), P99: ms(450), Requests: 27, Accuracy: 1},
		"cold":      {Median: ms(600), P99: ms(800), Requests: 28, Accuracy: 1},
		"dead20":    {Median: ms(460), P99: ms(900), Requests: 42, Accuracy: 0.98},
		"dead40":    {Median: ms(620), P99: ms(1300), Requests: 56, Accuracy: 0.96},
		"silent20":  {Median: ms(470), P99: ms(900), Requests: 42, Accuracy: 0.97},
		"again":     {Median: ms(120), P99: ms(250), Requests: 3.5, Accuracy: 1},
		"burst":     {Median: ms(300), P99: ms(400), Requests: 26, Accuracy: 1, Rate: 200},
		"join":      {Median: ms(1950), P99: ms(2300), Requests: 160, Accuracy: 1, Filled: 0.99},
		"get":       {Median: ms(130), P99: ms(300), Requests: 28, Accuracy: 1},
		"provide":   {Median: ms(480), P99: ms(600), Requests: 49, Accuracy: 1},
		"outage":    {Median: ms(1500), P99: ms(3000), Filled: 0.99},
		"table":     {Median: ms(530), P99: ms(700), Requests: 40, Accuracy: 1},
		"slow20":    {Median: ms(540), P99: ms(1200), Requests: 42, Accuracy: 0.8},
		"nated20":   {Median: ms(460), P99: ms(900), Requests: 42, Accuracy: 0.97},
		"loss":      {Median: ms(360), P99: ms(750), Requests: 31, Accuracy: 0.97},
		"tail":      {Median: ms(430), P99: ms(800), Requests: 31, Accuracy: 0.97},
		"regions":   {Median: ms(350), P99: ms(450), Requests: 31, Accuracy: 1},
		"partition": {Median: ms(900), P99: ms(4500), Requests: 65, Accuracy: 0.93},
	}
}

// No row falls behind what is reached today.
func TestRows(t *testing.T) {
	long(t)
	populations := make(map[int]*Population)
	for slug, want := range today() {
		t.Run(slug, func(t *testing.T) {
			row := rowOf(t, slug)
			pop := populations[row.Nodes]
			if pop == nil {
				pop = NewPopulation(row.Nodes, seeded(t, 1))
				populations[row.Nodes] = pop
			}
			m, err := row.Measure(pop, row.Runs(20), ignore)
			if err != nil {
				t.Fatal(err)
			}
			if !want.Met(m) {
				t.Errorf("median %v, p99 %v, %.1f requests, accuracy %.4f, filled %.2f, rate %.0f; want %+v",
					m.Time(0.5), m.Time(0.99), m.MeanRequests(), m.Accuracy, m.Filled, m.Rate, want)
			}
		})
	}
}

// Liars hide nobody: the closest honest node is asked, in a smaller network than
// that of the rows.
func TestLiarRows(t *testing.T) {
	long(t)
	pop := NewPopulation(1000, seeded(t, 1))
	for slug, want := range map[string]float64{
		"friends1": 1, "friends8": 1, "invent1": 1, "invent8": 1, "sybils8": 0.8,
	} {
		m, err := rowOf(t, slug).Measure(pop, 15, ignore)
		if err != nil {
			t.Fatal(err)
		}
		if m.Reached < want {
			t.Errorf("%s: %.3f reached the closest honest node, want %v", slug, m.Reached, want)
		}
	}
}

// Ten thousand nodes, each with its table: all lookups find the closest.
func TestTenThousandTables(t *testing.T) {
	long(t)
	pop := NewPopulation(10_000, seeded(t, 1))
	pop.Fill(ignore)
	for i := 0; i < pop.Len(); i += 100 {
		if err := soundTable(pop.tables[i], pop.keys[i], 20); err != nil {
			t.Fatalf("table of node %d: %v", i, err)
		}
	}
	m, err := rowOf(t, "warm10k").Measure(pop, 50, ignore)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Want{Median: ms(410), P99: ms(520), Requests: 36, Accuracy: 1}); !want.Met(m) {
		t.Errorf("median %v, p99 %v, %.1f requests, want %+v", m.Time(0.5), m.Time(0.99), m.MeanRequests(), want)
	}
	// It answers from these tables, not from what it would make itself.
	pop.tables[1] = routing.NewTable(pop.keys[1], routing.TableConfig{})
	if got := NewWorld(pop, Scenario{}, 1).closest(1, pop.keys[2], 2); len(got) != 0 {
		t.Errorf("a node with an empty table knows %d others", len(got))
	}
}

// A hundred thousand nodes are as many as ten: their tables are made when they
// are touched.
func TestHundredThousandNodes(t *testing.T) {
	m, err := rowOf(t, "warm100k").Measure(NewPopulation(100_000, seeded(t, 1)), 10, ignore)
	if err != nil {
		t.Fatal(err)
	}
	if m.Exact != 1 || m.MeanRequests() > 42 {
		t.Errorf("exact %v, %.1f requests", m.Exact, m.MeanRequests())
	}
}

// Slugs are what the command line names rows by: one for each.
func TestSlugs(t *testing.T) {
	seen := make(map[string]bool)
	for _, row := range slices.Concat(Targets(), Others()) {
		if seen[row.Slug] || row.Slug == "" || row.Name == "" || row.Nodes == 0 || len(row.Checks) == 0 {
			t.Errorf("row %q, %q", row.Slug, row.Name)
		}
		seen[row.Slug] = true
	}
}
