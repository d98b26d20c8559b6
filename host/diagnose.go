package host

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// maxAskedOfUs is how many of the closest peers a diagnosis asks for this node.
	maxAskedOfUs = 5

	// diagnoseTimeout bounds asking them.
	diagnoseTimeout = 10 * time.Second
)

// A Diagnosis says how well a node can be found and reached, and why.
type Diagnosis struct {
	// Reachability says whether other peers can dial the host, as far as it is known;
	// ReachabilitySource says in words how that is known.
	Reachability       network.Reachability
	ReachabilitySource string

	// Reachable, Unreachable and Unverified are the addresses of the host, by what AutoNAT v2
	// has found out about them; Unverified are those that it has not checked yet. They are
	// empty without AutoNAT v2.
	Reachable, Unreachable, Unverified []multiaddr.Multiaddr

	Mode       Mode // ModeServer or ModeClient
	ModeReason string

	// NATTCP and NATUDP say how the router maps ports, as far as the host has found out, which
	// takes connections to two public peers. NAT is the less favourable of both.
	// EndpointDependent means that hole punching fails with most other peers of this kind.
	NAT, NATTCP, NATUDP network.NATDeviceType

	// Filtering says which peers the router, or a firewall, lets in, as far as it is known.
	Filtering Filtering

	// UDPBlocked means that peers are reached over TCP only, and that no probe of their UDP
	// ports was answered. SmallMTU means that small probes were answered, and none of the size
	// with which QUIC begins.
	UDPBlocked, SmallMTU bool

	// ClockOff is how far the clock of this machine is ahead of the clocks of its peers, at
	// least, if lookups do not work for that reason; negative if it is behind; else 0.
	ClockOff time.Duration

	// Offline means that no peer answers any more: the machine seems to have lost its network.
	Offline bool

	// Relays are the relays that have a reservation for the host, and that answer. Addrs are
	// the addresses that the host announces.
	Relays []peer.ID
	Addrs  []multiaddr.Multiaddr

	// Asked is how many of the 5 peers closest to this node have answered a request for
	// its addresses, and Told how many of these named an address that it announces now.
	Asked, Told int

	// NotReady is why lookups do not work; nil if they do.
	NotReady error

	// Advice has sentences that say what would improve the diagnosis, what helps most
	// first. It is empty if all is well.
	Advice []string
}

// Filtering says which peers a router, or a firewall, lets in.
type Filtering uint8

const (
	// FilteringUnknown means that it is not known.
	FilteringUnknown = Filtering(reach.FilteringUnknown)

	// FilteringNone means that a peer has connected which the host had not dialled.
	FilteringNone = Filtering(reach.FilteringNone)

	// FilteringDialled means that other peers could not connect. Only a peer that the host
	// dials as well gets through, so that hole punching is necessary.
	FilteringDialled = Filtering(reach.FilteringDialled)
)

