package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-kad/kad/itest/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The program prints the rows that it was asked for, with their targets, draws
// plots, and writes the figures.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "RESULTS.md")
	var out bytes.Buffer
	err := run([]string{
		"-row", "warm,dead20", "-size", "100", "-runs", "5", "-nodes", "300", "-out", dir, "-results", file, "-whole",
	}, &out, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"the output": out.String(), "the file": string(written)} {
		for _, want := range []string{"| warm ", "| dead20 ", "(≤ 300 ms)", "(≥ 0.99)", "| 100 ", "MiB"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in %s:\n%s", want, name, text)
			}
		}
	}
	for _, want := range []string{"- Commit: ", "- Date: 2", " cores, ", "Seed 1, up to 5 runs"} {
		if !strings.Contains(string(written), want) {
			t.Errorf("%q is not in the file", want)
		}
	}
	for _, name := range []string{"time-by-size", "requests-by-size", "time-by-dead", "requests-by-dead"} {
		svg, err := os.ReadFile(filepath.Join(dir, name+".svg"))
		if err != nil {
			t.Error(err)
			continue
		}
		if err := xml.Unmarshal(svg, new(struct {
			XMLName xml.Name `xml:"svg"`
		})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The same command prints the same figures.
func TestRunIsDeterministic(t *testing.T) {
	var first string
	for range 2 {
		var out bytes.Buffer
		if err := run([]string{"-row", "dead40", "-size", "100", "-runs", "3", "-plots=false"}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		figures, _, _ := strings.Cut(out.String(), "\n\n")
		if first == "" {
			first = figures
		} else if figures != first {
			t.Errorf("first\n%s\nthen\n%s", first, figures)
		}
	}
}

// A replay prints each event, and ends with the hash of all.
func TestReplay(t *testing.T) {
	args := []string{"-row", "cold", "-size", "100", "-replay", "2"}
	var out, again bytes.Buffer
	if err := run(args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" dial ", " answered ", "\ntrace ", "accuracy 1.000, end converged"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the output", want)
		}
	}
	if err := run(args, &again, io.Discard); err != nil || again.String() != out.String() {
		t.Errorf("another replay differs, or fails: %v", err)
	}
}

// What cannot be done is refused before anything is measured.
func TestRefused(t *testing.T) {
	tests := map[string]string{
		"-runs 0":            "-runs is 0",
		"-nodes 1":           "2 to 100000000",
		"-size -5":           "2 to 100000000",
		"-row nothing":       `no row "nothing"; there are warm, cold`,
		"-replay 1":          "needs one -row",
		"-row warm -replay":  "flag needs an argument",
		"-row warm,cold now": `unexpected argument "now"`,
	}
	for args, want := range tests {
		err := run(strings.Fields(args), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	if err := run([]string{"-help"}, io.Discard, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: %v", err)
	}
}

// Rows of networks that are too large are left out, unless they are asked for.
func TestRowsBySize(t *testing.T) {
	small, err := options{nodes: 500}.rows()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range small {
		if r.Nodes > 500 {
			t.Errorf("row %s of %d nodes", r.Slug, r.Nodes)
		}
	}
	if len(small) == 0 {
		t.Error("no rows at all")
	}
	asked, err := options{nodes: 500, only: "warm1m"}.rows()
	if err != nil || len(asked) != 1 || asked[0].Nodes != 1_000_000 {
		t.Errorf("asked for one: %v, %v", asked, err)
	}
}

func TestBar(t *testing.T) {
	b := &bar{name: "warm", total: 200}
	tests := []struct {
		done int
		took time.Duration
		want string
	}{
		{0, 0, "warm           [..............................] 0/200 "},
		{50, 10 * time.Second, "warm           [#######.......................] 50/200 30s left"},
		{200, time.Minute, "warm           [##############################] 200/200 0s left"},
	}
	for _, tt := range tests {
		if got := b.line(tt.done, tt.took); got != tt.want {
			t.Errorf("after %d: %q, want %q", tt.done, got, tt.want)
		}
	}
	var out bytes.Buffer
	quiet := newBar(&out)
	quiet.begin("warm", 2)
	quiet.at(1)
	quiet.end()
	if out.Len() != 0 {
		t.Errorf("a bar that nobody sees prints %q", out.String())
	}
	shown := &bar{out: &out}
	shown.begin("warm", 2)
	shown.at(1) // too soon after the first picture
	shown.end()
	if got := strings.Count(out.String(), "warm"); got != 1 || !strings.HasSuffix(out.String(), "\r\x1b[K") {
		t.Errorf("a bar prints %q", out.String())
	}
}

func TestVerdict(t *testing.T) {
	m := &sim.Metrics{Accuracy: 0.5}
	for want, target := range map[string]sim.Want{"–": {}, "yes": {Accuracy: 0.5}, "no": {Accuracy: 0.6}} {
		if got := verdict(figure{row: sim.Row{Want: target}, metrics: m}); got != want {
			t.Errorf("%+v: %q, want %q", target, got, want)
		}
	}
}
