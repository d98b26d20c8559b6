// Command chat is a chat over a distributed hash table: no server, and no
// address of a friend to know. A peer of a room announces itself in the DHT,
// searches the other peers there, connects to them and talks over GossipSub.
//
//	go run ./examples/chat
//	go run ./examples/chat --room lobby --join /ip4/192.0.2.7/tcp/4001/p2p/12D3Koo...
//	go run ./examples/chat --demo
//
// The first starts a network, and prints what a friend types to join it. The
// address that --join wants is that of any one peer of the network. The third
// plays the whole story in one process, and shows how each lookup closes in on
// its key.
//
// On a terminal, the chat is a window: the lines of the room, its members with the path to
// each, and the line that you type. Elsewhere, and with --plain, it is lines, for scripts:
// lines of other peers go to standard output as "nick: text", everything else to
// standard error. When standard input ends, the chat leaves; lines that came
// from a pipe are sent before, to the first peer that is there within 10s:
//
//	echo "the build is done" | go run ./examples/chat --nick ci --join ...
//
// Behind a NAT, nothing has to be configured: the node finds relays in the DHT, is found
// and reached through them, and connects directly where a hole can be punched. The chat
// shows for each friend whether the path is direct, punched, or through a relay. A node
// that can be dialled may relay with --offer-relay, also behind a router that forwards a port
// to it: --announce names the address there. Friends in one local network find each other by
// multicast DNS.
//
// To read on: newChatter and runChat in chat.go put the parts together, room.go is what
// happens in a room, screen.go what is shown in lines, window.go and view.go in a window,
// demo.go plays the story. The work is done
// by two packages: kad.DHT.Join finds the peers of the room, and host/carry/gossip moves
// messages to direct connections, in order, without loss.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	"github.com/go-kad/kad/examples/internal/app"
	"github.com/go-kad/kad/examples/internal/swarmkey"
	"github.com/go-kad/kad/examples/internal/version"
	kad "github.com/go-kad/kad/host"
)

func main() {
	app.Quieten()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// options are what the command line says.
type options struct {
	room, nick, network string
	swarmKey            string
	listen, join        []string
	announce            []string
	offerRelay, mdns    bool
	demo, plain         bool

	bootstrap []peer.AddrInfo       // join, parsed
	announced []multiaddr.Multiaddr // announce, parsed
	psk       pnet.PSK              // of swarmKey; nil: none
	k         int                   // of the DHT; 0 except in the demo
	patience  time.Duration         // how long the lines of a pipe wait for another peer
}

// run is the program without its process. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var failed error // what went wrong after the command line was understood
	cmd := newCommand(func(o options) {
		out := &screen{out: stdout, err: stderr}
		switch {
		case o.demo:
			failed = runDemo(ctx, o, stdout)
		case !o.plain && app.IsTerminal(stdin) && app.IsTerminal(stdout) && os.Getenv("TERM") != "dumb":
			failed = runWindow(ctx, o, stdin, out)
		default:
			failed = runChat(ctx, o, stdin, out)
		}
	})
	return app.Run(cmd, args, stdout, stderr, &failed)
}

