package node

import (
	"fmt"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// addresses parses the addresses of a flag, each of which must fit.
func addresses(flag string, given []string, fits func(multiaddr.Multiaddr) bool) ([]multiaddr.Multiaddr, error) {
	var addrs []multiaddr.Multiaddr
	for _, s := range given {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is not a multiaddr (%w): use one such as /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/udp/4001/quic-v1", flag, s, err)
		}
		if !fits(a) {
			return nil, fmt.Errorf("%s: %q cannot be used: use an IP address with a port and no /p2p/, such as /ip4/192.0.2.7/tcp/4001 or /ip4/192.0.2.7/udp/4001/quic-v1", flag, s)
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

// dialable reports whether an address can be announced: one to listen on, of one machine, or
// a DNS name with a port.
func dialable(a multiaddr.Multiaddr) bool {
	if manet.IsIPUnspecified(a) || len(a) < 2 {
		return false
	}
	switch a[0].Protocol().Code {
	case multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6:
		return transported(a)
	default:
		return listenable(a)
	}
}

// listenable reports whether an address has the form of one of the default
// transports: an IP address, a port, and for UDP what is spoken there.
func listenable(a multiaddr.Multiaddr) bool {
	if len(a) < 2 || a[0].Protocol().Code != multiaddr.P_IP4 && a[0].Protocol().Code != multiaddr.P_IP6 {
		return false
	}
	return transported(a)
}

// transported reports whether an address has a port after its first part, and for UDP what
// is spoken there.
func transported(a multiaddr.Multiaddr) bool {
	switch port := a[1].Protocol().Code; a[len(a)-1].Protocol().Code {
	case multiaddr.P_TCP, multiaddr.P_WS, multiaddr.P_WSS:
		return port == multiaddr.P_TCP
	case multiaddr.P_QUIC_V1, multiaddr.P_WEBTRANSPORT, multiaddr.P_WEBRTC_DIRECT:
		return port == multiaddr.P_UDP
	default:
		return false
	}
}
