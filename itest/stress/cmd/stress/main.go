//go:build unix

// Command stress runs a network of processes under load, kills, stops and continues them, and
// compares every answer with what was written and with which processes ran. It prints a line every
// few seconds, and a table at the end, also after an interrupt.
//
//	go run ./itest/stress/cmd/stress -nodes 30 -for 10m
//
// Its exit code is 1 if an answer was false. Package stress says what false means.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-kad/kad/itest/stress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "stress:", err)
		os.Exit(1)
	}
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (stress.Config, error) {
	var cfg stress.Config
	flags := flag.NewFlagSet("stress", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&cfg.Nodes, "nodes", 30, "`number` of nodes; at least "+fmt.Sprint(stress.MinNodes))
	flags.IntVar(&cfg.K, "k", 20, "replication parameter `k`, up to 32; with less, more depends on each peer")
	flags.DurationVar(&cfg.For, "for", 10*time.Minute, "`duration` of the stress")
	flags.IntVar(&cfg.Parallel, "parallel", 64, "`number` of operations at a time")
	flags.DurationVar(&cfg.Every, "every", 3*time.Second, "`duration` between two mishaps")
	flags.DurationVar(&cfg.Progress, "progress", 5*time.Second, "`duration` between two lines")
	flags.DurationVar(&cfg.Settling, "settling", 10*time.Second, "`duration` for which a process must have run until it is counted on")
	flags.Uint64Var(&cfg.Seed, "seed", 0, "`number` from which the mishaps follow; 0 draws one")
	flags.StringVar(&cfg.Dir, "dir", "", "`directory` for logs and stores, which stay there; without it, they are removed")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if flags.NArg() > 0 {
		return cfg, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	for cfg.Seed == 0 {
		cfg.Seed = rand.Uint64()
	}
	return cfg, nil
}

// run is the program.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	cfg, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if cfg.Dir == "" {
		if cfg.Dir, err = os.MkdirTemp("", "kad-stress-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(cfg.Dir)) }() //nolint:gosec // we have made it
	} else if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return err
	}
	report, err := stress.Run(ctx, cfg, stdout)
	if err != nil {
		return err
	}
	if err := report.Write(stdout); err != nil {
		return err
	}
	if n := report.False(); n > 0 {
		return fmt.Errorf("%d answers are false", n)
	}
	return nil
}
