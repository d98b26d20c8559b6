// Command bench measures what work of a DHT costs beside its limit, a bare stream that echoes
// as many bytes, and beside go-libp2p-kad-dht, and writes a table.
//
//	go run ./itest/bench -out BENCH.md
//
// Times of a machine that does other work say little, and their ratios say more: each ratio is
// of two figures of the same run. Allocations, requests and virtual time are exact.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is the program.
func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	runs := flags.Int("runs", 5, "`number` of runs, of which the table has the median and the range")
	out := flags.String("out", "", "write the table to this `file`, and not to the standard output")
	only := flags.String("only", "", "measure the groups alone whose name contains `text`: serving, memory, TCP, asking, contacts, publishing, 1 000, networks")
	compare := flags.String("compare", "", "a `file` that -out wrote: print its figures beside the new ones")
	profile := flags.String("profile", "", "write CPU profiles to this `directory`, which is made: of the servers with sockets, of their clients, and of asking")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *runs < 1 || flags.NArg() > 0 {
		return errors.New("use -runs of 1 or more, and no arguments")
	}
	if *profile != "" {
		var err error
		if *profile, err = profiles(*profile); err != nil {
			return err
		}
	}
	var before map[string]string
	if *compare != "" {
		text, err := os.ReadFile(*compare)
		if err != nil {
			return err
		}
		before = parseTable(string(text))
	}
	here := machine(os.DirFS("/proc"))
	measured := make([]figures, *runs)
	for i := range measured { // all groups once, and then again, so that what changes meanwhile is in all
		measured[i] = make(figures)
		for _, g := range groups() {
			if g.once && i > 0 || !strings.Contains(g.name, *only) {
				continue
			}
			_, _ = fmt.Fprintf(stderr, "run %d of %d: %s\n", i+1, *runs, g.name)
			if err := g.measure(measured[i], *profile, stderr); err != nil {
				return err
			}
		}
	}
	text := head(*runs, here) + table(rows(), measured, before)
	if *out == "" {
		_, err := io.WriteString(stdout, text)
		return err
	}
	return os.WriteFile(*out, []byte(text), 0o644) //nolint:gosec // it is to be read
}

// A group is a go test command whose benchmarks are measured together.
type group struct {
	name string
	env  []string
	args []string
	once bool   // it is measured in the first run alone: its figures are exact, or it takes long
	cpu  string // the name of its profile; empty: the benchmarks write their own, or none
}

func groups() []group {
	return []group{
		{name: "serving, in memory", args: []string{"-run=^$", "-bench=^BenchmarkServe$", "-benchmem", "-benchtime=10000x", "./host/internal/serve"}},
		{name: "serving, over TCP", args: []string{"-run=^$", "-bench=^BenchmarkServerCost$", "-benchtime=5000x", "./itest/net"}},
		{name: "asking, in memory", args: []string{"-run=^$", "-bench=^BenchmarkLookup$", "-benchmem", "-benchtime=1000x", "./host/internal/lookup"}, cpu: "lookup"},
		{name: "memory of contacts", args: []string{"-run=^$", "-bench=^BenchmarkContact$", "-benchtime=3x", "./host/internal/table"}},
		{name: "publishing, with sockets", args: []string{"-run=^$", "-timeout=1h", "-bench=^BenchmarkPublish$", "-benchtime=1x", "./itest/net"}, once: true},
		{name: "lookups of 1 000 nodes, in virtual time", env: []string{"KAD_FIGURE_NODES=1000"}, args: []string{"-v", "-timeout=1h", "-run=^TestFigures$", "./itest/network"}, once: true},
		{name: "networks, in virtual time", env: []string{"KAD_MEASURE=1"}, args: []string{"-v", "-timeout=1h", "-run=^TestMeasure$", "./itest/network"}, once: true},
	}
}

// Figures have a value for each benchmark and unit, as "BenchmarkServe/ping ns/op".
type figures map[string]float64

// profiles makes a directory, and returns its path from the root: go test runs in other directories.
func profiles(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755) //nolint:gosec // it is to be read
}

// command returns the command, which writes profiles to a directory if there is one.
func (g group) command(profile string) *exec.Cmd {
	args, env := []string{"test", "-count=1"}, g.env
	if profile != "" {
		env = append([]string{"KAD_COST_PROFILE=" + profile}, env...)
		if g.cpu != "" { // go test keeps the binary, too, in the current directory unless told
			path := filepath.Join(profile, g.cpu)
			args = append(args, "-cpuprofile="+path+".cpu", "-o="+path+".test")
		}
	}
	cmd := exec.Command("go", append(args, g.args...)...) //nolint:gosec // of groups
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// measure runs the command, and adds what it printed.
func (g group) measure(to figures, profile string, stderr io.Writer) error {
	cmd := g.command(profile)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out.String())
	}
	parse(out.String(), to)
	return nil
}

// parse adds the figures of the lines of benchmarks, which have a name, a count, and then
// values with their units. What stands before the name is skipped.
func parse(text string, to figures) {
	for line := range strings.Lines(text) {
		_, line, ok := strings.Cut(line, "Benchmark")
		fields := strings.Fields(line)
		if !ok || len(fields) < 4 {
			continue
		}
		name := "Benchmark" + strings.TrimSuffix(fields[0], fmt.Sprintf("-%d", runtime.GOMAXPROCS(0)))
		for pair := range slices.Chunk(fields[2:], 2) {
			if value, err := strconv.ParseFloat(pair[0], 64); err == nil && len(pair) == 2 {
				to[name+" "+pair[1]] = value
			}
		}
	}
}

// machine returns the model of the processor, the memory and the load, as a directory like /proc
// has them; what it has not is left out.
func machine(proc fs.FS) string {
	find := func(file, name string) string {
		text, _ := fs.ReadFile(proc, file)
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
				return strings.TrimSpace(value)
			}
		}
		return ""
	}
	var list []string
	if model := find("cpuinfo", "model name"); model != "" {
		list = append(list, model)
	}
	var kB float64
	if _, err := fmt.Sscanf(find("meminfo", "MemTotal"), "%g kB", &kB); err == nil {
		list = append(list, number(math.Round(kB/(1<<20)))+" GiB of memory")
	}
	load, _ := fs.ReadFile(proc, "loadavg")
	if fields := strings.Fields(string(load)); len(fields) > 2 {
		list = append(list, "load before it "+strings.Join(fields[:3], " "))
	}
	return strings.Join(list, ", ")
}

// head returns what stands above the table.
func head(runs int, machine string) string {
	commit, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	if machine != "" {
		machine = " (" + machine + ")"
	}
	return fmt.Sprintf(`# What work costs

Written by `+"`make bench-table`"+`, and not by hand: %s, commit %s, %s, %s/%s, %d processors%s,
median and range of %d runs.

A ratio is of two figures of the same run, since a machine that does other work changes both. The limit of serving is an
echo: a handler that sends back frames of as many bytes, on a stream of its own or on one for all. "Incumbent" is
go-libp2p-kad-dht, served to the same client. What was measured once says so: networks in virtual time, whose times,
requests and bytes are exact, and what takes long, of which CPU, memory and real time are not. A target that was missed
says so.

`, time.Now().UTC().Format(time.DateOnly), bytes.TrimSpace(commit), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), machine, runs)
}
