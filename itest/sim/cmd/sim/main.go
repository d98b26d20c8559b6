// Command sim measures lookups and joins in simulated networks, prints what is to
// be reached and what is, side by side, and draws plots.
//
//	go run ./itest/sim/cmd/sim -runs 1000 -nodes 100000
//
// A check that fails prints the command that replays its run.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-kad/kad/itest/sim"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	args    []string // all of them
	seed    uint64
	runs    int
	nodes   int
	only    string
	size    int
	whole   bool
	replay  int
	plots   bool
	out     string
	results string
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("sim", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Uint64Var(&o.seed, "seed", 1, "`number` from which all nodes and runs follow")
	flags.IntVar(&o.runs, "runs", 200, "`number` of runs of each row; rows that take long make fewer")
	flags.IntVar(&o.nodes, "nodes", 100_000, "leave out networks of more than `number` nodes; at most 100000000")
	flags.StringVar(&o.only, "row", "", "measure these `rows` alone, separated by commas")
	flags.IntVar(&o.size, "size", 0, "measure all rows in networks of `number` nodes; 0 means in their own")
	flags.BoolVar(&o.whole, "whole", false, "fill the tables of all nodes at the start; for up to 20000 nodes")
	flags.IntVar(&o.replay, "replay", -1, "make one `run` of one row, and print all that happens")
	flags.BoolVar(&o.plots, "plots", true, "draw plots")
	flags.StringVar(&o.out, "out", "", "`directory` of the plots; if empty, plots beside the file of -results, or itest/sim/out")
	flags.StringVar(&o.results, "results", "", "write the figures to this `file`, too")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.args = args
	switch {
	case o.out != "":
	case o.results != "":
		o.out = filepath.Join(filepath.Dir(o.results), "plots")
	default:
		o.out = "itest/sim/out"
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.runs < 1:
		return o, fmt.Errorf("-runs is %d: use 1 or more", o.runs)
	case o.nodes < 2 || o.nodes > 100_000_000 || o.size < 0 || o.size == 1 || o.size > 100_000_000:
		return o, errors.New("-nodes and -size: use 2 to 100000000")
	}
	return o, nil
}

// run is the program.
func run(args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	rows, err := o.rows()
	if err != nil {
		return err
	}
	s := &session{options: o, stdout: stdout, bar: newBar(stderr), populations: make(map[int]*sim.Population)}
	if o.replay >= 0 {
		return s.replayOne(rows)
	}
	begin := time.Now()
	figures, failures := s.measure(rows)
	_, _ = fmt.Fprint(stdout, table(figures))
	_, _ = fmt.Fprintf(stdout, "\n%s of measuring, %s\n", time.Since(begin).Round(time.Second), memory())
	var calibrated []calibrated
	if o.only == "" {
		calibrated = s.calibrate()
		_, _ = fmt.Fprintf(stdout, "\n%s", calibrationTable(calibrated))
	}
	if o.plots {
		if err := s.plotConfidence(calibrated); err != nil {
			return err
		}
		if err := s.plot(); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(stdout, "plots are in %s\n", o.out)
	}
	if o.results != "" {
		if err := os.WriteFile(o.results, []byte(results(o, figures, calibrated, time.Since(begin))), 0o644); err != nil { //nolint:gosec // it is for all to read
			return err
		}
	}
	return errors.Join(failures...)
}

// rows returns the rows that are to be measured.
func (o options) rows() ([]sim.Row, error) {
	all := slices.Concat(sim.Targets(), sim.Others())
	var rows []sim.Row
	for _, row := range all {
		if o.size > 0 {
			row.Nodes = o.size
		}
		if o.only == "" && row.Nodes <= o.nodes {
			rows = append(rows, row)
		}
	}
	if o.only == "" {
		return rows, nil
	}
	for slug := range strings.SplitSeq(o.only, ",") {
		i := slices.IndexFunc(all, func(r sim.Row) bool { return r.Slug == slug })
		if i < 0 {
			return nil, fmt.Errorf("there is no row %q; there are %s", slug, slugs(all))
		}
		row := all[i]
		if o.size > 0 {
			row.Nodes = o.size
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// slugs returns the names of rows.
func slugs(rows []sim.Row) string {
	var names []string
	for _, r := range rows {
		names = append(names, r.Slug)
	}
	return strings.Join(names, ", ")
}

// A session is one run of the program.
type session struct {
	options
	stdout      io.Writer
	bar         *bar
	populations map[int]*sim.Population
}

// population returns the nodes of networks of n.
func (s *session) population(n int) *sim.Population {
	p := s.populations[n]
	if p == nil {
		s.bar.begin(fmt.Sprintf("%d nodes", n), 1)
		p = sim.NewPopulation(n, s.seed)
		if s.whole && n <= 20_000 {
			s.bar.begin(fmt.Sprintf("%d tables", n), n)
			p.Fill(s.bar.at)
		}
		s.populations[n] = p
	}
	return p
}

// A figure is what was measured for a row.
type figure struct {
	row     sim.Row
	metrics *sim.Metrics
	took    time.Duration // by the clock on the wall
}

// measure measures rows.
func (s *session) measure(rows []sim.Row) ([]figure, []error) {
	defer s.bar.end()
	var figures []figure
	var failures []error
	for _, row := range rows {
		pop := s.population(row.Nodes)
		runs := row.Runs(s.runs)
		s.bar.begin(row.Slug, runs)
		begin := time.Now()
		metrics, err := row.Measure(pop, runs, s.bar.at)
		if err != nil {
			failures = append(failures, err)
		}
		figures = append(figures, figure{row, metrics, time.Since(begin)})
	}
	return figures, failures
}

// replayOne makes one run of one row, and prints all that happens.
func (s *session) replayOne(rows []sim.Row) error {
	if len(rows) != 1 {
		return errors.New("-replay needs one -row")
	}
	row := rows[0]
	w := row.World(s.population(row.Nodes), s.replay)
	s.bar.end()
	w.Log = s.stdout
	for _, r := range row.Do(w) {
		_, _ = fmt.Fprintf(s.stdout, "node %d, target %v: %v, %d requests, %d dials, accuracy %.3f, end %v\nfound %v\n",
			r.From, r.Target, r.Took, r.Requests, r.Dials, r.Accuracy, r.End, r.Closest)
		for _, check := range row.Checks {
			if err := check(w, r); err != nil {
				return err
			}
		}
	}
	_, _ = fmt.Fprintf(s.stdout, "trace %016x\n", w.Trace())
	return nil
}
