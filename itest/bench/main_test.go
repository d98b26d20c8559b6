package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

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
		{work: "y", figure: "BenchmarkA/x ns/op", as: "µs", per: 1000, target: 0.01},
		{work: "least", figure: "BenchmarkA/x ns/op", least: true, target: 11},
		{work: "not measured", figure: "BenchmarkB ns/op"},
	}
	text := table(rows, runs, nil)
	const want = `| work | unit | median | range | target | |
|---|---|--:|--:|--:|---|
| x | allocs/op | 2 | 2–2 | ≤ 2 | reached |
| x beside | ratio | 4 | 3–5 | ≤ 3.5 | **missed** |
| y | µs | 0.01 | 0.006–0.04 | ≤ 0.01 | reached |
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

// Profiles are written where the user is, wherever go test runs.
func TestProfiles(t *testing.T) {
	t.Chdir(t.TempDir())
	dir, err := profiles("a/b")
	if err != nil || !filepath.IsAbs(dir) {
		t.Fatalf("got %q, %v", dir, err)
	}
	if made, err := os.Stat(filepath.Join("a", "b")); err != nil || !made.IsDir() {
		t.Errorf("the directory was not made: %v", err)
	}
	i := slices.IndexFunc(groups(), func(g group) bool { return g.cpu != "" })
	cmd := groups()[i].command(dir)
	if !slices.Contains(cmd.Env, "KAD_COST_PROFILE="+dir) || !slices.Contains(cmd.Args, "-cpuprofile="+filepath.Join(dir, "lookup.cpu")) {
		t.Errorf("%v is not told to write profiles to %s", cmd, dir)
	}
	if cmd := groups()[i].command(""); strings.Contains(cmd.String(), "profile") {
		t.Errorf("%v is told to write profiles", cmd)
	}
}

// The head names the machine where /proc has it, and else leaves it out.
func TestMachine(t *testing.T) {
	proc := fstest.MapFS{
		"cpuinfo": {Data: []byte("processor\t: 0\nmodel name\t: A Processor @ 2 GHz\nprocessor\t: 1\nmodel name\t: A Processor @ 2 GHz\n")},
		"meminfo": {Data: []byte("MemTotal:        8123456 kB\nMemFree:         123 kB\n")},
		"loadavg": {Data: []byte("0.42 1.00 2.50 1/234 5678\n")},
	}
	const want = "A Processor @ 2 GHz, 8 GiB of memory, load before it 0.42 1.00 2.50"
	if got := machine(proc); got != want || !strings.Contains(head(3, got), " processors ("+want+"),") {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := machine(fstest.MapFS{}); got != "" || !strings.Contains(head(3, got), " processors,\n") {
		t.Errorf("got %q of nothing", got)
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
