package host

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/host/autonat"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"go.uber.org/fx"

	"github.com/go-kad/kad/host/internal/connect"
	"github.com/go-kad/kad/host/internal/relay"
	"github.com/go-kad/kad/host/internal/scope"
)

// directDialTimeout bounds an attempt to reach a peer directly that is connected
// through a relay: the plain dial that comes first, which is in vain if both are
// behind NATs, and each hole punch. Four round trips of 400 ms fit in.
const directDialTimeout = 2 * time.Second

// Traversal is an option of libp2p.New that makes a host find other peers, and be found
// and reached by them, wherever it is: also behind a NAT. It attaches a DHT to the
// host, and sets *d to it before libp2p.New returns:
//
//	var d *kad.DHT
//	h, err := libp2p.New(kad.Traversal(&d, kad.Config{Network: "/chat", Bootstrap: peers}))
//
// The DHT is the routing of the host, so that host.Connect finds a peer of which only the
// ID is known. The host takes its relays from the DHT ([DHT.RelaySource]), and looks for
// them at once, without waiting until AutoNAT has found out whether it is reachable.
// Traversal also enables hole punching, port mapping, and AutoNAT of both versions, for this
// host and for other hosts. It dials over TCP now and then, so that the host learns its
// address on both transports.
//
// libp2p.New fails if an option is given twice that it takes once. So leave out
// libp2p.Routing and libp2p.NATPortMap and, with Config.AppendAnnounce,
// libp2p.AddrsFactory. Of other options, such as SwarmOpts, the last one wins.
//
// Closing the host that libp2p.New returned closes the DHT. To hand records over, call
// [DHT.Leave] before that. [DHT.Host] is a part of that host, without routing: closing it
// alone leaves the rest running. On a host that exists already, use [New],
// and [CheckTraversal].
func Traversal(d **DHT, cfg Config) libp2p.Option {
	t := new(traversal)
	return libp2p.ChainOptions(
		// Here, since libp2p leaves a host behind if a part of it cannot start.
		func(*libp2p.Config) error {
			cfg := cfg.withDefaults()
			cfg.Bootstrap = nil // one may be the host itself, which is not known yet
			return cfg.validate()
		},
		announcing(cfg.AppendAnnounce),
		libp2p.Routing(func(lhost.Host) (lrouting.PeerRouting, error) { return t, nil }),
		libp2p.WithFxOption(fx.Invoke(func(life fx.Lifecycle, h lhost.Host) {
			life.Append(fx.Hook{
				OnStart: func(context.Context) error { return t.start(d, h, cfg) },
				OnStop:  func(context.Context) error { return t.stop() },
			})
		})),
		libp2p.EnableRelay(),
		libp2p.EnableAutoRelayWithPeerSource(t.relaySource, autoRelayOptions()...),
		libp2p.EnableHolePunching(
			holepunch.DirectDialTimeout(directDialTimeout), holepunch.WithTracer(t), holepunch.WithAddrFilter(connect.PunchFilter{Of: t.connector})),
		libp2p.NATPortMap(),
		libp2p.EnableNATService(),
		libp2p.EnableAutoNATv2(),
		// Without these, a node that has not dialled much yet refuses the dials by which
		// AutoNAT helps other hosts.
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
		libp2p.SwarmOpts(swarm.WithDialRanker((&connect.Ranker{Of: t.connector}).Rank)),
	)
}

// announcing is the option that adds addresses to those of the host.
func announcing(more []multiaddr.Multiaddr) libp2p.Option {
	if len(more) == 0 {
		return libp2p.ChainOptions()
	}
	more = slices.Clone(more)
	return libp2p.AddrsFactory(func(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
		return multiaddr.Unique(append(slices.Clone(addrs), more...))
	})
}

// autoRelayOptions are the options that go with RelaySource, which proposes what is missing
// and no more: what it proposes is used at once, and it is asked again at once. libp2p's
// defaults wait 3 minutes for 4 relays to choose from, and ask again after 30 s, or an
// hour if a relay had no room.
func autoRelayOptions() []autorelay.Option {
	return []autorelay.Option{
		autorelay.WithNumRelays(relay.Reservations),
		autorelay.WithMinCandidates(1),
		autorelay.WithBootDelay(0),
		autorelay.WithMinInterval(time.Second),
		autorelay.WithBackoff(30 * time.Second),
		autorelay.WithMaxCandidateAge(5 * time.Minute),
	}
}

// A traversal is the DHT of a host that is being made.
type traversal struct{ dht atomic.Pointer[DHT] }

var errNotStarted = errors.New("kad: the host has not started yet")

// start attaches the DHT, when the host listens.
func (t *traversal) start(d **DHT, h lhost.Host, cfg Config) error {
	dht, err := attach(h, cfg)
	if err != nil {
		return err
	}
	dht.whole = true
	t.dht.Store(dht)
	*d = dht
	err = relay.StartAutoRelay(h)
	if err != nil {
		return errors.Join(err, dht.Close())
	}
	return nil
}

// stop closes the DHT, before the host ends the connections that it uses.
func (t *traversal) stop() error {
	if d := t.dht.Load(); d != nil {
		return d.Close()
	}
	return nil
}

