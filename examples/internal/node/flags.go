package node

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	golog "github.com/ipfs/go-log/v2"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/go-kad/kad/examples/internal/swarmkey"
	"github.com/go-kad/kad/examples/internal/version"
	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/amino"
)

// settings are what the flags come to, once they are known to make sense.
type settings struct {
	dht       kad.Config
	listen    []multiaddr.Multiaddr
	strict    bool           // listen was asked for: all of it must work
	data      string         // directory of the state; empty: none
	key       crypto.PrivKey // nil if it is in data
	api       string         // host:port
	apiAny    bool           // the API is for others than this machine
	token     string         // that the API asks for; empty: none
	routing   bool           // delegated routing is served by the API
	routingAt string         // host:port where it is served to strangers; empty: nowhere
	level     golog.LogLevel
	psk       pnet.PSK // of a private network; nil: none

	traversal    bool                 // be found and reached behind a NAT
	mdns         bool                 // be found in the local network
	reachability network.Reachability // that the host is told of itself; unknown: it finds out
}

// flags are the flags as they are given.
type flags struct {
	set *pflag.FlagSet

	network, mode, api, data, seed, log string
	swarmKey, routingAt, token          string
	reachability                        string
	listen, announce                    []string
	join, namespaces, sets              []string
	apiAny, traversal, offerRelay, mdns bool
	relayBytes                          int64
	routing, ipfsValidators             bool
	k, alpha                            int
}

// A usageError is a flag, or an argument, that makes no sense.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// Usage returns an error about flags or arguments: see [IsUsage].
func Usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

const (
	ipfsNetwork = "/ipfs" // the name of the public IPFS network
	aminoK      = 20
	maxK        = 32
	maxAlpha    = 128
	maxJoin     = 64
)

// command returns the command line: it parses and checks its flags, then calls serve.
func command(serve func(*cobra.Command, settings) error) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:           "node --network NAME [flags]",
		Short:         "Runs a node of a Kademlia network, with an HTTP API to drive it.",
		Version:       version.Read().String(),
		SilenceErrors: true, // run prints them, on one line
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Errorf("there is an argument %q: only flags are taken, see --help", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := f.settings()
			if err != nil {
				return &usageError{err}
			}
			return serve(cmd, s)
		},
	}
	cmd.SetVersionTemplate("node {{.Version}}\n")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return FlagError(err) })
	f.define(cmd.Flags())
	return cmd
}

