// Package node is the program examples/node, for programs that run a node as well: its
// flags, its host, and its API. The comment of examples/node has the contract.
package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"syscall"
	"time"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/gologshim"
	"github.com/spf13/cobra"

	"github.com/go-kad/kad/examples/internal/lan"
)

// Run is the program examples/node without the process: it returns the exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := Command()
	cmd.SetArgs(append([]string{}, args...)) // nil would mean the arguments of the process
	cmd.SetOut(stdout)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, "node:", OneLine(err))
	if IsUsage(err) {
		return 2
	}
	return 1
}

// Command returns the program examples/node as a command. It runs a node until the context
// of the command ends. Its errors are for the caller to print.
func Command() *cobra.Command {
	return command(func(cmd *cobra.Command, s settings) error {
		setLogging(s.level)
		return serve(cmd.Context(), s, cmd.OutOrStdout())
	})
}

// serve runs a node until ctx ends.
func serve(ctx context.Context, s settings, stdout io.Writer) error {
	n, err := open(ctx, s)
	if err != nil {
		return err
	}
	if host, _, _ := net.SplitHostPort(s.api); !isLoopback(host) && s.token == "" {
		golog.Logger("kad").Warnw("whoever reaches the API controls the node: give it --api-token FILE", "api", s.api)
	}
	if err = n.announce(stdout); err == nil {
		select {
		case <-ctx.Done():
		case err = <-n.failed:
		}
	}
	n.Close()
	return err
}

// A Node is a node that runs in this process, with its API.
type Node struct {
	*node

	api     net.Addr
	routing net.Addr // of delegated routing for strangers; nil: there is none
	server  *server
	failed  chan error // why the API is not served any more
	leave   func()     // ends the search in the local network
}

// Start runs a node in this process, as Command does with args, and returns when it listens
// and serves the API. It logs nothing of its own.
func Start(ctx context.Context, args []string) (*Node, error) {
	var n *Node
	cmd := command(func(_ *cobra.Command, s settings) (err error) {
		setLogging(s.level)
		n, err = open(ctx, s)
		return err
	})
	cmd.SetArgs(append([]string{}, args...))
	err := cmd.ExecuteContext(ctx)
	return n, err
}

// open starts a node. It ends when it is closed, not with ctx.
func open(ctx context.Context, s settings) (*Node, error) {
	if err := openData(&s); err != nil {
		return nil, err
	}
	listener, err := listenHTTP(ctx, "--api", s.api)
	if err != nil {
		return nil, err
	}
	var routing net.Listener
	if s.routingAt != "" {
		if routing, err = listenHTTP(ctx, "--routing-listen", s.routingAt); err != nil {
			_ = listener.Close()
			return nil, err
		}
	}
	h, d, err := newNode(s)
	if err != nil {
		_ = listener.Close()
		if routing != nil {
			_ = routing.Close()
		}
		return nil, err
	}
	n := &node{host: h, dht: d, settings: s, started: time.Now()}
	running := &Node{node: n, api: listener.Addr(), server: newServer(ctx, n), failed: make(chan error, 2), leave: func() {}}
	if s.mdns {
		if stop, err := lan.Meet(h, s.dht.Network); err == nil { // without it, nodes are found through the DHT alone
			running.leave = stop
		}
	}
	go func() { running.failed <- running.server.api.Serve(listener) }()
	if routing != nil {
		running.routing = routing.Addr()
		go func() { running.failed <- running.server.routing.Serve(routing) }()
	}
	return running, nil
}

// listenHTTP listens for HTTP at the address that a flag gives.
func listenHTTP(ctx context.Context, flag, at string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: another program listens on %s: choose another port, or 0 for any", flag, at)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return l, nil
}

// URL returns the URL of the API, under an address that can be dialled.
func (n *Node) URL() string { return urlOf(n.api) }

// urlOf returns the URL of what listens at an address; empty if that is nil.
func urlOf(at net.Addr) string {
	if at == nil {
		return ""
	}
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		at = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}
	}
	return "http://" + at.String()
}

// ID returns the peer ID of the node.
func (n *Node) ID() peer.ID { return n.host.ID() }

// Addrs returns the addresses to join the node at, each with its ID.
func (n *Node) Addrs() []string {
	addrs, _ := n.addrs()
	return addrs
}

// Close ends the node within 5 s: up to 2 s of that it hands over what it holds.
func (n *Node) Close() {
	within(stopTimeout, func() {
		n.leave()
		n.server.stop()
		leaving, cancel := context.WithTimeout(context.Background(), leaveTimeout)
		defer cancel()
		_ = n.dht.Leave(leaving)
		_ = n.host.Close()
	})
}

// stopTimeout bounds the end of a node: what hangs then is left to the end of
// the process. It is less than the 5 s that are promised.
const stopTimeout = 4 * time.Second

// leaveTimeout bounds the part of it in which the node hands its records over.
const leaveTimeout = 2 * time.Second

// within runs f, but does not wait for it longer than d.
func within(d time.Duration, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}

// announce prints the line that says that the node is up, and where.
func (n *Node) announce(stdout io.Writer) error {
	addrs, err := n.addrs()
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(struct {
		ID      string   `json:"id"`
		Addrs   []string `json:"addrs"`
		API     string   `json:"api"`
		Routing string   `json:"routing,omitempty"`
	}{n.host.ID().String(), addrs, n.URL(), urlOf(n.routing)})
}

// addrs returns the addresses of the node, each with its ID.
func (n *node) addrs() ([]string, error) {
	addrs, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()})
	return texts(addrs), err
}

// environment is what the GOLOG variables say of the logs, also of single loggers.
var environment = golog.GetConfig() //nolint:gochecknoglobals // it is read once: later, it has what setLogging says

// setLogging sends all logs to stderr. Of the libraries, these are errors alone, unless the level
// is debug, so that the lines of the node are not lost among theirs; what keeps a host of libp2p
// from its start is an error of the node, which has a line of its own.
func setLogging(level golog.LogLevel) {
	cfg := environment
	cfg.Level = level
	if level > golog.LevelDebug {
		cfg.Level = golog.LevelError
		levels := map[string]golog.LogLevel{"kad": level, "p2p-config": golog.LevelFatal}
		maps.Copy(levels, cfg.SubsystemLevels)
		cfg.SubsystemLevels = levels
	}
	cfg.Stdout, cfg.Stderr = false, true
	golog.SetupLogging(cfg)
	gologshim.SetDefaultHandler(golog.SlogHandler())
}

// IsUsage reports whether err is about flags that make no sense.
func IsUsage(err error) bool { return isA[*usageError](err) }

// OneLine returns the text of err for a user of the program: see inFlags.
func OneLine(err error) string { return inFlags(err.Error()) }

// inFlags returns a text of the library without line breaks, what indents lines, and the name
// of the library. What the library calls its Config has the names of our flags.
func inFlags(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimPrefix(strings.Trim(line, " \t\r\n*"), "kad: "))
	}
	return strings.NewReplacer(
		": kad: ", ": ",
		"set Config.Bootstrap, or connect the host to a peer of this network", "use --join, or POST /v1/connect with the address of a peer of this network",
		"in Config.Validators", "(--open-namespace adds one; --ipfs-validators, those of pk and ipns)",
		"libp2p.PrivateNetwork", "--swarm-key",
		"Config.Dir", "--data", "Config.", "",
	).Replace(strings.Join(lines, "; "))
}
