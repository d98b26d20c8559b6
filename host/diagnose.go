package host

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autonat"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/protocol"
)

const (
	// maxAskedOfUs is how many of the peers closest to us a diagnosis asks for us.
	maxAskedOfUs = 5

	// diagnoseTimeout bounds asking them.
	diagnoseTimeout = 10 * time.Second
)

// A Diagnosis says how well a node can be found and reached, and why.
type Diagnosis struct {
	// Reachability is what is known of whether others can dial the host, and
	// ReachabilitySource who says so, in words.
	Reachability       network.Reachability
	ReachabilitySource string

	// Reachable, Unreachable and Unverified are the addresses of the host that
	// AutoNAT v2 has, or has not yet, found out about. They are empty without it.
	Reachable, Unreachable, Unverified []multiaddr.Multiaddr

	Mode       Mode // ModeServer or ModeClient
	ModeReason string

	// NAT is how the router maps ports, as far as the host has found out, which takes
	// nine observations and a minute: EndpointDependent, if it is so for TCP or for UDP,
	// makes hole punching fail with most others.
	NAT network.NATDeviceType

	// Relays are the relays that the host has a reservation with, Addrs the addresses
	// that it announces.
	Relays []peer.ID
	Addrs  []multiaddr.Multiaddr

	// Asked is how many of the peers closest to us have answered where we are, and
	// Told how many of them named an address that we announce now.
	Asked, Told int

	// NotReady is why lookups do not work; nil if they do.
	NotReady error

	// Advice says what would improve it, each in a sentence. It is empty if all is
	// well.
	Advice []string
}

// String returns the diagnosis as lines of text.
func (g Diagnosis) String() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-13s %s\n", name+":", fmt.Sprintf(format, args...))
	}
	line("reachability", "%s (%s)", strings.ToLower(g.Reachability.String()), g.ReachabilitySource)
	line("mode", "%s: %s", g.Mode, g.ModeReason)
	line("NAT", "%s", strings.ToLower(g.NAT.String()))
	line("relays", "%s", list(g.Relays))
	line("addresses", "%s", list(g.Addrs))
	line("found by", "%d of %d of the closest peers that were asked", g.Told, g.Asked)
	if g.NotReady != nil {
		line("not ready", "%s", strings.ReplaceAll(g.NotReady.Error(), "\n", "; "))
	}
	for _, advice := range g.Advice {
		line("advice", "%s", advice)
	}
	return b.String()
}

// list returns items on a line.
func list[T fmt.Stringer](items []T) string {
	if len(items) == 0 {
		return "none"
	}
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = item.String()
	}
	return strings.Join(texts, ", ")
}

// Diagnose says how well the node can be found and reached. It asks up to 5 of the
// peers closest to us where we are, which takes as long as ctx, at most 10s. The error is
// [ErrClosed] or the cause of ctx; that lookups do not work is part of the diagnosis.
func (d *DHT) Diagnose(ctx context.Context) (Diagnosis, error) {
	ctx, end := d.begin(ctx)
	defer end()
	if ctx.Err() != nil {
		return Diagnosis{}, context.Cause(ctx)
	}
	g := Diagnosis{Relays: d.relays.holds(), Addrs: d.host.Addrs()}
	g.Mode, g.ModeReason = d.mode.current()
	around := d.mode.surroundings()
	g.Reachability, g.ReachabilitySource = around.verdict(teller(d.host))
	if h, ok := d.host.(interface {
		ConfirmedAddrs() (reachable, unreachable, unknown []multiaddr.Multiaddr)
	}); ok {
		g.Reachable, g.Unreachable, g.Unverified = h.ConfirmedAddrs()
	}
	g.NAT = d.nat.worst()
	if d.peers.isLive() {
		g.Asked, g.Told = d.askForUs(ctx, g.Mode, g.Addrs)
	} else {
		g.NotReady = d.notReady(nil)
	}
	if ctx.Err() != nil {
		return g, context.Cause(ctx)
	}
	g.Advice = d.advice(g, around)
	return g, nil
}

// verdict returns what is known of whether others can dial the host, and who says so;
// teller is whose word the reachability is.
func (s surroundings) verdict(teller string) (network.Reachability, string) {
	switch {
	case s.reachability == network.ReachabilityPublic:
		return s.reachability, teller
	case s.confirmed:
		return network.ReachabilityPublic, "AutoNAT v2 has confirmed an address"
	case s.reachability == network.ReachabilityPrivate:
		return s.reachability, teller
	case s.denied:
		return network.ReachabilityPrivate, "AutoNAT v2 has found each address to be unreachable"
	case s.publicListen:
		return network.ReachabilityUnknown, "nobody has checked it; the host listens on a public IPv4 address"
	case !s.dialled.IsZero():
		return network.ReachabilityUnknown, "nobody has checked it; a stranger on the public internet has reached the host"
	default:
		return network.ReachabilityUnknown, "nobody has checked it"
	}
}

