// Command structure prints figures on how the module in the working directory is
// built, and what its rooms import, and draws its packages.
//
//	go run ./itest/structure/cmd/structure -places
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/go-kad/kad/itest/structure"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is main, given the command line.
func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("structure", flag.ContinueOnError)
	flags.SetOutput(stderr)
	places := flags.Bool("places", false, "print what was counted, too")
	picture := flags.String("picture", "architecture.svg", "write the picture to this `file`; to none if it is empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	m, err := structure.Load(".")
	if err != nil {
		return err
	}
	if *picture != "" {
		if err := os.WriteFile(*picture, m.Imports().Picture(), 0o644); err != nil { //nolint:gosec // a file of the repository, readable as all are
			return err
		}
	}
	if err := structure.Print(stdout, m.Figures(), *places); err != nil {
		return err
	}
	if _, err := io.WriteString(stdout, "\n"); err != nil {
		return err
	}
	return m.Imports().PrintImports(stdout)
}
