package app

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/libp2p/go-libp2p/gologshim"
	"github.com/spf13/cobra"
)

// Exit codes of the programs.
const (
	ExitOK     = 0
	ExitFailed = 1 // something did not work
	ExitUsage  = 2 // the command line makes no sense
)

// Run runs a program with its arguments, and returns the exit code. An error of cmd is a mistake
// in the command line; failed is what went wrong after the command line was understood. Each is
// one line on stderr.
func Run(cmd *cobra.Command, args []string, stdout, stderr io.Writer, failed *error) int {
	cmd.SetArgs(append([]string{}, args...)) // nil would mean the arguments of the process
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	if err := cmd.Execute(); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %s (--help lists the flags)\n", cmd.Name(), OneLine(err))
		return ExitUsage
	}
	if *failed != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %s\n", cmd.Name(), OneLine(*failed))
		return ExitFailed
	}
	return ExitOK
}

// Quieten keeps the libraries from writing to the terminal of a program: what matters is
// returned as an error too. GOLOG_LOG_LEVEL=info, for example, brings it back.
func Quieten() {
	if os.Getenv("GOLOG_LOG_LEVEL") == "" {
		gologshim.SetDefaultHandler(slog.DiscardHandler)
	}
	_ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") // the size of a kernel buffer
}
