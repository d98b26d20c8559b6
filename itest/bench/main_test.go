package main

import (
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A ratio is of two figures of one run; a target that was missed says so; figures of an earlier
// table come beside the new ones.
func TestTable(t *testing.T) {
	runs := make([]figures, 3)
	for i, text := range []string{
		"BenchmarkA/x 10 6 ns/op 2 allocs/op\nBenchmarkA/echo 10 2 ns/op\n",
		"    a_test.go:1: BenchmarkA/x 1 40 ns/op 2 allocs/op\nBenchmarkA/echo 1 10 ns/op\nBenchmarkA/broken\n",
		"BenchmarkA/x 10 10 ns/op 2 allocs/op\nBenchmarkA/echo 10 2 ns/op\n",
	} {
		runs[i] = make(figures)
		parse(text, runs[i])
	}
	rows := []row{
		{work: "x", figure: "BenchmarkA/x allocs/op", target: 2},
		{work: "x beside", figure: "BenchmarkA/x ns/op", beside: "BenchmarkA/echo ns/op", target: 3.5},
		{work: "least", figure: "BenchmarkA/x ns/op", least: true, target: 11},
		{work: "not measured", figure: "BenchmarkB ns/op"},
	}
	text := table(rows, runs, nil)
	const want = `| work | unit | median | range | target | |
|---|---|--:|--:|--:|---|
| x | allocs/op | 2 | 2–2 | ≤ 2 | reached |
| x beside | ratio | 4 | 3–5 | ≤ 3.5 | **missed** |
| least | ns/op | 10 | 6–40 | ≥ 11 | **missed** |
| not measured | – | not measured | | | |
`
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if again := table(rows, runs, parseTable(text)); !strings.Contains(again, "| x beside | ratio | 4 | 3–5 | ≤ 3.5 | **missed** | 4 |") {
		t.Errorf("compared with itself:\n%s", again)
	}
}

// A row that says "the same" is compared with the one of an earlier table that stood for the same:
// each row of a table with figures of their own has its own figure beside it.
func TestCompare(t *testing.T) {
	list := rows()
	run := make(figures)
	for i, r := range list {
		for j, figure := range []string{r.figure, r.beside} {
			if _, ok := run[figure]; !ok {
				run[figure] = float64(1000 + 37*i*i + 11*j)
			}
		}
	}
	runs := []figures{run}
	text := table(list, runs, nil)
	for line := range strings.Lines(table(list, runs, parseTable(text))) {
		cells := strings.Split(line, "|")
		median, before := strings.TrimSpace(cells[3]), strings.TrimSpace(cells[len(cells)-2])
		if _, err := strconv.ParseFloat(median, 64); err == nil && median != before {
			t.Errorf("%q has %q before it, want %q", cells[1], before, median)
		}
	}
	if got, want := len(parseTable(text)), len(list)+2; got != want { // two lines above them
		t.Errorf("%d keys of %d lines", got, want)
	}
}

// The rows name different work, and what is measured.
func TestRows(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range rows() {
		if key := r.work + r.figure; seen[key] || !strings.HasPrefix(r.figure, "Benchmark") {
			t.Errorf("row %q twice, or of no benchmark", key)
		}
		seen[r.work+r.figure] = true
	}
}
