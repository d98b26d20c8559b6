package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"charm.land/lipgloss/v2"
)

// An output is where results go.
type output struct {
	io.Writer

	json bool
}

// raw writes an object that is JSON already, on one line.
func (o *output) raw(object []byte) {
	var line bytes.Buffer
	if json.Compact(&line, object) != nil {
		line.Write(object)
	}
	_, _ = o.Write(append(bytes.TrimSpace(line.Bytes()), '\n'))
}

// object writes a value as JSON, on one line.
func (o *output) object(v any) {
	text, err := json.Marshal(v)
	if err == nil {
		o.raw(text)
	}
}

// say writes a line for people.
func (o *output) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o, format+"\n", args...)
}

// rows writes lines in columns. They hold text without colours, whose length counts.
func (o *output) rows(lines [][]string) {
	w := tabwriter.NewWriter(o, 0, 8, 2, ' ', 0)
	for _, cells := range lines {
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	_ = w.Flush()
}

// good, bad and dim colour a text, where the output shows colours.
func good(text string) string { return lipgloss.NewStyle().Foreground(lipgloss.Green).Render(text) }

func bad(text string) string { return lipgloss.NewStyle().Foreground(lipgloss.Red).Render(text) }

func dim(text string) string { return lipgloss.NewStyle().Faint(true).Render(text) }

// plural returns a number with its noun.
func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprint(n, " ", noun)
}

// cost is what lookups took, in the answers of operations.
type cost struct {
	Elapsed float64 `json:"elapsed_ms"`
	Lookup  struct {
		Requests, Hops, Answered int
	}
}

// String returns the cost in words.
func (c cost) String() string {
	return fmt.Sprintf("%s, %s, %d answered, in %s", plural(c.Lookup.Hops, "hop"), plural(c.Lookup.Requests, "request"), c.Lookup.Answered, milliseconds(c.Elapsed))
}
