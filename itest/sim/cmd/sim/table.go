package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-kad/kad/itest/sim"
)

// table returns figures as a table in Markdown, the targets in brackets.
func table(figures []figure) string {
	lines := [][]string{
		{"row", "situation", "nodes", "median", "p99", "requests", "accuracy", "besides", "runs", "reached"},
	}
	for _, f := range figures {
		m, want := f.metrics, f.row.Want
		lines = append(lines, []string{
			f.row.Slug,
			f.row.Name,
			fmt.Sprint(f.row.Nodes),
			cell(millis(m.Time(0.5)), want.Median > 0, "≤ "+millis(want.Median)),
			cell(millis(m.Time(0.99)), want.P99 > 0, "≤ "+millis(want.P99)),
			cell(fmt.Sprintf("%.1f", m.MeanRequests()), want.Requests > 0, fmt.Sprintf("≤ %.0f", want.Requests)),
			cell(fmt.Sprintf("%.4f", m.Accuracy), want.Accuracy > 0, fmt.Sprintf("≥ %.2f", want.Accuracy)),
			besides(m, want),
			fmt.Sprint(len(m.Took)),
			verdict(f),
		})
	}
	return align(lines)
}

// cell returns a measured value, with its target if it has one.
func cell(value string, hasTarget bool, target string) string {
	if !hasTarget {
		return value
	}
	return fmt.Sprintf("%s (%s)", value, target)
}

// besides returns what else was measured.
func besides(m *sim.Metrics, want sim.Want) string {
	parts := []string{fmt.Sprintf("%.1f dials", m.Dials)}
	if m.Hops > 0 {
		parts = append(parts, fmt.Sprintf("%.1f hops", m.Hops))
	}
	if m.Reached < 1 || want.Reached > 0 {
		parts = append(parts, cell(fmt.Sprintf("reached %.3f", m.Reached), want.Reached > 0, fmt.Sprintf("≥ %.2f", want.Reached)))
	}
	if m.Filled > 0 || want.Filled > 0 {
		parts = append(parts, cell(fmt.Sprintf("table %.2f", m.Filled), want.Filled > 0, fmt.Sprintf("≥ %.2f", want.Filled)))
	}
	if want.Rate > 0 {
		parts = append(parts, cell(fmt.Sprintf("%.0f/s", m.Rate), true, fmt.Sprintf("≥ %.0f", want.Rate)))
	}
	return strings.Join(parts, ", ")
}

// verdict says whether the targets of a row are reached.
func verdict(f figure) string {
	switch {
	case f.row.Want == (sim.Want{}):
		return "–"
	case f.row.Want.Met(f.metrics):
		return "yes"
	}
	return "no"
}

// millis returns a time in milliseconds.
func millis(d time.Duration) string {
	return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
}

// align returns lines as a table in Markdown with columns of equal width.
func align(lines [][]string) string {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, s := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(s))
		}
	}
	var b strings.Builder
	for n, line := range lines {
		for i, s := range line {
			b.WriteString("| " + s + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(s)+1))
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				b.WriteString("|" + strings.Repeat("-", width+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}
