// Package scope says how far an address reaches, which addresses a peer may be given, and
// which of many are worth most. It is pure: no lock, no clock, no host.
//
// # Decisions
//
// All bounds on the addresses of a peer keep the first ones in the order of [Rank].
//
//   - Context: a machine with containers has 40 addresses, and other peers can use one.
//   - Decision: an address that a connection has proved is first; the others take turns by
//     IP address; bridges, a third port and loopback are last.
//   - Consequence: of 32 useless addresses and one that works, that one is told.
//   - It would change if peers said which of their addresses were dialled with success.
package scope

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A Scope is how far an address reaches, and so how far away a peer is that was
// reached there. A peer is given only the addresses that it can use. No peer on the
// public network is given a private address, so that a DHT cannot be made to dial
// into a private network.
type Scope uint8

// The scopes, the narrowest first.
const (
	Loopback Scope = iota // this machine
	Private               // this local network
	Public                // the internet
)

// Of returns the scope of addr. A relayed address has the scope of its relay. An IPv6
// address that stands for an IPv4 address has the scope of the latter, as a DNS name has that
// is an IP address. Another DNS name is public unless it is a local name; it is not resolved.
func Of(addr multiaddr.Multiaddr) Scope {
	addr, ok := plain(addr)
	if !ok {
		return Private
	}
	return ofPlain(addr)
}

// ofPlain is Of for what plain returns.
func ofPlain(addr multiaddr.Multiaddr) Scope {
	switch {
	case manet.IsIPLoopback(addr):
		return Loopback
	case manet.IsPublicAddr(addr):
		return Public
	default:
		return Private
	}
}

// plain returns the IP address that an address stands for: an IPv4 address for an IPv6 address
// that embeds it, and an IP address for a DNS name that a resolver takes for one without asking.
// It returns addr itself if there is none, and false if the name or the local network decides
// where the address leads.
func plain(addr multiaddr.Multiaddr) (multiaddr.Multiaddr, bool) {
	if name, ok := nameOf(addr); ok {
		return plainName(addr, name)
	}
	ip, err := manet.ToIP(addr)
	if err != nil {
		return addr, true
	}
	if localNAT64.Contains(ip) {
		return addr, false
	}
	if v4 := embedded(ip); v4 != nil {
		return fromIP(v4)
	}
	return addr, true
}

// plainName is plain for an address that begins with a DNS name.
func plainName(addr multiaddr.Multiaddr, name string) (multiaddr.Multiaddr, bool) {
	last := name[strings.LastIndexByte(name, '.')+1:]
	switch ip, err := netip.ParseAddr(name); {
	case err == nil:
		a, ok := fromIP(ip.Unmap().AsSlice())
		if !ok {
			return addr, false
		}
		return plain(a)
	case last == "localhost":
		return fromIP(net.IPv4(127, 0, 0, 1).To4())
	case isNumber(last):
		return addr, false // 127.1, 0x7f.1 and 2130706433 are 127.0.0.1 to some resolvers
	default:
		return addr, true
	}
}

// nameOf returns the DNS name that an address begins with, in lower case and without a last
// dot; false if there is none.
func nameOf(addr multiaddr.Multiaddr) (string, bool) {
	if len(addr) == 0 {
		return "", false
	}
	switch addr[0].Code() {
	case multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6, multiaddr.P_DNSADDR:
		return strings.ToLower(strings.TrimRight(addr[0].Value(), ".")), true
	}
	return "", false
}

// isNumber reports whether the last part of a DNS name is a number, which no domain is.
func isNumber(label string) bool {
	_, err := strconv.ParseUint(label, 0, 64)
	return err == nil || label != "" && strings.Trim(label, "0123456789") == ""
}

// fromIP returns an IP address; false if it is none.
func fromIP(ip net.IP) (multiaddr.Multiaddr, bool) {
	a, err := manet.FromIP(ip)
	return a, err == nil
}

// localNAT64 has the addresses that stand for IPv4 addresses which the local network chooses:
// private ones, too (RFC 8215).
var localNAT64 = net.IPNet{IP: net.ParseIP("64:ff9b:1::"), Mask: net.CIDRMask(48, 128)} //nolint:gochecknoglobals // a constant

// embedded returns the IPv4 address that an IPv6 address of NAT64 (RFC 6052) or
// 6to4 (RFC 3056) stands for; nil if there is none.
func embedded(ip net.IP) net.IP {
	nat64 := net.IP{0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}
	switch {
	case ip.To4() != nil || len(ip) != net.IPv6len:
		return nil
	case bytes.HasPrefix(ip, nat64):
		return ip[12:]
	case ip[0] == 0x20 && ip[1] == 0x02:
		return ip[2:6]
	default:
		return nil
	}
}

