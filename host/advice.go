package host

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/relay"
	"github.com/go-kad/kad/host/internal/scope"
)

// The sentences of [Diagnosis.Advice], which examples/guides/nat.md lists with their causes.
const (
	adviceOffline   = "No peer answers any more: this machine seems to have lost its network. Look at its cable or Wi-Fi; nothing else has to be done."
	adviceClock     = "Set the clock of this machine: peers refuse its certificates, or it refuses theirs."
	adviceJoin      = "Join the network: set Config.Bootstrap, or connect the host to a peer of this network."
	adviceUnjoined  = "No bootstrap peer has answered yet: the reason that it is not ready says why. Look whether they run, and at these addresses."
	adviceNoAddr    = "The host announces no address: let it listen on one."
	adviceNotFound  = "None of the closest peers names this node with an address that it announces now: other peers cannot find it yet. That takes some seconds after a change of addresses."
	adviceForward   = "Let others dial this host: forward a port of the router to it, or enable UPnP or NAT-PMP there."
	adviceAutoRelay = "AutoRelay does not ask the DHT for relays, or has not begun to: pass Traversal, or libp2p.EnableAutoRelayWithPeerSource with DHT.RelaySource."
	adviceSeeking   = "Relays are being looked for: ask again in some seconds."
	adviceNoRelay   = "No relay was found: no peer of the network announces to be one. Run a node with a public address and Config.OfferRelay."
	adviceFull      = "Relays were found, and none gives a reservation: they may have no room. Run one more node with a public address and Config.OfferRelay."
	adviceUnpunched = "Hole punching has not begun: no peer on the internet has told this host its address yet. Ask again in some seconds."
	adviceNoUDP     = "No peer was reached over UDP: the router, or a firewall, seems to let none through, so that fewer holes can be punched. Permit outgoing UDP."
	adviceMTU       = "UDP gets through in packets of 1 200 bytes, and not in those of 1 280 with which QUIC begins: a VPN, a tunnel or a router on the way has a small MTU. Peers are reached over TCP, later. Raise that MTU to 1 308 or more."
	adviceSymmetric = "The router uses another port for each peer, so that hole punching fails with most peers behind such a router: they stay relayed."
)

// advice returns what would improve a diagnosis, what helps most first.
func advice(d *DHT, g Diagnosis) []string {
	var list []string
	switch {
	case g.Offline:
		return append(list, adviceOffline)
	case g.NotReady == nil:
	case g.ClockOff != 0:
		list = append(list, adviceClock)
	case g.SmallMTU:
		list = append(list, adviceMTU)
	case len(d.cfg.Bootstrap) > 0 || d.cfg.FindBootstrap != nil:
		list = append(list, adviceUnjoined)
	default:
		list = append(list, adviceJoin)
	}
	if len(g.Addrs) == 0 {
		list = append(list, adviceNoAddr)
	}
	if !d.reach.Public() {
		return list // on a private network, nothing else is needed
	}
	if d.reach.NeedsRelay() {
		list = append(list, hiddenAdvice(d, g)...)
	}
	if g.Asked > 0 && g.Told == 0 {
		list = append(list, adviceNotFound)
	}
	return list
}

// hiddenAdvice returns what would improve matters for a host that cannot be dialled.
func hiddenAdvice(d *DHT, g Diagnosis) []string {
	advice := []string{adviceForward}
	switch {
	case len(g.Relays) > 0:
	case !d.reach.SeeksRelay() && !d.whole:
		advice = append(advice, adviceAutoRelay)
	case g.NotReady == nil: // without lookups, none is found
		advice = append(advice, relayAdvice(d.relay.Search()))
	}
	for _, lacks := range missing(d.host, d.whole) {
		advice = append(advice, strings.ToUpper(lacks[:1])+lacks[1:]+".")
	}
	if d.whole && !punches(d.host) {
		advice = append(advice, adviceUnpunched)
	}
	switch {
	case g.UDPBlocked:
		advice = append(advice, adviceNoUDP)
	case g.SmallMTU && (g.NotReady == nil || g.ClockOff != 0): // else it was said first
		advice = append(advice, adviceMTU)
	}
	if g.NAT == network.NATDeviceTypeEndpointDependent {
		advice = append(advice, adviceSymmetric)
	}
	return advice
}

