package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// results returns the text of a file of results.
func results(o options, figures []figure, judged []calibrated, took time.Duration) string {
	var b strings.Builder
	b.WriteString("# Results of the simulator\n\n")
	fmt.Fprintf(&b, "Written by `go run ./itest/sim/cmd/sim %s`, see `-help`.\n", strings.Join(o.args, " "))
	b.WriteString("Targets are in brackets. What the rows are is in `rows.go`, what is simulated in `doc.go`.\n\n")
	fmt.Fprintf(&b, "- Commit: %s\n", commit())
	fmt.Fprintf(&b, "- Date: %s\n", time.Now().UTC().Format(time.DateOnly))
	fmt.Fprintf(&b, "- Machine: %s\n", machine())
	fmt.Fprintf(&b, "- Seed %d, up to %d runs of a row; %s with the plots, %s\n\n", o.seed, o.runs, took.Round(time.Second), memory())
	b.WriteString(table(figures))
	if len(judged) > 0 {
		b.WriteString("\nWhat lookups say and how often they are right: of the lookups that state at least that\n")
		b.WriteString("confidence, the share that found all of the k closest, and how many they are. `Kinds` in\n")
		b.WriteString("`calibration.go` says what the networks are.\n\n")
		b.WriteString(calibrationTable(judged))
		for _, plot := range []string{"confidence", "confidence-by-k"} {
			if path, err := filepath.Rel(filepath.Dir(o.results), filepath.Join(o.out, plot+".svg")); err == nil && o.plots {
				fmt.Fprintf(&b, "\n![stated and true confidence](%s)\n", filepath.ToSlash(path))
			}
		}
	}
	b.WriteString("\nTime by the clock on the wall, the making of the nodes not counted:\n\n")
	lines := [][]string{{"row", "nodes", "runs", "took"}}
	for _, f := range figures {
		lines = append(lines, []string{f.row.Slug, fmt.Sprint(f.row.Nodes), fmt.Sprint(len(f.metrics.Took)), f.took.Round(10 * time.Millisecond).String()})
	}
	b.WriteString(align(lines))
	return b.String()
}

// commit names the commit that is checked out, and says if files differ from it.
func commit() string {
	head, err := exec.Command("git", "describe", "--always", "--abbrev=12", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(head))
}

// machine names the processor, as far as the system tells.
func machine() string {
	name := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				name = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, %s, %s", name, runtime.NumCPU(), runtime.GOOS, runtime.Version())
}

// memory says how much memory the program has had from the system.
func memory() string {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return fmt.Sprintf("%d MiB of memory", m.Sys>>20)
}