// teller returns in words who tells a host its reachability, as far as that can be seen.
func teller(h lhost.Host) string {
	if has, ok := h.(interface{ GetAutoNat() autonat.AutoNAT }); ok {
		switch has.GetAutoNat().(type) {
		case *autonat.StaticAutoNAT:
			return "it was set: libp2p.ForceReachabilityPublic or ForceReachabilityPrivate"
		case *autonat.AmbientAutoNAT:
			return "AutoNAT v1 says so"
		}
	}
	return "the host says so: AutoNAT v1, or it was set"
}

// askForUs asks the peers closest to us where we are. Of a client, what counts is
// what they have stored: they know the address of whoever asks.
func (d *DHT) askForUs(ctx context.Context, mode Mode, ours []multiaddr.Multiaddr) (asked, told int) {
	ctx, cancel := context.WithTimeout(ctx, diagnoseTimeout)
	defer cancel()
	closest, err := d.closestBy(0)(ctx, []byte(d.self), nil)
	if err != nil {
		log.Debugw("diagnose", "error", err)
		return 0, 0
	}
	requests := []protocol.Request{protocol.GetProviders{Key: []byte(d.self)}}
	if mode == ModeServer {
		requests = append(requests, protocol.FindNode{Target: []byte(d.self)})
	}
	var (
		mu  sync.Mutex
		all errgroup.Group
		who = newCaller()
	)
	for _, c := range closest[:min(len(closest), maxAskedOfUs)] {
		all.Go(func() error {
			answered, named := false, false
			for _, req := range requests {
				resp, err := d.request(ctx, who, c.ID, req, nil)
				answered = answered || err == nil
				named = named || err == nil && tells(resp, d.self, ours)
			}
			mu.Lock()
			defer mu.Unlock()
			if answered {
				asked++
			}
			if named {
				told++
			}
			return nil
		})
	}
	_ = all.Wait()
	return asked, told
}

// tells reports whether an answer names a peer with one of these addresses.
func tells(resp protocol.Response, id peer.ID, addrs []multiaddr.Multiaddr) bool {
	return slices.ContainsFunc(slices.Concat(resp.Closer, resp.Providers), func(p protocol.Peer) bool {
		return p.ID == id && slices.ContainsFunc(p.Addrs, func(a multiaddr.Multiaddr) bool {
			return slices.ContainsFunc(addrs, a.Equal)
		})
	})
}

// advice returns what would improve a diagnosis.
func (d *DHT) advice(g Diagnosis, around surroundings) []string {
	var advice []string
	if g.NotReady != nil {
		advice = append(advice, "Join the network: set Config.Bootstrap, or connect the host to a peer of this network.")
	}
	if len(g.Addrs) == 0 {
		advice = append(advice, "The host announces no address: let it listen on one.")
	}
	if !around.publicPeer {
		return advice // on a private network, all is well with that
	}
	if hidden := d.needsRelay(); hidden {
		advice = append(advice, d.hiddenAdvice(g)...)
	}
	if g.Asked > 0 && g.Told == 0 {
		advice = append(advice, "None of the closest peers names us with an address that is announced now: others cannot find this node yet. That takes some seconds after a change of addresses.")
	}
	return advice
}

// hiddenAdvice returns what would improve matters for a host that cannot be dialled.
func (d *DHT) hiddenAdvice(g Diagnosis) []string {
	advice := []string{"Let others dial this host: forward a port of the router to it, or enable UPnP or NAT-PMP there."}
	d.relays.mu.Lock()
	asked := d.relays.asked
	d.relays.mu.Unlock()
	switch {
	case len(g.Relays) > 0:
	case !asked:
		advice = append(advice, "AutoRelay does not ask the DHT for relays, or has not begun to: pass Traversal, or libp2p.EnableAutoRelayWithPeerSource with DHT.RelaySource.")
	default:
		advice = append(advice, "No relay was found: run a node with a public address and Config.OfferRelay.")
	}
	for _, lacks := range CheckTraversal(d.host) {
		advice = append(advice, strings.ToUpper(lacks[:1])+lacks[1:]+".")
	}
	if g.NAT == network.NATDeviceTypeEndpointDependent {
		advice = append(advice, "The router uses another port for each peer, so that hole punching fails with most of those who are behind one too: they stay relayed.")
	}
	return advice
}

// natTypes is what the host has found out about its NAT, by the label of the
// transport. go-libp2p v0.51.0 confuses the two labels, so they are only told apart.
type natTypes struct {
	mu    sync.Mutex
	types map[network.NATTransportProtocol]network.NATDeviceType
}

// found takes in what the host has found out.
func (n *natTypes) found(label network.NATTransportProtocol, t network.NATDeviceType) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.types == nil {
		n.types = make(map[network.NATTransportProtocol]network.NATDeviceType)
	}
	n.types[label] = t
}

// worst returns the less favourable of the types that are known.
func (n *natTypes) worst() network.NATDeviceType {
	n.mu.Lock()
	defer n.mu.Unlock()
	worst := network.NATDeviceTypeUnknown
	for _, t := range n.types {
		worst = max(worst, t)
	}
	return worst
}
