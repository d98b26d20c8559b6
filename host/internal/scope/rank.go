package scope

import (
	"bytes"
	"cmp"
	"net"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// MaxTold is how many addresses of a peer are given to others, kept, and believed of one
// message: room for several interfaces, transports and relays.
const MaxTold = 32

// maxRepeated is how many addresses of one IP address, DNS name or relay with the same
// transport are worth as much as others.
const maxRepeated = 2

// Rank returns the addresses of one peer in the order of their worth, so that a bound cuts
// the least useful:
//
//   - the addresses that a connection has proved, which proved has;
//   - an address of each IP address, DNS name or relay in turn, so that one with many
//     transports or ports takes no place of another: first where a connection has proved
//     the IP address or the relay, then public, relayed, private ones; QUIC and TCP before
//     the transports above them;
//   - addresses that are seldom of use to another machine: a third one with the same
//     transport, bridges of containers and virtual machines, link-local, loopback and
//     unspecified ones.
//
// Among equals, it keeps the order.
func Rank(addrs, proved []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	if len(addrs) < 2 {
		return addrs
	}
	places := make([]string, len(proved))
	for i, p := range proved {
		places[i] = place(p)
	}
	list := make([]ranked, len(addrs))
	for i, a := range addrs {
		r := ranked{addr: a, place: place(a), kind: kindOf(a), class: classOf(a), proof: unproved}
		switch {
		case slices.ContainsFunc(proved, a.Equal):
			r.proof = itself
		case slices.Contains(places, r.place):
			r.proof = samePlace
		}
		list[i] = r
	}
	count(list)
	slices.SortStableFunc(list, func(a, b ranked) int {
		return cmp.Or(
			cmp.Compare(a.tier(), b.tier()), cmp.Compare(a.turn, b.turn), cmp.Compare(a.proof, b.proof),
			cmp.Compare(a.class, b.class), cmp.Compare(a.kind, b.kind),
		)
	})
	out := make([]multiaddr.Multiaddr, len(list))
	for i, r := range list {
		out[i] = r.addr
	}
	return out
}

// Best returns the n best addresses of one peer, the best first: see Rank.
func Best(addrs, proved []multiaddr.Multiaddr, n int) []multiaddr.Multiaddr {
	best := Rank(addrs, proved)
	return best[:min(n, len(best))]
}

// Proved returns the addresses that connections to a peer prove: where it is.
func Proved(conns []network.Conn) []multiaddr.Multiaddr {
	addrs := make([]multiaddr.Multiaddr, len(conns))
	for i, c := range conns {
		addrs[i] = c.RemoteMultiaddr()
	}
	return addrs
}

// ProvedOwn returns the addresses of this host at which peers have reached it.
func ProvedOwn(conns []network.Conn) (addrs []multiaddr.Multiaddr) {
	for _, c := range conns {
		if c.Stat().Direction == network.DirInbound && !slices.ContainsFunc(addrs, c.LocalMultiaddr().Equal) {
			addrs = append(addrs, c.LocalMultiaddr())
		}
	}
	return addrs
}

// A ranked is an address, and what it is worth: less of each is better.
type ranked struct {
	addr     multiaddr.Multiaddr
	place    string // the IP address, DNS name or relay
	proof    int
	class    int
	kind     int
	turn     int  // how many addresses of its place are better
	repeated bool // there are maxRepeated better ones with its transport, too
}

// What connections show of an address.
const (
	itself = iota
	samePlace
	unproved
)

// Classes of addresses, the most useful first. The ones from seldom on are seldom of use.
const (
	direct = iota
	relayed
	local
	seldom
	linkLocal
	sameMachine
)

// tier is the part of the order of Rank in which an address is.
func (r ranked) tier() int {
	switch {
	case r.proof == itself:
		return 0
	case r.repeated, r.class >= seldom && r.proof == unproved:
		return 2
	default:
		return 1
	}
}

// count sets turn and repeated.
func count(list []ranked) {
	slices.SortStableFunc(list, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.proof, b.proof), cmp.Compare(a.kind, b.kind))
	})
	type same struct {
		place string
		kind  int
	}
	turns, repeats := make(map[string]int, len(list)), make(map[same]int, len(list))
	for i := range list {
		r := &list[i]
		r.repeated = repeats[same{r.place, r.kind}] >= maxRepeated
		repeats[same{r.place, r.kind}]++
		r.turn = turns[r.place]
		turns[r.place]++
	}
}

// place returns where an address leads: the relay of a relayed one, else its first
// component, which is an IP address or a DNS name.
func place(a multiaddr.Multiaddr) string {
	if relay, ok := RelayOf(a); ok {
		return string(relay)
	}
	for i := range a {
		if a[i].Code() != multiaddr.P_IP6ZONE {
			return a[i].Protocol().Name + string(a[i].RawValue())
		}
	}
	return ""
}

// transports in the order of their worth.
var transports = []int{ //nolint:gochecknoglobals // a constant
	multiaddr.P_WEBRTC_DIRECT, multiaddr.P_WEBTRANSPORT, multiaddr.P_WS, multiaddr.P_WSS, multiaddr.P_QUIC_V1, multiaddr.P_TCP,
}

// kindOf returns the transport of an address, the more usable the lower: QUIC, TCP, the
// ones above them, anything else.
func kindOf(a multiaddr.Multiaddr) int {
	i := slices.IndexFunc(transports, func(code int) bool { return HasProtocol(a, code) })
	switch {
	case i < 0:
		return len(transports)
	case transports[i] == multiaddr.P_QUIC_V1:
		return 0
	case transports[i] == multiaddr.P_TCP:
		return 1
	default:
		return 2 + i
	}
}

// classOf returns the class of an address.
func classOf(a multiaddr.Multiaddr) int {
	ip, err := manet.ToIP(a)
	switch {
	case HasProtocol(a, multiaddr.P_CIRCUIT):
		return relayed
	case Of(a) == Public:
		return direct
	case err != nil:
		return local
	case ip.IsLoopback(), ip.IsUnspecified(), ip.IsMulticast():
		return sameMachine
	case ip.IsLinkLocalUnicast():
		return linkLocal
	case bridge(ip):
		return seldom
	default:
		return local
	}
}

// bridge reports whether a private IP address looks like that of a bridge on this machine:
// it is in the network with which Docker begins, or it is the first one of its network, as
// with Docker, Podman, LXC, libvirt and Kubernetes. A router has such an address too.
func bridge(ip net.IP) bool {
	if v4 := ip.To4(); v4 != nil {
		return v4[0] == 172 && v4[1] == 17 || v4[3] == 1
	}
	return bytes.Equal(ip[8:], []byte{0, 0, 0, 0, 0, 0, 0, 1})
}
