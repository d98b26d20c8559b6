package host

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"net"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/go-kad/kad/protocol"
)

// ParseAddrs parses addresses of peers, each ending in "/p2p/ID", into what
// [Config.Bootstrap] takes. Several addresses of one peer become one entry. The
// error names the address and what is missing in it.
func ParseAddrs(addrs ...string) ([]peer.AddrInfo, error) {
	var infos []peer.AddrInfo
	for _, s := range addrs {
		info, err := peer.AddrInfoFromString(s)
		if err != nil {
			return nil, fmt.Errorf("kad: %q is not the address of a peer, such as /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo...: %w", s, err)
		}
		if len(info.Addrs) == 0 {
			return nil, fmt.Errorf("kad: %q says who the peer is, but not where: put its address before /p2p/", s)
		}
		i := slices.IndexFunc(infos, func(have peer.AddrInfo) bool { return have.ID == info.ID })
		if i < 0 {
			infos = append(infos, *info)
		} else {
			infos[i].Addrs = append(infos[i].Addrs, info.Addrs...)
		}
	}
	return infos, nil
}

// A scope is how far an address reaches, and so how far away a peer is that was
// reached there. Addresses are told only to peers that can use them: nobody on
// the public network hears of private ones, so that a DHT cannot be made to
// dial into somebody's home.
type scope uint8

const (
	scopeLoopback scope = iota // this machine
	scopePrivate               // this local network
	scopePublic                // the internet
)

// scopeOf returns the scope of addr. A relayed address has the scope of its
// relay, and an IPv6 address that stands for an IPv4 one has that of the latter. A
// DNS name is taken for public unless it is a local one, wherever it leads.
func scopeOf(addr multiaddr.Multiaddr) scope {
	if ip, err := manet.ToIP(addr); err == nil {
		if v4 := embedded(ip); v4 != nil {
			if addr, err = manet.FromIP(v4); err != nil {
				return scopePrivate
			}
		}
	}
	switch {
	case manet.IsIPLoopback(addr):
		return scopeLoopback
	case manet.IsPublicAddr(addr):
		return scopePublic
	default:
		return scopePrivate
	}
}

// embedded returns the IPv4 address that an IPv6 address of NAT64 (RFC 6052) or
// 6to4 (RFC 3056) stands for; nil if it is none.
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

// scopeTo returns the scope of a connection.
func scopeTo(conn network.Conn) scope {
	return scopeOf(conn.RemoteMultiaddr())
}

// fit returns those of addrs that a peer at s can use, or that one may believe
// if a peer at s named them: those that reach at least as far.
func fit(addrs []multiaddr.Multiaddr, s scope) []multiaddr.Multiaddr {
	if s == scopeLoopback {
		return addrs
	}
	return slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool { return scopeOf(a) < s })
}

// relayed reports whether conn goes through a relay.
func relayed(conn network.Conn) bool { return has(conn.RemoteMultiaddr(), multiaddr.P_CIRCUIT) }

// has reports whether a protocol is part of an address.
func has(a multiaddr.Multiaddr, code int) bool {
	for _, c := range a {
		if c.Protocol().Code == code {
			return true
		}
	}
	return false
}

// groupOf returns the network that addr is in, for the diversity limit of the
// table: the /24 of an IPv4 or the /48 of an IPv6 address. It is empty, which
// means without limit, for addresses that are not public.
func groupOf(addr multiaddr.Multiaddr) string { return networkOf(addr, 24, 48) }

// networkOf returns the network that addr is in: that many bits of an IPv4 or of an
// IPv6 address; nothing for addresses that are not public.
func networkOf(addr multiaddr.Multiaddr, bits4, bits6 int) string {
	if scopeOf(addr) != scopePublic {
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

// An announcement is the encoded Peer message of a peer, in a form of which
// each scope gets its share without decoding: its addresses are ordered by
// scope, the widest first, so that what a wider scope may see is a prefix. A
// header gives the lengths: big-endian 16 bits each for public and private, 0
// where nothing is to be told. It is what [routing.Contact.Wire] and
// [store.Provider.Addrs] hold.
type announcement []byte

const announcementHeader = 4

// announce encodes a peer with its addresses; nil if it has none.
func announce(id peer.ID, addrs []multiaddr.Multiaddr) announcement {
	return announceCertified(protocol.Peer{ID: id, Addrs: addrs})
}

// announceCertified is announce with what the peer has certified. That is in what each
// scope gets: it is left out unless all of it may be told as far as any address.
func announceCertified(p protocol.Peer) announcement {
	if len(p.Addrs) == 0 {
		return nil
	}
	id, addrs := p.ID, slices.Clone(p.Addrs)
	slices.SortFunc(addrs, func(a, b multiaddr.Multiaddr) int {
		// Beyond the scope, any order that is always the same.
		return cmp.Or(cmp.Compare(scopeOf(b), scopeOf(a)), bytes.Compare(a.Bytes(), b.Bytes()))
	})
	certified := passable(p.Certified, scopeOf(addrs[0]))
	a := make(announcement, announcementHeader, 128)
	for i, s := range []scope{scopePublic, scopePrivate} {
		n := 0
		for n < len(addrs) && scopeOf(addrs[n]) >= s {
			n++
		}
		if n > 0 {
			prefix := protocol.AppendPeer(nil, protocol.Peer{ID: id, Certified: certified, Addrs: addrs[:n]})
			binary.BigEndian.PutUint16(a[2*i:], uint16(len(prefix))) //nolint:gosec // at most protocol.MaxPeer, 8 KiB
		}
	}
	return protocol.AppendPeer(a, protocol.Peer{ID: id, Certified: certified, Addrs: addrs})
}

// at returns the Peer message as a peer at s may see it; nil if there is
// nothing that it could use.
func (a announcement) at(s scope) []byte {
	if len(a) < announcementHeader {
		return nil
	}
	body := a[announcementHeader:]
	switch s {
	case scopePublic:
		return body[:binary.BigEndian.Uint16(a)]
	case scopePrivate:
		return body[:binary.BigEndian.Uint16(a[2:])]
	default:
		return body
	}
}

// peer decodes the announcement, all its addresses.
func (a announcement) peer() (protocol.Peer, error) {
	return protocol.ParsePeer(a.at(scopeLoopback))
}
