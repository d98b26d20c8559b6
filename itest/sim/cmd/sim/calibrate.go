package main

import (
	"fmt"
	"slices"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"

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
	made := make(map[string]*sim.Population) // it takes seconds to play a past
	s.bar.begin("confidence", len(networks))
	for i, n := range networks {
		if n.Nodes <= s.nodes {
			name := fmt.Sprint(n.Tables, n.Nodes, n.K)
			if made[name] == nil {
				made[name] = n.Make(s.seed)
			}
			out = append(out, calibrated{n, sim.Calibrate(made[name], n.Scenario, s.runs)})
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

// plotConfidence draws, for each kind of network and for each k, the share of right lookups
// of the ones that state at least some confidence.
func (s *session) plotConfidence(all []calibrated) error {
	if len(all) == 0 {
		return nil
	}
	byKind := stated(all, sim.Kinds(), func(n sim.Network) string { return n.Kind })
	var byK []string
	for _, c := range all {
		if name := fmt.Sprint("k = ", c.network.K); !slices.Contains(byK, name) {
			byK = append(byK, name)
		}
	}
	for file, lines := range map[string][]any{
		"confidence":      byKind,
		"confidence-by-k": stated(all, byK, func(n sim.Network) string { return fmt.Sprint("k = ", n.K) }),
	} {
		p := chart("Lookups that state at least so much", "confidence stated", "share that found all of the k closest")
		p.Legend.Left = true
		if err := plotutil.AddLinePoints(p, lines...); err != nil {
			return err
		}
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = least, 1, least, 1
		if err := s.save(p, file); err != nil {
			return err
		}
	}
	return nil
}

// least is the confidence at which the plots begin.
const least = 0.5

// stated returns lines for a plot: what would be as stated, and one for each group of
// networks, with its name before it.
func stated(all []calibrated, groups []string, groupOf func(sim.Network) string) []any {
	lines := []any{"as stated", plotter.XYs{{X: least, Y: least}, {X: 1, Y: 1}}}
	for _, group := range groups {
		var points plotter.XYs
		for i, level := range all[0].Said {
			sum := sim.Said{AtLeast: level.AtLeast}
			for _, c := range all {
				if groupOf(c.network) == group {
					sum.Lookups += c.Said[i].Lookups
					sum.Right += c.Said[i].Right
				}
			}
			if sum.Lookups > 0 {
				points = append(points, plotter.XY{X: sum.AtLeast, Y: sum.Share()})
			}
		}
		if len(points) > 0 {
			lines = append(lines, group, points)
		}
	}
	return lines
}