// OfConn returns the scope of a connection: that of its remote address.
func OfConn(conn network.Conn) Scope { return Of(conn.RemoteMultiaddr()) }

// Reaching returns the addresses that reach at least as far as s: a peer at s can use
// them, and may be believed if it names them.
func Reaching(addrs []multiaddr.Multiaddr, s Scope) []multiaddr.Multiaddr {
	if s == Loopback {
		return addrs
	}
	return slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool { return Of(a) < s })
}

// HasProtocol reports whether a protocol, such as multiaddr.P_TCP, is part of an
// address.
func HasProtocol(a multiaddr.Multiaddr, code int) bool {
	for _, c := range a {
		if c.Protocol().Code == code {
			return true
		}
	}
	return false
}

// Relayed reports whether conn goes through a relay.
func Relayed(conn network.Conn) bool {
	return HasProtocol(conn.RemoteMultiaddr(), multiaddr.P_CIRCUIT)
}

// RelayOf returns the relay of a relayed address; false if it is none.
func RelayOf(addr multiaddr.Multiaddr) (peer.ID, bool) {
	if !HasProtocol(addr, multiaddr.P_CIRCUIT) {
		return "", false
	}
	text, err := addr.ValueForProtocol(multiaddr.P_P2P)
	if err != nil {
		return "", false
	}
	id, err := peer.Decode(text)
	return id, err == nil
}

// WithoutRelays returns the addresses that do not lead through a relay.
func WithoutRelays(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool { return HasProtocol(a, multiaddr.P_CIRCUIT) })
}

// Same reports whether two lists have the same addresses, in any order.
func Same(a, b []multiaddr.Multiaddr) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x multiaddr.Multiaddr) bool { return !slices.ContainsFunc(b, x.Equal) })
}

// ListensPublic reports whether an address that a socket is bound to is a public IPv4
// address. An IPv6 address proves less: homes have public ones behind firewalls.
func ListensPublic(addrs []multiaddr.Multiaddr) bool {
	return slices.ContainsFunc(addrs, func(a multiaddr.Multiaddr) bool {
		return HasProtocol(a, multiaddr.P_IP4) && Of(a) == Public && !HasProtocol(a, multiaddr.P_CIRCUIT)
	})
}

// Group returns the network that addr is in, for the diversity limit of the table:
// the /24 of an IPv4 address or the /48 of an IPv6 address. It is empty, which means
// without a limit, for addresses that are not public.
func Group(addr multiaddr.Multiaddr) string { return Network(addr, 24, 48) }

// Wide returns the wider network that addr is in: the /16 of an IPv4 address or the /32 of an
// IPv6 address, which one owner has as a rule. It is empty for addresses that are not public.
func Wide(addr multiaddr.Multiaddr) string { return Network(addr, 16, 32) }

// NetworksOf returns Group and Wide of the best address of a peer: see [Rank]. They are empty
// if there is no address.
func NetworksOf(addrs []multiaddr.Multiaddr) (group, wide string) {
	if len(addrs) == 0 {
		return "", ""
	}
	best := Rank(addrs, nil)[0]
	return Group(best), Wide(best)
}

// Network returns the network that addr is in: the first bits4 bits of an IPv4
// address, or bits6 of an IPv6 address. It is empty for addresses that are not public. An
// address that stands for an IPv4 address is in the network of that.
func Network(addr multiaddr.Multiaddr, bits4, bits6 int) string {
	addr, ok := plain(addr)
	if !ok || ofPlain(addr) != Public {
		return ""
	}
	ip, err := manet.ToIP(addr)
	if err != nil {
		return ""
	}
	if v4 := ip.To4(); v4 != nil {
		return v4.Mask(net.CIDRMask(bits4, 32)).String()
	}
	return ip.Mask(net.CIDRMask(bits6, 128)).String()
}

// AddrPort returns the IP address and the port that addr begins with; the zero AddrPort if it
// begins with something else, as a relayed address, a name or a Unix socket does.
func AddrPort(addr multiaddr.Multiaddr) netip.AddrPort {
	if len(addr) < 2 || (addr[1].Protocol().Code != multiaddr.P_TCP && addr[1].Protocol().Code != multiaddr.P_UDP) {
		return netip.AddrPort{}
	}
	ip, ok := netip.AddrFromSlice(addr[0].RawValue())
	if code := addr[0].Protocol().Code; !ok || (code != multiaddr.P_IP4 && code != multiaddr.P_IP6) {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(addr[1].RawValue()))
}
