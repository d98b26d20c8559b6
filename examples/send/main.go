// Command send sends a file of any size to a peer, of which the ID is all that has to be known.
//
//	go run ./examples/send --receive DIR
//	go run ./examples/send FILE PEER --join /ip4/192.0.2.7/tcp/4001/p2p/12D3Koo...
//
// The first waits for files, and prints what a friend types to send one. The address that
// --join wants is that of any one peer of the network. The receiver is asked before a file is
// taken, unless its sender is named with --from, or --yes takes all.
//
// Behind a NAT, nothing has to be configured. The file goes over a direct connection if there can
// be one, and over a relay else. It goes on when connections break and when one of both
// moves to another network; and after an end of one of the programs, the same commands go on
// where it was: the receiver keeps what it has in DIR/NAME.part. At the end, both compare the
// SHA-256 of the whole file. No file is overwritten.
//
// To read on: sender.go and receiver.go are the two sides, offer.go is what they say to each
// other. The work is done by two packages: kad.DHT.Connect finds the peer, and
// host/carry/resume has the stream that goes on.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/go-kad/kad/examples/internal/app"
	"github.com/go-kad/kad/examples/internal/lan"
	"github.com/go-kad/kad/examples/internal/version"
	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/carry/resume"
)

// window is how much of a file is on its way: 8 MiB reach 80 MB/s at a round trip of 100 ms.
const window = 8 << 20

func main() {
	app.Quieten()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stderr))
}

// options are what the command line says.
type options struct {
	file, to          string
	receive           string // the directory; empty: send
	network, identity string
	listen, join      []string
	from              []string
	yes, once, mdns   bool
	patience          time.Duration

	peer      peer.ID         // to, parsed
	senders   []peer.ID       // from, parsed
	bootstrap []peer.AddrInfo // join, parsed
}

// run is the program without its process. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, out io.Writer) int {
	var failed error // what went wrong after the command line was understood
	cmd := newCommand(func(o options) {
		failed = start(ctx, o, stdin, out)
	})
	return app.Run(cmd, args, out, out, &failed)
}

// newCommand returns the command line. What it returns errors for is a mistake of the user;
// begin is called if there is none.
func newCommand(begin func(options)) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "send FILE PEER | send --receive DIR",
		Short:         "Send a file to a peer, wherever it is",
		Version:       version.Read().String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := o.check(args); err != nil {
				return err
			}
			begin(o)
			return nil
		},
	}
	cmd.SetVersionTemplate("send {{.Version}}\n")
	cmd.CompletionOptions.DisableDefaultCmd = true
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.receive, "receive", "", "wait for files, and put them into this directory")
	flags.StringArrayVar(&o.join, "join", nil, "address of any peer of the network, /ip4/.../p2p/ID; may be repeated")
	flags.StringArrayVar(&o.from, "from", nil, "ID of a peer whose files are taken without a question; may be repeated")
	flags.BoolVar(&o.yes, "yes", false, "take files of all peers without a question")
	flags.BoolVar(&o.once, "once", false, "end when one file has been received")
	flags.StringVar(&o.identity, "identity", "", "file with the key of this peer, which is made if it is not there: the ID stays the same")
	flags.StringVar(&o.network, "network", "/chat", "name of the network")
	flags.StringArrayVar(&o.listen, "listen", nil, "address to listen on; may be repeated (default "+strings.Join(app.Listen(), ", ")+")")
	flags.BoolVar(&o.mdns, "mdns", true, "find the other peer in your local network by multicast DNS, also without --join")
	flags.DurationVar(&o.patience, "patience", 2*time.Minute, "how long to look for the other peer, at the beginning and after a break")
	return cmd
}

// check says what is wrong with o and what would be right, and fills in what follows from the
// rest.
func (o *options) check(args []string) (err error) {
	switch {
	case o.receive != "" && len(args) > 0:
		return fmt.Errorf("%q is one argument too many: --receive DIR waits for files, FILE PEER sends one", args[0])
	case o.receive == "" && len(args) != 2:
		return errors.New("what is to be sent, and to which peer? Use send FILE PEER, or send --receive DIR to wait for files")
	case o.receive == "":
		o.file, o.to = args[0], args[1]
		if o.peer, err = peer.Decode(o.to); err != nil {
			return fmt.Errorf("%q is no ID of a peer, such as 12D3KooW...: send --receive prints it", o.to)
		}
		if len(o.from) > 0 || o.yes || o.once {
			return errors.New("--from, --yes and --once go with --receive")
		}
	}
	for _, id := range o.from {
		sender, err := peer.Decode(id)
		if err != nil {
			return fmt.Errorf("--from %q is no ID of a peer: send --receive prints that of its own", id)
		}
		o.senders = append(o.senders, sender)
	}
	if o.patience <= 0 {
		return fmt.Errorf("--patience %v: use more than 0, for example 2m", o.patience)
	}
	if o.bootstrap, err = kad.ParseAddrs(o.join...); err != nil {
		return fmt.Errorf("--join: %s", strings.TrimPrefix(err.Error(), "kad: "))
	}
	return nil
}

// start joins the network, and sends or receives.
func start(ctx context.Context, o options, stdin io.Reader, out io.Writer) error {
	var file *os.File
	if o.receive == "" {
		var err error
		if file, err = openFile(o.file); err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // it is read
	} else if err := os.MkdirAll(o.receive, 0o700); err != nil {
		return err
	}
	host, dht, err := newNode(o)
	if err != nil {
		return err
	}
	defer host.Close() //nolint:errcheck // at the end
	defer dht.Close()  //nolint:errcheck // at the end
	if o.mdns && (len(o.listen) == 0 || !app.AllLoopback(o.listen)) {
		if stop, err := lan.Meet(host, o.network); err == nil { // without it, the DHT has to do
			defer stop()
		}
	}
	cfg := resume.Config{
		Patience: o.patience,
		Window:   window,
		Connect: func(ctx context.Context, id peer.ID) error {
			_, err := dht.Connect(ctx, id)
			return err
		},
	}
	if o.receive == "" {
		return send(ctx, o, file, resume.New(host, protocol, cfg), out)
	}
	r := newReceiver(ctx, o, stdin, out)
	cfg.Accept = r.accept
	endpoint := resume.New(host, protocol, cfg)
	defer endpoint.Close() //nolint:errcheck // it returns none, and ends after ctx
	r.invite(host)
	select {
	case <-ctx.Done():
	case <-r.done:
	}
	return nil
}

// newNode makes a host that listens, and a DHT on it.
func newNode(o options) (lhost.Host, *kad.DHT, error) {
	var opts []libp2p.Option
	if o.identity != "" {
		key, err := kad.LoadIdentity(o.identity)
		if err != nil {
			return nil, nil, err
		}
		opts = append(opts, libp2p.Identity(key))
	}
	return app.Node(o.listen, kad.Config{Network: o.network, Bootstrap: o.bootstrap}, opts...)
}