// define declares the flags.
func (f *flags) define(set *pflag.FlagSet) {
	f.set = set
	set.SortFlags = false
	set.StringVar(&f.network, "network", "", "`NAME` of the network, such as /chat; "+ipfsNetwork+" is the public IPFS network (required)")
	set.StringArrayVar(&f.listen, "listen", []string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1"}, "`MULTIADDR` to listen on; repeatable")
	set.StringArrayVar(&f.announce, "announce", nil, "`MULTIADDR` at which others can dial the node, such as that of a port that a router forwards; repeatable; needs --traversal")
	set.StringArrayVar(&f.join, "join", nil, "`MULTIADDR/p2p/ID` of a bootstrap peer; repeatable; with --network "+ipfsNetwork+" they replace the public ones")
	set.StringVar(&f.mode, "mode", "auto", "`MODE`: server answers others, client only asks, auto is what fits the node's reachability")
	set.BoolVar(&f.traversal, "traversal", true, "be found and reached behind a NAT: relays, hole punching, port mapping; not if all of --listen is loopback")
	set.BoolVar(&f.offerRelay, "offer-relay", false, "be a relay for others while this node can be dialled")
	set.Int64Var(&f.relayBytes, "relay-bytes", 16<<20, "with --offer-relay: a relayed connection carries `N` bytes each way")
	set.BoolVar(&f.mdns, "mdns", true, "find nodes of the network in the local network by multicast DNS; needs --traversal")
	set.StringVar(&f.reachability, "reachability", "auto", "`WHAT` to take for granted instead of finding out: public or private; auto finds out")
	set.StringVar(&f.api, "api", "127.0.0.1:0", "`HOST:PORT` of the control API; it must be a loopback address unless --api-any is given")
	set.BoolVar(&f.apiAny, "api-any", false, "let --api be any address, and answer under any name; the page needs --api-token then")
	set.StringVar(&f.token, "api-token", "", "`FILE` whose first line the API and the page ask for, as a bearer token or a password: whoever has it controls the node")
	set.BoolVar(&f.routing, "routing-v1", false, "serve delegated routing under /routing/v1 of the API: providers, peers, IPNS, closest peers")
	set.StringVar(&f.routingAt, "routing-listen", "", "`HOST:PORT` to serve delegated routing to anybody, without the rest of the API: finding alone; others may reach it, unless it is a loopback address")
	set.BoolVar(&f.ipfsValidators, "ipfs-validators", false, "keep /pk and /ipns records, as "+ipfsNetwork+" does, in a network of any name")
	set.StringVar(&f.data, "data", "", "`DIR` to keep the identity, the records and the contacts of the node in; made if it does not exist")
	set.StringVar(&f.swarmKey, "swarm-key", "", "`FILE` with the key of a private network, such as swarm.key of Kubo: peers without it cannot connect; over TCP alone")
	set.StringVar(&f.seed, "identity-seed", "", "`TEXT` that the identity is made of, for tests: whoever knows it can be this node")
	set.StringArrayVar(&f.namespaces, "open-namespace", nil, "`NS` whose records are valid whatever they hold, the greatest bytes win; repeatable")
	set.StringArrayVar(&f.sets, "open-set", nil, "`NS` whose keys hold every value that is put under them, up to 64; repeatable")
	set.IntVar(&f.k, "k", aminoK, "replication parameter `N`, the same on all nodes of a network")
	set.IntVar(&f.alpha, "alpha", 10, "up to `N` requests in flight per lookup")
	set.StringVar(&f.log, "log", "warn", "`LEVEL` of the logs on stderr: debug, info, warn or error; libraries log errors alone, or all with debug")
}

// FlagError returns an error of the parser of flags as one of usage, which says what would
// be right.
func FlagError(err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return BadValue("--"+e.GetFlag().Name, e.GetValue(), e.GetFlag())
	}
	return Usage("%w: see --help for the flags", err)
}

// BadValue returns the error that a value is none for a flag, which the user knows by a name,
// such as that of a variable.
func BadValue(name, value string, f *pflag.Flag) error {
	use := map[string]string{
		"bool": "true or false", "duration": "a duration, such as 500ms, 10s or 2m",
		"int": "a whole number", "int64": "a whole number", "uint": "a whole number, 0 or more",
	}[f.Value.Type()]
	_, usage := pflag.UnquoteUsage(f)
	return Usage("%s is %q: use %s; it means: %s", name, value, use, usage)
}

// settings checks the flags. The error names all that is wrong.
func (f *flags) settings() (settings, error) {
	s := settings{api: f.api, apiAny: f.apiAny, routing: f.routing, routingAt: f.routingAt, strict: f.set.Changed("listen")}
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	check(f.checkNetwork())
	check(f.checkNumbers())
	check(f.checkAPI())
	check(f.setToken(&s))

	s.dht = kad.Config{Network: f.network}
	if f.network == ipfsNetwork {
		s.dht = amino.Config()
	}
	s.dht.K, s.dht.Alpha = f.k, f.alpha
	s.dht.OfferRelay, s.dht.Relay.Bytes = f.offerRelay, f.relayBytes
	check(f.setMode(&s.dht))
	check(f.setBootstrap(&s.dht))
	check(f.setValidators(&s.dht))

	var err error
	s.listen, err = addresses("--listen", f.listen, listenable)
	check(err)
	s.dht.AppendAnnounce, err = addresses("--announce", f.announce, dialable)
	check(err)
	check(f.setSwarmKey(&s))
	s.traversal = f.traversal && slices.ContainsFunc(s.listen, func(a multiaddr.Multiaddr) bool { return !manet.IsIPLoopback(a) })
	s.mdns = f.mdns && s.traversal
	s.reachability, err = f.knownReachability()
	check(err)
	if len(f.announce) > 0 && !s.traversal {
		check(errors.New("--announce is given, and what listens on loopback or has --traversal=false cannot announce: leave that out"))
	}
	s.data = f.data
	s.key, err = f.identity()
	check(err)
	s.level, err = golog.Parse(f.log)
	if err != nil || f.log == "" {
		check(fmt.Errorf("--log is %q: use debug, info, warn or error", f.log))
	}
	return s, errors.Join(errs...)
}