// relayAdvice says why there is no relay, by what has become of the search for one.
func relayAdvice(s relay.Search) string {
	switch {
	case s.Proposed > 2*relay.Reservations: // each was proposed once, and again
		return adviceFull
	case !s.Ended || s.Proposed > 0:
		return adviceSeeking
	case s.Named == 0:
		return adviceNoRelay
	case s.Unreachable >= s.Named:
		return fmt.Sprintf("None of the relays that were found (%d) was reached: a firewall may let out a few ports alone. Run a relay that listens on such a port, such as 443.", s.Named)
	default:
		return adviceSeeking
	}
}

// minWithoutUDP is how many public peers are to be reached over TCP alone before UDP counts as
// blocked: of four dials, three begin with QUIC, so that one in 64 times it is chance.
const minWithoutUDP = 3

// lacksUDP returns what is wrong with UDP, if it is, by what a probe of QUIC servers that were
// reached over TCP alone says.
func lacksUDP(servers []netip.AddrPort, probe func([]netip.AddrPort) (small, full bool)) (blocked, smallMTU bool) {
	if len(servers) == 0 {
		return false, false
	}
	small, full := probe(servers)
	return !small && len(servers) >= minWithoutUDP, small && !full
}

// overTCPAlone returns the addresses of up to minWithoutUDP peers on the internet that listen
// on QUIC, and were reached in another way; none if the host has reached any peer there over
// UDP, or does not listen on QUIC.
func overTCPAlone(h lhost.Host) (servers []netip.AddrPort) {
	if !listens(h, multiaddr.P_QUIC_V1) {
		return nil
	}
	seen := make(map[peer.ID]bool)
	for _, conn := range h.Network().Conns() {
		id := conn.RemotePeer()
		switch {
		case scope.Relayed(conn) || scope.OfConn(conn) != scope.Public:
		case scope.HasProtocol(conn.RemoteMultiaddr(), multiaddr.P_UDP):
			return nil
		case conn.Stat().Direction == network.DirOutbound && !seen[id] && len(servers) < minWithoutUDP:
			seen[id] = true
			if at, ok := quicOf(h.Peerstore().Addrs(id)); ok {
				servers = append(servers, at)
			}
		}
	}
	return servers
}

// quicOf returns where a peer listens on QUIC, on the internet.
func quicOf(addrs []multiaddr.Multiaddr) (netip.AddrPort, bool) {
	for _, a := range addrs {
		if !scope.HasProtocol(a, multiaddr.P_QUIC_V1) || scope.HasProtocol(a, multiaddr.P_CIRCUIT) || scope.Of(a) != scope.Public {
			continue
		}
		if at := scope.AddrPort(a); at.IsValid() {
			return at, true
		}
	}
	return netip.AddrPort{}, false
}

// onlyIPv6 reports whether a machine has addresses of IPv6 alone by which others reach it, and
// listens on IPv4 alone.
func onlyIPv6(machine []netip.Addr, listens []multiaddr.Multiaddr) bool {
	usable := slices.DeleteFunc(slices.Clone(machine), func(a netip.Addr) bool { return !a.IsGlobalUnicast() })
	return len(usable) > 0 && !slices.ContainsFunc(usable, func(a netip.Addr) bool { return a.Unmap().Is4() }) &&
		len(listens) > 0 && !slices.ContainsFunc(listens, func(a multiaddr.Multiaddr) bool { return scope.HasProtocol(a, multiaddr.P_IP6) })
}
