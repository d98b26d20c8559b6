//go:build unix

package stress

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A program that is built with build has a clock that is off, and timers that are right.
func TestClock(t *testing.T) {
	source := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(source, []byte(`package main

import "time"

func main() {
	begin := time.Now()
	for range 4 {
		<-time.NewTimer(50 * time.Millisecond).C
		println(time.Now().Unix(), time.Since(begin).Milliseconds())
	}
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := build(t.Context(), t.TempDir(), source)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		clock string
		want  map[time.Duration]bool // offsets that must be seen, and no others
	}{
		{"", map[time.Duration]bool{0: true}},
		{"50m", map[time.Duration]bool{50 * time.Minute: true}},
		{"-50m", map[time.Duration]bool{-50 * time.Minute: true}},
		{"50m/80ms", map[time.Duration]bool{50 * time.Minute: true, -50 * time.Minute: true}},
	} {
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env = append(os.Environ(), clockVariable+"="+c.clock)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		seen := make(map[time.Duration]bool)
		for line := range strings.Lines(string(out)) {
			clock, elapsed, _ := strings.Cut(strings.TrimSpace(line), " ")
			unix, err := strconv.ParseInt(clock, 10, 64)
			if err != nil {
				t.Fatalf("%q: %v", out, err)
			}
			if ms, err := strconv.Atoi(elapsed); err != nil || ms < 50 || ms > 60_000 {
				t.Errorf("%q: %s ms have passed", c.clock, elapsed)
			}
			seen[time.Until(time.Unix(unix, 0)).Round(5*time.Minute)] = true
		}
		for off := range c.want {
			if !seen[off] {
				t.Errorf("%q: the clock is off by %v, want %v", c.clock, seen, c.want)
			}
		}
		if len(seen) != len(c.want) {
			t.Errorf("%q: the clock is off by %v, want %v", c.clock, seen, c.want)
		}
	}
}
