package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A row is a line of the table.
type row struct {
	work   string
	figure string // name and unit: see figures
	beside string // the figure that it is divided by, in the same run; empty: it stands alone
	least  bool   // the target is the least that it is to be; else the most
	target float64
	as     string  // the unit in the table; empty: the one of the figure
	per    float64 // how many units of the figure are one of as; 0: one
}

// unit returns the unit of the figure, as the table has it.
func (r row) unit() string {
	if r.beside != "" {
		return "ratio"
	}
	if r.as != "" {
		return r.as
	}
	return r.figure[strings.LastIndex(r.figure, " ")+1:]
}

// value returns the figure of a row in one run; false if it was not measured.
func (r row) value(f figures) (v float64, ok bool) {
	v, ok = f[r.figure]
	if r.per > 0 {
		v /= r.per
	}
	if ok && r.beside != "" {
		limit, there := f[r.beside]
		return v / limit, there
	}
	return v, ok
}

// table returns the table in Markdown.
func table(rows []row, runs []figures, before map[string]string) string {
	var b strings.Builder
	b.WriteString("| work | unit | median | range | target | |")
	line := "\n|---|---|--:|--:|--:|---|"
	if before != nil {
		b.WriteString(" before |")
		line += "--:|"
	}
	b.WriteString(line + "\n")
	var k keys
	for _, r := range rows {
		key := k.next(r.work, r.unit())
		var values []float64
		for _, f := range runs {
			if v, ok := r.value(f); ok {
				values = append(values, v)
			}
		}
		if len(values) == 0 {
			fmt.Fprintf(&b, "| %s | – | not measured | | | |\n", r.work)
			continue
		}
		slices.Sort(values)
		median := values[len(values)/2]
		span, target, verdict := "once", "–", ""
		if len(values) > 1 {
			span = number(values[0]) + "–" + number(values[len(values)-1])
		}
		if r.target > 0 {
			target = "≤ " + number(r.target)
			reached := median <= r.target
			if r.least {
				target, reached = "≥ "+number(r.target), median >= r.target
			}
			if verdict = "reached"; !reached {
				verdict = "**missed**"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |", r.work, r.unit(), number(median), span, target, verdict)
		if before != nil {
			fmt.Fprintf(&b, " %s |", before[key])
		}
		b.WriteString("\n")
	}
	return b.String()
}

// number returns a figure with three digits, or all before its point.
func number(v float64) string {
	if v == math.Trunc(v) || math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// Keys tell the rows of a table apart, of which several may say "the same: requests": such a row
// belongs to the last one above it that does not begin with "the same:", and that one, if it
// begins with "the same", to the last that does not.
type keys struct{ work, part string }

// next returns the key of the next row.
func (k *keys) next(work, unit string) string {
	if !strings.HasPrefix(work, "the same") {
		k.work = work
	}
	if !strings.HasPrefix(work, "the same:") {
		k.part = work
	}
	return strings.Join([]string{k.work, k.part, work, unit}, " | ")
}

// parseTable returns the medians of a table by the keys of its rows.
func parseTable(text string) map[string]string {
	medians := make(map[string]string)
	var k keys
	for line := range strings.Lines(text) {
		if cells := strings.Split(line, "|"); len(cells) > 4 {
			medians[k.next(strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2]))] = strings.TrimSpace(cells[3])
		}
	}
	return medians
}