func (f *flags) checkNetwork() error {
	const after = "/kad/1.0.0"
	switch {
	case f.network == "":
		return fmt.Errorf("--network is missing: name your network, such as --network /chat, or use %s for the public IPFS network", ipfsNetwork)
	case !strings.HasPrefix(f.network, "/") || strings.HasSuffix(f.network, "/"):
		return fmt.Errorf("--network is %q: it begins with a slash and does not end with one, such as /chat", f.network)
	case strings.HasSuffix(f.network, after):
		return fmt.Errorf("--network is %q: leave %s out, it is added", f.network, after)
	}
	return nil
}

func (f *flags) checkNumbers() error {
	switch {
	case f.k < 1 || f.k > maxK:
		return fmt.Errorf("--k is %d: use 1 to %d", f.k, maxK)
	case f.network == ipfsNetwork && f.k != aminoK:
		return fmt.Errorf("--k is %d: on %s all nodes use %d, leave it out", f.k, ipfsNetwork, aminoK)
	case f.alpha < 1 || f.alpha > maxAlpha:
		return fmt.Errorf("--alpha is %d: use 1 to %d", f.alpha, maxAlpha)
	case f.relayBytes < 1:
		return fmt.Errorf("--relay-bytes is %d: use 1 or more, such as 131072", f.relayBytes)
	}
	return nil
}

func (f *flags) checkAPI() error {
	host, port, err := net.SplitHostPort(f.api)
	if err != nil || !isPort(port) {
		return fmt.Errorf("--api is %q: use HOST:PORT, such as 127.0.0.1:5001, or port 0 for a free one", f.api)
	}
	if f.set.Changed("routing-listen") {
		if _, port, err := net.SplitHostPort(f.routingAt); err != nil || !isPort(port) {
			return fmt.Errorf("--routing-listen is %q: use HOST:PORT, such as 0.0.0.0:8080, or port 0 for a free one", f.routingAt)
		}
	}
	if !f.apiAny && !isLoopback(host) {
		return fmt.Errorf("--api is %q, which others may reach: use a loopback address such as 127.0.0.1:%s, or give --api-any too", f.api, port)
	}
	return nil
}

// setToken has the API ask for a token.
func (f *flags) setToken(s *settings) (err error) {
	if !f.set.Changed("api-token") {
		return nil
	}
	if s.token, err = ReadToken(f.token); err != nil {
		return fmt.Errorf("--api-token: %w", err)
	}
	return nil
}

// isPort reports whether a text is the number of a port.
func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// isLoopback reports whether a host name means this machine, whatever a name
// server says.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (f *flags) setMode(cfg *kad.Config) error {
	for _, m := range []kad.Mode{kad.ModeAuto, kad.ModeClient, kad.ModeServer} {
		if m.String() == f.mode {
			cfg.Mode = m
			return nil
		}
	}
	return fmt.Errorf("--mode is %q: use auto, server or client", f.mode)
}