// String returns unknown, none, or dialled peers only.
func (f Filtering) String() string {
	switch f {
	case FilteringNone:
		return "none"
	case FilteringDialled:
		return "dialled peers only"
	default:
		return "unknown"
	}
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
	line("filtering", "%s", g.Filtering)
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
// peers closest to it for its addresses, and where no peer was reached over UDP, it sends some
// probes to QUIC servers; which takes as long as ctx, at most 15s. The error
// is [ErrClosed] or the cause of ctx; that lookups do not work is part of the diagnosis.
func (d *DHT) Diagnose(ctx context.Context) (Diagnosis, error) {
	ctx, end, err := d.tasks.Begin(ctx)
	if err != nil {
		return Diagnosis{}, err
	}
	defer end()
	if ctx.Err() != nil {
		return Diagnosis{}, context.Cause(ctx)
	}
	g := Diagnosis{
		Relays: answering(ctx, d.call, d.relay.Held()), Addrs: d.host.Addrs(),
		Filtering: Filtering(d.reach.Filtering()),
	}
	g.NATTCP, g.NATUDP, g.NAT = d.reach.NAT()
	g.Mode, g.ModeReason = d.Mode()
	g.Reachability, g.ReachabilitySource = d.reach.Verdict()
	if h, ok := d.host.(interface {
		ConfirmedAddrs() (reachable, unreachable, unknown []multiaddr.Multiaddr)
	}); ok {
		g.Reachable, g.Unreachable, g.Unverified = h.ConfirmedAddrs()
	}
	if d.table.Single() {
		g.ModeReason += "; it is the only server of its network"
	}
	if d.table.Live() {
		g.Asked, g.Told = d.askForUs(ctx, g.Mode, g.Addrs)
	} else if !d.table.Single() {
		g.NotReady = public(d.table.NotReady(nil))
	}
	if ctx.Err() != nil {
		return g, context.Cause(ctx)
	}
	lost, _ := d.table.Offline()
	g.Offline = lost || g.NotReady == nil && g.Asked == 0 && !d.table.Single()
	g.ClockOff = clockOff(g.NotReady)
	if !g.Offline && d.reach.Public() && d.reach.NeedsRelay() {
		g.UDPBlocked, g.SmallMTU = lacksUDP(overTCPAlone(d.host), func(servers []netip.AddrPort) (small, full bool) {
			return reach.ProbeUDP(ctx, servers)
		})
	}
	g.Advice = advice(d, g)
	return g, nil
}

// clockOff returns how far the clock of this host is off, if that is in an error.
func clockOff(err error) time.Duration {
	if clock, ok := errors.AsType[*kaderr.ClockError](err); ok {
		return clock.Off
	}
	return 0
}

// answering returns the relays that answer.
func answering(ctx context.Context, by *call.Caller, relays []peer.ID) []peer.ID {
	answers := make([]bool, len(relays))
	_ = tasks.Each(ctx, max(1, len(relays)), slices.Values(relays), func(ctx context.Context, id peer.ID) error {
		_, answers[slices.Index(relays, id)] = by.RelayAnswers(ctx, id, 1)
		return nil
	})
	return slices.DeleteFunc(slices.Clone(relays), func(id peer.ID) bool { return !answers[slices.Index(relays, id)] })
}

// askForUs asks the peers closest to this node for its addresses, and returns how many
// answered, and how many of them named one of addrs. Of a client, the presence counts:
// FIND_NODE would return the address of the connection over which it asks.
func (d *DHT) askForUs(ctx context.Context, mode Mode, addrs []multiaddr.Multiaddr) (asked, named int) {
	ctx, cancel := context.WithTimeout(ctx, diagnoseTimeout)
	defer cancel()
	self := d.host.ID()
	closest, err := d.lookup.Closest(0)(ctx, []byte(self), nil)
	if err != nil {
		log.Debugw("diagnose", "error", err) // some may have answered
	}
	requests := []protocol.Request{protocol.GetProviders{Key: []byte(self)}}
	if mode == ModeServer {
		requests = append(requests, protocol.FindNode{Target: []byte(self)})
	}
	var answers, names atomic.Int32
	turn := call.NewTurn()
	_ = tasks.Each(ctx, maxAskedOfUs, slices.Values(closest[:min(len(closest), maxAskedOfUs)]),
		func(ctx context.Context, c routing.Contact) error {
			answered, knows := false, false
			for _, req := range requests {
				resp, err := d.call.Request(ctx, turn, c, req, nil)
				answered = answered || err == nil
				knows = knows || err == nil && has(resp, self, addrs)
			}
			if answered {
				answers.Add(1)
			}
			if knows {
				names.Add(1)
			}
			return nil
		})
	return int(answers.Load()), int(names.Load())
}

// has reports whether an answer names a peer with one of these addresses.
func has(resp protocol.Response, id peer.ID, addrs []multiaddr.Multiaddr) bool {
	return slices.ContainsFunc(slices.Concat(resp.Closer, resp.Providers), func(p protocol.Peer) bool {
		return p.ID == id && slices.ContainsFunc(p.Addrs, func(a multiaddr.Multiaddr) bool {
			return slices.ContainsFunc(addrs, a.Equal)
		})
	})
}