// Trace implements [holepunch.EventTracer].
func (t *traversal) Trace(e *holepunch.Event) {
	c := t.connector()
	if c == nil {
		return
	}
	switch ended := e.Evt.(type) {
	case *holepunch.DirectDialEvt:
		if !ended.Success {
			c.FailedDirectly(e.Remote)
		}
	case *holepunch.EndHolePunchEvt:
		if !ended.Success {
			log.Debugw("hole punch", "peer", e.Remote, "took", ended.EllapsedTime, "error", ended.Error)
			c.PunchFailed()
			c.FailedDirectly(e.Remote)
		}
	}
}

// connector returns the Connector of the host; nil if there is none yet.
func (t *traversal) connector() *connect.Connector {
	if d := t.dht.Load(); d != nil {
		return d.connect
	}
	return nil
}

// FindPeer implements [lrouting.PeerRouting]. The host asks it last. It does not wait for
// readiness between two attempts to join.
func (t *traversal) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	d := t.dht.Load()
	if d == nil {
		return peer.AddrInfo{}, errNotStarted
	}
	if err := d.join.AwaitJoin(ctx); err != nil {
		return peer.AddrInfo{}, public(err)
	}
	return d.FindPeer(ctx, id)
}

// relaySource is an [autorelay.PeerSource].
func (t *traversal) relaySource(ctx context.Context, num int) <-chan peer.AddrInfo {
	if d := t.dht.Load(); d != nil {
		return d.RelaySource(ctx, num)
	}
	none := make(chan peer.AddrInfo)
	close(none)
	return none
}

// CheckTraversal returns what a host lacks to be found and reached behind a NAT, and to
// help other hosts with that, each in a sentence with the option that adds it; nil if it
// finds nothing. It cannot see whether AutoRelay asks the DHT for relays: [DHT.Diagnose]
// says that.
//
// Call it when the host has been connected to a peer on the internet for some seconds:
// hole punching begins when such a peer has told the host its public address.
func CheckTraversal(h lhost.Host) []string { return missing(h, false) }

// missing is CheckTraversal. A whole host was made with Traversal: it has all options, and can
// lack what it listens on alone.
func missing(h lhost.Host, whole bool) []string {
	var missing []string
	serves := func(id lprotocol.ID) bool { return slices.Contains(h.Mux().Protocols(), id) }
	lacks := func(lacking bool, what string) {
		if lacking {
			missing = append(missing, what)
		}
	}
	if !whole {
		lacks(!dialsRelays(h), "peers behind relays cannot be dialled: leave out libp2p.DisableRelay")
		public := knowsPublic(h)
		lacks(!punches(h) && public, "hole punching is off: pass libp2p.EnableHolePunching")
		lacks(!punches(h) && !public, "hole punching is off, or no peer on the internet has given the host its address yet: "+
			"pass libp2p.EnableHolePunching, or check again when it is connected")
		lacks(!serves(autonat.AutoNATProto) && !finds(h), "other hosts are not helped to find out whether they are reachable: pass libp2p.EnableNATService")
		lacks(!serves(autonatv2.DialProtocol), "it is not checked whether other hosts can dial single addresses: pass libp2p.EnableAutoNATv2")
	}
	lacks(!listens(h, multiaddr.P_TCP), "the host does not listen on TCP, which some networks let through alone: "+
		`add libp2p.ListenAddrStrings("/ip4/0.0.0.0/tcp/0")`)
	lacks(!listens(h, multiaddr.P_QUIC_V1), "the host does not listen on QUIC, over which it is easiest to punch holes: "+
		`add libp2p.ListenAddrStrings("/ip4/0.0.0.0/udp/0/quic-v1")`)
	lacks(onlyIPv6(machineAddrs(), h.Network().ListenAddresses()), "the machine has addresses of IPv6 alone, and the host listens on IPv4 alone: "+
		`add libp2p.ListenAddrStrings("/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1")`)
	return missing
}

// machineAddrs returns the addresses of this machine by which others reach it.
func machineAddrs() []netip.Addr {
	addrs, _ := net.InterfaceAddrs() // none if the system does not tell
	return connect.Usable(addrs)
}

// punches reports whether the hole punching of a host has begun.
func punches(h lhost.Host) bool { return slices.Contains(h.Mux().Protocols(), holepunch.Protocol) }

// dialsRelays reports whether a host has the transport of relays.
func dialsRelays(h lhost.Host) bool {
	dials, ok := h.Network().(interface {
		TransportForDialing(a multiaddr.Multiaddr) transport.Transport
	})
	return ok && dials.TransportForDialing(multiaddr.StringCast("/p2p-circuit")) != nil
}

// knowsPublic reports whether a host knows a public address of its own.
func knowsPublic(h lhost.Host) bool {
	addrs := h.Addrs()
	if all, ok := h.(interface{ AllAddrs() []multiaddr.Multiaddr }); ok {
		addrs = append(slices.Clone(addrs), all.AllAddrs()...)
	}
	return slices.ContainsFunc(addrs, func(a multiaddr.Multiaddr) bool {
		return manet.IsPublicAddr(a) && !scope.HasProtocol(a, multiaddr.P_CIRCUIT)
	})
}

// finds reports whether a host has found out that it is not reachable: it does not
// serve AutoNAT then.
func finds(h lhost.Host) bool {
	found, ok := h.(interface{ GetAutoNat() autonat.AutoNAT })
	return ok && found.GetAutoNat() != nil && found.GetAutoNat().Status() == network.ReachabilityPrivate
}

// listens reports whether a host listens on a transport.
func listens(h lhost.Host, code int) bool {
	return slices.ContainsFunc(h.Network().ListenAddresses(), func(a multiaddr.Multiaddr) bool { return scope.HasProtocol(a, code) })
}