// newCommand returns the command line. What it returns errors for is a mistake
// of the user; start is called if there is none.
func newCommand(start func(options)) *cobra.Command {
	o := options{patience: pipePatience}
	cmd := &cobra.Command{
		Use:           "chat",
		Short:         "Chat over a distributed hash table, without a server",
		Version:       version.Read().String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q is one argument too many: everything is a flag, for example --room %s", args[0], args[0])
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			if err := o.check(); err != nil {
				return err
			}
			start(o)
			return nil
		},
	}
	cmd.SetVersionTemplate("chat {{.Version}}\n")
	cmd.CompletionOptions.DisableDefaultCmd = true
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.room, "room", "lobby", "room to chat in")
	flags.StringVar(&o.nick, "nick", defaultNick(), "your name")
	flags.StringArrayVar(&o.join, "join", nil, "address of any peer of the network, /ip4/.../p2p/ID; may be repeated")
	flags.StringVar(&o.network, "network", "/chat", "name of the network")
	flags.StringVar(&o.swarmKey, "swarm-key", "", "file with the key of a private network: only peers that have it can connect")
	flags.StringArrayVar(&o.listen, "listen", nil,
		"address to listen on; may be repeated (default "+strings.Join(app.Listen(), ", ")+")")
	flags.StringArrayVar(&o.announce, "announce", nil, "address at which others can dial you, such as that of a port that your router forwards; may be repeated")
	flags.BoolVar(&o.offerRelay, "offer-relay", false, "relay for peers behind NATs, while this node can be dialled itself")
	flags.BoolVar(&o.mdns, "mdns", true, "find friends in your local network by multicast DNS, also without --join")
	flags.BoolVar(&o.plain, "plain", false, "lines instead of a window, also on a terminal")
	flags.BoolVar(&o.demo, "demo", false, "show the whole story in one process: 20 nodes, two chatters")
	return cmd
}

// check says what is wrong with o and what would be right, and fills in what
// follows from the rest.
func (o *options) check() error {
	if clean := cleanName(o.room); clean != o.room || clean == "" {
		return fmt.Errorf("--room %q: a room has 1 to %d letters, digits or signs, without spaces, ':' and '*', for example lobby", o.room, maxName)
	}
	if clean := cleanName(o.nick); clean != o.nick || clean == "" {
		return fmt.Errorf("--nick %q: a nick has 1 to %d letters, digits or signs, without spaces, ':' and '*', for example ann", o.nick, maxName)
	}
	if len(o.network) < 2 || o.network[0] != '/' || strings.HasSuffix(o.network, "/") || strings.ContainsAny(o.network, " \t\n") {
		return fmt.Errorf("--network %q: a network begins with a slash and does not end with one, for example /chat", o.network)
	}
	for _, addr := range o.listen {
		if _, err := multiaddr.NewMultiaddr(addr); err != nil {
			return fmt.Errorf("--listen %q is not an address to listen on, such as /ip4/0.0.0.0/tcp/4001: %w", addr, err)
		}
	}
	for _, addr := range o.announce {
		a, err := multiaddr.NewMultiaddr(addr)
		if err != nil {
			return fmt.Errorf("--announce %q is not an address to dial, such as /ip4/192.0.2.7/tcp/4001: %w", addr, err)
		}
		o.announced = append(o.announced, a)
	}
	if err := o.readSwarmKey(); err != nil {
		return err
	}
	if len(o.announce) > 0 && len(o.listen) > 0 && app.AllLoopback(o.listen) {
		return errors.New("--announce: nobody can dial what listens on a loopback address; leave --listen or --announce out")
	}
	if o.demo && len(o.join) > 0 {
		return errors.New("--demo brings its own network: leave --join out")
	}
	var err error
	if o.bootstrap, err = kad.ParseAddrs(o.join...); err != nil {
		return fmt.Errorf("--join: %s", strings.TrimPrefix(err.Error(), "kad: "))
	}
	return nil
}

// readSwarmKey reads the key of a private network, which works over TCP alone.
func (o *options) readSwarmKey() (err error) {
	if o.swarmKey == "" {
		return nil
	}
	if o.demo {
		return errors.New("--demo brings its own network: leave --swarm-key out")
	}
	if o.psk, err = swarmkey.Read(o.swarmKey); err != nil {
		return fmt.Errorf("--swarm-key: %w", err)
	}
	if len(o.listen) == 0 {
		o.listen = slices.DeleteFunc(app.Listen(), func(a string) bool { return !swarmkey.Carries(multiaddr.StringCast(a)) })
	}
	for _, a := range o.listen {
		if err := swarmkey.Refuse("--listen", []multiaddr.Multiaddr{multiaddr.StringCast(a)}); err != nil {
			return err
		}
	}
	return swarmkey.Refuse("--announce", o.announced)
}
