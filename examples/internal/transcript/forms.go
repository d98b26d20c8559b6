package transcript

import (
	"regexp"
	"slices"
	"strings"
)

// masks are what differs from run to run, and what stands for it.
//
//nolint:gochecknoglobals // constants
var masks = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\x1b\[[\d;]*m`), ""},
	{regexp.MustCompile(`12D3\w+|\b\w{8}…|…\w{6}\b`), "ID"},
	{regexp.MustCompile(`bafk\w+`), "CID"},
	{regexp.MustCompile(`[0-9a-f]{16,}…?`), "HEX"},
	{regexp.MustCompile(`\d{2}:\d{2}:\d{2}`), "TIME"},
	{regexp.MustCompile(`^(kad|node|chat|send) .*go1\..*`), "$1 VERSION"},
	{regexp.MustCompile(`(\d[\d.]*(ns|µs|ms|h|m|s))+\b`), "TIME"},
	{regexp.MustCompile(`\d+(\.\d+)?`), "N"},
	{regexp.MustCompile(`\b(hop|peer|request|contact|record|answer)s\b`), "$1"},
	{regexp.MustCompile(`\[#*\.*\]`), "[BAR]"},
	{regexp.MustCompile(` +`), " "},
	{regexp.MustCompile(`^due_\w+ N$`), ""}, // of a job that is under way, there is none
}

// Forms returns the lines of what a program has written without what differs from run to run:
// IDs, times, numbers, and how many lines of one form there are, in which order.
func Forms(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n ")
		for _, m := range masks {
			line = m.pattern.ReplaceAllString(line, m.by)
		}
		if line != "" {
			list = append(list, line)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
