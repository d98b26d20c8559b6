package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot/plotter"

	"github.com/go-kad/kad/itest/sim"
)

// judged are two calibrated networks: in one, lookups are right, and in the other, half of
// them.
func judged() []calibrated {
	said := func(right int) (out []sim.Said) {
		for _, level := range []float64{0.5, 0.9, 0.95, 0.99} {
			out = append(out, sim.Said{AtLeast: level, Lookups: 10, Right: right})
		}
		return out
	}
	return []calibrated{
		{sim.Network{Kind: "random", Name: "random, k = 20", Nodes: 400, K: 20}, sim.Calibration{Said: said(10), Lookups: 10, Right: 10}},
		{sim.Network{Kind: "aged", Name: "aged, k = 4", Nodes: 400, K: 4}, sim.Calibration{Said: said(5), Lookups: 10, Right: 5}},
	}
}

// The lookups of the networks of one group are added up, and groups without networks have no
// line.
func TestStated(t *testing.T) {
	lines := stated(judged(), []string{"random", "aged", "dying"}, func(n sim.Network) string { return n.Kind })
	if len(lines) != 6 || lines[2] != "random" || lines[4] != "aged" {
		t.Fatalf("the lines are %v", lines)
	}
	for i, want := range map[int]float64{3: 1, 5: 0.5} {
		points, _ := lines[i].(plotter.XYs)
		if len(points) != 4 || points[3] != (plotter.XY{X: 0.99, Y: want}) {
			t.Errorf("%v has the points %v", lines[i-1], points)
		}
	}
	together := stated(judged(), []string{"all"}, func(sim.Network) string { return "all" })
	if points, _ := together[3].(plotter.XYs); points[0].Y != 0.75 {
		t.Errorf("together: %v", points)
	}
}

// The file of results has the table, the command that wrote it, and the plots beside it.
func TestCalibrationIsWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "RESULTS.md")
	o, err := parse([]string{"-runs", "10", "-results", file}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{options: o}
	if err := s.plotConfidence(judged()); err != nil {
		t.Fatal(err)
	}
	text := results(o, nil, judged(), time.Minute)
	for _, want := range []string{
		"cmd/sim -runs 10 -results ", "| aged, k = 4    | 400   | 10      | 0.0      | 0.0000   | 0.500     | 0.500 of 10 |",
		"](plots/confidence.svg)", "](plots/confidence-by-k.svg)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	for _, name := range []string{"confidence", "confidence-by-k"} {
		if svg, err := os.ReadFile(filepath.Join(filepath.Dir(file), "plots", name+".svg")); err != nil || !strings.Contains(string(svg), "as stated") {
			t.Errorf("%s: %v, %d bytes", name, err, len(svg))
		}
	}
	if o, err := parse(nil, os.Stderr); err != nil || o.out != "itest/sim/out" {
		t.Errorf("without a file, the plots are in %q, %v", o.out, err)
	}
}
