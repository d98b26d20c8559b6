// Command kad is the command line of a Kademlia network: it finds peers and values, stores
// them, and looks at nodes and networks.
//
//	go install github.com/go-kad/kad/examples/kad@latest
//	kad closest hello --network /chat --join /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo...
//	kad table --api http://127.0.0.1:5001
//
// Each command works through a node that runs, by the URL of its API (--api), or by itself,
// as a client of a network (--network and --join). `kad node` runs a node; it is examples/node.
//
//	node                        runs a node until it is interrupted
//	id, table, diagnose, stats  what a node is, knows, and how it is reached
//	held                        what a node holds for the network
//	find PEER                   the addresses of a peer
//	closest KEY                 the peers that are closest to a key
//	ping PEER                   how long a peer takes to answer
//	put KEY [VALUE], get KEY    stores a value, and finds it
//	provide CID, providers CID  announces a content, or many, and finds the peers that have one
//	advertise NAME, peers NAME  announces this node under a name, and finds the others
//	events                      what happens in a node, as it happens
//	crawl                       asks every peer of a network: its size, versions, dead share
//	bench                       how long lookups take
//	swarm-key                   makes the key of a private network
//	version, completion         of this program, and for a shell
//
// A value is written to stdout, as it is; everything else is text for people, or, with
// --json, one JSON object a line. What takes longer than half a second says on stderr how
// far it is. --quiet ends that. Colours are for terminals; the variable NO_COLOR ends them.
//
// # Settings
//
// A flag that is not given is taken from the environment, KAD_NAME, and then from a file, a
// JSON object with the names of flags: --config, or kad/config.json in the user's directory
// of settings. A flag that is repeatable has commas between its values in the environment,
// and is a list in the file. --network or --join on the command line set aside an --api from
// elsewhere, and the other way about.
//
//	{"network": "/chat", "join": ["/ip4/192.0.2.1/tcp/4001/p2p/12D3Koo..."], "timeout": "10s"}
//
// # Exit codes
//
// 0: done. 1: it failed, and a line on stderr says why. 2: a flag or an argument makes no
// sense. 130: interrupted. An interrupted crawl, bench or ping says what it has found. What
// goes on until it is interrupted (node, events, and by itself provide and advertise) ends
// with 0 then.
//
// # Decisions
//
// A command is one call of the API of examples/node, also by itself: then the node runs in
// this process. What a command does, and how it fails, is the same both ways.
//
// By itself, provide and advertise go on until they are interrupted: an announcement names
// this process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/charmbracelet/colorprofile"

	"github.com/go-kad/kad/examples/internal/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from then on, a signal kills at once
	stdout := colorprofile.NewWriter(os.Stdout, os.Environ())
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, stdout, os.Stderr))
}

// exitInterrupted is the exit code after a signal.
const exitInterrupted = 130

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{env: env, stdin: stdin, out: output{Writer: stdout}, stderr: stderr}
	root := c.root()                          //nolint:contextcheck // cobra hands it to the commands
	root.SetArgs(append([]string{}, args...)) // nil would mean the arguments of the process
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil || errors.Is(err, errInterrupted):
		_, _ = fmt.Fprintln(stderr, "kad: interrupted")
		return exitInterrupted
	case node.IsUsage(err):
		_, _ = fmt.Fprintln(stderr, "kad:", node.OneLine(err))
		return 2
	default:
		_, _ = fmt.Fprintln(stderr, "kad:", node.OneLine(err))
		return 1
	}
}

// errInterrupted ends a command that has said what it found until it was interrupted.
var errInterrupted = errors.New("interrupted")
