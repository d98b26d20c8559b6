package main

import (
	"fmt"
	"os"
	"strings"

	"gonum.org/v1/plot/plotter"

	"github.com/go-kad/kad/itest/sim"
)

// A calibrated network is one with what its lookups said.
type calibrated struct {
	network sim.Network
	sim.Calibration
}

// calibrate compares what lookups say with how often they are right.
func (s *session) calibrate() []calibrated {
	defer s.bar.end()
	var out []calibrated
	networks := sim.Networks()
	s.bar.begin("confidence", len(networks))
	for i, n := range networks {
		if n.Nodes <= s.nodes {
			out = append(out, calibrated{n, sim.Calibrate(n.Make(s.seed), n.Scenario, s.runs)})
		}
		s.bar.at(i + 1)
	}
	return out
}

// calibrationTable returns the figures as a table in Markdown.
func calibrationTable(all []calibrated) string {
	lines := [][]string{{"network", "nodes", "lookups", "requests", "accuracy", "all right", "≥ 0.9", "≥ 0.95", "≥ 0.99"}}
	for _, c := range all {
		line := []string{
			c.network.Name, fmt.Sprint(c.network.Nodes), fmt.Sprint(c.Lookups), fmt.Sprintf("%.1f", c.Requests),
			fmt.Sprintf("%.4f", c.Accuracy), fmt.Sprintf("%.3f", float64(c.Right)/float64(c.Lookups)),
		}
		for _, said := range c.Said[len(c.Said)-3:] {
			line = append(line, fmt.Sprintf("%.3f of %d", said.Share(), said.Lookups))
		}
		lines = append(lines, line)
	}
	return align(lines)
}

// plotConfidence draws, for each kind of network, the share of right lookups of the ones
// that state at least some confidence.
func (s *session) plotConfidence(all []calibrated) error {
	if len(all) == 0 {
		return nil
	}
	if err := os.MkdirAll(s.out, 0o755); err != nil { //nolint:gosec // pictures are for all to see
		return err
	}
	diagonal := plotter.XYs{{X: 0.5, Y: 0.5}, {X: 1, Y: 1}}
	lines := []any{"as stated", diagonal}
	for _, kind := range []string{"random", "aged", "grown"} {
		var sums []sim.Said
		for _, c := range all {
			if !strings.HasPrefix(c.network.Name, kind) {
				continue
			}
			if sums == nil {
				sums = make([]sim.Said, len(c.Said))
			}
			for i, said := range c.Said {
				sums[i].AtLeast = said.AtLeast
				sums[i].Lookups += said.Lookups
				sums[i].Right += said.Right
			}
		}
		var points plotter.XYs
		for _, sum := range sums {
			points = append(points, plotter.XY{X: sum.AtLeast, Y: sum.Share()})
		}
		if len(points) > 0 {
			lines = append(lines, kind, points)
		}
	}
	return s.draw("confidence", "Share of right lookups, of the ones that state so much", "confidence, at least", "right", false, lines...)
}
