package reach

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/scope"
)

// maxSightings bounds the sightings that are remembered.
const maxSightings = 32

// A sighting is where a peer has seen a connection come from that the host has dialled.
type sighting struct {
	socket socket
	by     netip.Addr     // the peer
	at     netip.AddrPort // of the router
}

// A socket is where a connection begins on this host.
type socket struct {
	transport string
	port      uint16
}

// The transports of sockets.
const (
	transportTCP = "tcp"
	transportUDP = "udp"
)

// transportOf returns the transport of an address.
func transportOf(a multiaddr.Multiaddr) string {
	if scope.HasProtocol(a, multiaddr.P_UDP) {
		return transportUDP
	}
	return transportTCP
}

// sightings tell how the router maps ports after two dials: the host itself says so after
// nine observations and a minute. The caller of the methods holds the lock of the room.
type sightings []sighting

// sightingOf returns what an identified peer says of where the host is, if it tells of a NAT:
// at a direct connection to a public peer over IPv4 that the host has dialled.
func sightingOf(e event.EvtPeerIdentificationCompleted) (sighting, bool) {
	if e.Conn == nil || e.ObservedAddr == nil || e.Conn.Stat().Direction != network.DirOutbound ||
		scope.Relayed(e.Conn) || scope.OfConn(e.Conn) != scope.Public || scope.Of(e.ObservedAddr) != scope.Public {
		return sighting{}, false
	}
	by, at, here := scope.AddrPort(e.Conn.RemoteMultiaddr()), scope.AddrPort(e.ObservedAddr), scope.AddrPort(e.Conn.LocalMultiaddr())
	if !by.Addr().Is4() || !at.Addr().Is4() || here.Port() == 0 {
		return sighting{}, false
	}
	return sighting{socket: socket{transportOf(e.ObservedAddr), here.Port()}, by: by.Addr(), at: at}, true
}

// add adds a sighting, in place of the one of the same peer, or of the oldest.
func (s *sightings) add(seen sighting) {
	*s = slices.DeleteFunc(*s, func(o sighting) bool { return o.socket == seen.socket && o.by == seen.by })
	if len(*s) == maxSightings {
		*s = slices.Delete(*s, 0, 1)
	}
	*s = append(*s, seen)
}

// maxSeenAt bounds the addresses at which the host counts as seen: a router has one, or two
// lines to the internet, and an old address is followed by the new one.
const maxSeenAt = 4

// SeenAt returns the IPv4 addresses at which public peers have seen the host lately, the last
// one first, if there is a router between: at most 4.
func (r *Reach) SeenAt() []netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sightings.places()
}

// Moved forgets where peers have seen the host, until they see it again: the addresses of the
// machine have changed, or it has slept, and may be in another network.
func (r *Reach) Moved() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sightings = nil
}

// maxSeenAs bounds the addresses of one transport that SeenAs returns.
const maxSeenAs = 2

// SeenAs returns the addresses over TCP and QUIC at which public peers have seen what the host
// listens on lately, the last one first: at most two of each. A hole is punched to them.
func (r *Reach) SeenAs() (addrs []multiaddr.Multiaddr) {
	listens := make(map[socket]bool)
	for _, a := range r.cfg.Host.Network().ListenAddresses() {
		listens[socket{transportOf(a), scope.AddrPort(a).Port()}] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := make(map[string]int)
	known := make(map[sighting]bool)
	for _, seen := range slices.Backward(r.sightings) {
		place := sighting{socket: socket{transport: seen.socket.transport}, at: seen.at}
		if n[seen.socket.transport] == maxSeenAs || known[place] || !listens[seen.socket] {
			continue
		}
		known[place] = true
		n[seen.socket.transport]++
		text := "/ip4/" + seen.at.Addr().String() + "/" + seen.socket.transport + "/" + strconv.Itoa(int(seen.at.Port()))
		if seen.socket.transport == transportUDP {
			text += "/quic-v1"
		}
		addrs = append(addrs, multiaddr.StringCast(text))
	}
	return addrs
}

// places returns the IP addresses of the last sightings.
func (s sightings) places() (ips []netip.Addr) {
	for _, seen := range slices.Backward(s) {
		if len(ips) < maxSeenAt && !slices.Contains(ips, seen.at.Addr()) {
			ips = append(ips, seen.at.Addr())
		}
	}
	return ips
}

// mapping returns how the router maps ports of a transport. Two peers that see one socket at
// the same port tell that it is one for all peers: a third that lies changes nothing. If all
// that see it at one address name other ports, each peer has its own.
func (s sightings) mapping(transport string) network.NATDeviceType {
	same, other := make(map[socket]bool), make(map[socket]bool)
	for i, a := range s {
		for _, b := range s[:i] {
			switch {
			case a.socket != b.socket || a.socket.transport != transport:
			case a.at == b.at:
				same[a.socket] = true
			case a.at.Addr() == b.at.Addr():
				other[a.socket] = true
			}
		}
	}
	for socket := range other {
		if !same[socket] {
			return network.NATDeviceTypeEndpointDependent
		}
	}
	if len(same) > 0 {
		return network.NATDeviceTypeEndpointIndependent
	}
	return network.NATDeviceTypeUnknown
}
