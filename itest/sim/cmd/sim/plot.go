package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/go-kad/kad/itest/sim"
)

// plot draws lookups against the size of the network, and how they are
// distributed where some are dead.
func (s *session) plot() error {
	if err := s.plotSizes(); err != nil {
		return err
	}
	return s.plotDead()
}

// sizes are those of networks up to n.
func sizes(n int) []int {
	var out []int
	for _, size := range []int{100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000} {
		if size <= n {
			out = append(out, size)
		}
	}
	return out
}

// plotSizes draws the time and the requests of a lookup in larger and larger
// networks.
func (s *session) plotSizes() error {
	row := rowOf("warm")
	var median, p99, requests plotter.XYs
	for _, n := range sizes(s.nodes) {
		row.Nodes = n
		figures, failures := s.measure([]sim.Row{row})
		if len(failures) > 0 {
			return failures[0]
		}
		m := figures[0].metrics
		point := func(y float64) plotter.XY { return plotter.XY{X: float64(n), Y: y} }
		median = append(median, point(inMillis(m.Time(0.5))))
		p99 = append(p99, point(inMillis(m.Time(0.99))))
		requests = append(requests, point(m.MeanRequests()))
	}
	if len(median) == 0 {
		return nil // all networks that are asked for are too small
	}
	err := s.draw("time-by-size", "A warm lookup", "nodes", "ms", true, "median", median, "p99", p99)
	if err != nil {
		return err
	}
	return s.draw("requests-by-size", "A warm lookup", "nodes", "requests", true, "mean", requests)
}

// plotDead draws how time and requests are distributed where nobody is dead, one
// in five, and two in five.
func (s *session) plotDead() error {
	var times, requests []any
	for _, slug := range []string{"warm", "dead20", "dead40"} {
		row := rowOf(slug)
		if row.Nodes > s.nodes {
			row.Nodes = s.nodes
		}
		figures, failures := s.measure([]sim.Row{row})
		if len(failures) > 0 {
			return failures[0]
		}
		m := figures[0].metrics
		name := fmt.Sprintf("%.0f %% dead", 100*row.Scenario.Dead)
		times = append(times, name, distribution(m.Took, inMillis))
		requests = append(requests, name, distribution(m.Requests, func(n int) float64 { return float64(n) }))
	}
	const title = "Share of the lookups that take no more"
	if err := s.draw("time-by-dead", title, "ms", "share", false, times...); err != nil {
		return err
	}
	return s.draw("requests-by-dead", title, "requests", "share", false, requests...)
}

// rowOf returns the row with that slug, which there is.
func rowOf(slug string) sim.Row {
	for _, row := range sim.Targets() {
		if row.Slug == slug {
			return row
		}
	}
	panic("sim: no row " + slug)
}

// distribution returns, for each of sorted, the share that does not exceed it.
func distribution[T any](sorted []T, value func(T) float64) plotter.XYs {
	points := make(plotter.XYs, len(sorted))
	for i, v := range sorted {
		points[i] = plotter.XY{X: value(v), Y: float64(i+1) / float64(len(sorted))}
	}
	return points
}

// inMillis returns a time in milliseconds.
func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// draw writes a plot of lines, each a name and its points.
func (s *session) draw(file, title, x, y string, logarithmic bool, lines ...any) error {
	p := chart(title, x, y)
	p.Legend.Top, p.Legend.Left = logarithmic, logarithmic // where the lines are not
	if logarithmic {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	if err := plotutil.AddLines(p, lines...); err != nil {
		return err
	}
	p.Y.Min = 0
	if !logarithmic {
		p.X.Min = 0
	}
	return s.save(p, file)
}

// chart returns a plot with a grid and nothing else.
func chart(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text, p.Y.Label.Text = x, y
	p.Add(plotter.NewGrid())
	return p
}

// save writes a plot.
func (s *session) save(p *plot.Plot, file string) error {
	if err := os.MkdirAll(s.out, 0o755); err != nil { //nolint:gosec // pictures are for all to see
		return err
	}
	return p.Save(16*vg.Centimeter, 10*vg.Centimeter, filepath.Join(s.out, file+".svg"))
}