// knownReachability returns what the host is told of itself.
func (f *flags) knownReachability() (network.Reachability, error) {
	switch f.reachability {
	case "auto":
		return network.ReachabilityUnknown, nil
	case "public":
		return network.ReachabilityPublic, nil
	case "private":
		return network.ReachabilityPrivate, nil
	default:
		return network.ReachabilityUnknown, fmt.Errorf("--reachability is %q: use auto, public or private", f.reachability)
	}
}

func (f *flags) setBootstrap(cfg *kad.Config) error {
	if len(f.join) == 0 {
		return nil
	}
	peers, err := kad.ParseAddrs(f.join...)
	if err != nil {
		return fmt.Errorf("--join: %s", strings.TrimPrefix(err.Error(), "kad: "))
	}
	if len(peers) > maxJoin {
		return fmt.Errorf("--join names %d peers: use up to %d", len(peers), maxJoin)
	}
	cfg.Bootstrap = peers
	return nil
}

func (f *flags) setValidators(cfg *kad.Config) error {
	if f.ipfsValidators {
		cfg.Validators = amino.Config().Validators
	}
	for _, open := range []struct {
		flag       string
		namespaces []string
		validator  record.Validator
	}{{"--open-namespace", f.namespaces, openValidator{}}, {"--open-set", f.sets, openSet{}}} {
		if len(open.namespaces) > 0 && f.network == ipfsNetwork {
			return fmt.Errorf("%s is given: others on %s keep /pk and /ipns records only; leave it out, or use a network of your own", open.flag, ipfsNetwork)
		}
		for _, ns := range open.namespaces {
			if ns == "" || strings.Contains(ns, "/") {
				return fmt.Errorf("%s is %q: use a name without slashes, such as v for the keys below /v/", open.flag, ns)
			}
			if other := cfg.Validators[ns]; other != nil && other != open.validator {
				return fmt.Errorf("%s %s: its keys have another validator by --open-namespace or --ipfs-validators; give it one of them", open.flag, ns)
			}
			if cfg.Validators == nil {
				cfg.Validators = make(map[string]record.Validator)
			}
			cfg.Validators[ns] = open.validator
		}
	}
	return nil
}

// setSwarmKey has the node take part in a private network. It then listens on TCP alone,
// unless it was told otherwise, which is an error.
func (f *flags) setSwarmKey(s *settings) (err error) {
	if !f.set.Changed("swarm-key") {
		return nil
	}
	if f.network == ipfsNetwork && len(f.join) == 0 {
		return fmt.Errorf("--swarm-key: the public peers of %s have no such key: name the peers of your network with --join", ipfsNetwork)
	}
	if s.psk, err = swarmkey.Read(f.swarmKey); err != nil {
		return fmt.Errorf("--swarm-key: %w", err)
	}
	if !s.strict {
		s.listen = slices.DeleteFunc(s.listen, func(a multiaddr.Multiaddr) bool { return !swarmkey.Carries(a) })
	}
	return errors.Join(swarmkey.Refuse("--listen", s.listen), swarmkey.Refuse("--announce", s.dht.AppendAnnounce))
}

// identity returns the key of the node: made of the seed, or a new one.
func (f *flags) identity() (crypto.PrivKey, error) {
	switch {
	case f.set.Changed("data") && f.set.Changed("identity-seed"):
		return nil, errors.New("--identity-seed and --data are both given: the identity is kept in --data, leave the seed out")
	case f.set.Changed("data") && f.data == "":
		return nil, errors.New("--data is empty: give it a directory, or leave it out to keep everything in memory")
	case f.set.Changed("data"):
		return nil, nil //nolint:nilnil // it is in the directory, which is opened later
	case f.set.Changed("identity-seed") && f.seed == "":
		return nil, errors.New("--identity-seed is empty: give it a text, or leave it out for a new identity")
	case f.seed == "":
		key, _, err := crypto.GenerateEd25519Key(nil) // from the system's randomness
		return key, err
	default:
		seed := sha256.Sum256([]byte(f.seed))
		return crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
	}
}
