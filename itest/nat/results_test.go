//go:build linux

package nat

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// results is what the tests have measured, by the order in the file.
var results struct {
	mu       sync.Mutex
	sections map[int]string
}

// record keeps what a test has measured, for RESULTS.md.
func record(order int, title, text string) {
	results.mu.Lock()
	defer results.mu.Unlock()
	if results.sections == nil {
		results.sections = make(map[int]string)
	}
	results.sections[order] = "## " + title + "\n\n" + strings.TrimSpace(text) + "\n"
}

// byHand begins the sections of RESULTS.md that are written by hand: causes, and what
// `make nat-many` prints.
const byHand = "## Why some stayed relayed\n"

// writeResults writes what the tests have measured to a file, and leaves in it the
// sections from byHand on.
func writeResults(path string) error {
	commit, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return fmt.Errorf("git describe: %w", err)
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	results.mu.Lock()
	defer results.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, `# What was measured behind real NATs

Written by `+"`make nat`"+` on %s, commit %s, Linux %s, %d processors, %v one way. Nothing is forced and no relay is
configured unless it says so: one public node offers to relay, %d are plain, and the two that meet are behind a NAT each.
`, time.Now().UTC().Format(time.DateOnly), strings.TrimSpace(string(commit)), strings.TrimSpace(string(kernel)),
		runtime.NumCPU(), oneWay, plainNodes)
	orders := make([]int, 0, len(results.sections))
	for order := range results.sections {
		orders = append(orders, order)
	}
	slices.Sort(orders)
	for _, order := range orders {
		b.WriteString("\n" + results.sections[order])
	}
	if before, err := os.ReadFile(path); err == nil {
		if _, kept, ok := strings.Cut(string(before), "\n"+byHand); ok {
			b.WriteString("\n" + byHand + kept)
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
