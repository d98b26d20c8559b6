package reach

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
)

// seen is a sighting of a socket by the n-th peer.
func seen(transport string, n byte, at string) sighting {
	return sighting{socket{transport, 4001}, netip.AddrFrom4([4]byte{1, 1, 1, n}), netip.MustParseAddrPort(at)}
}

func TestMapping(t *testing.T) {
	for name, c := range map[string]struct {
		seen []sighting
		want network.NATDeviceType
	}{
		"none":                 {nil, network.NATDeviceTypeUnknown},
		"one":                  {[]sighting{seen("udp", 1, "9.9.9.9:1")}, network.NATDeviceTypeUnknown},
		"the same peer twice":  {[]sighting{seen("udp", 1, "9.9.9.9:1"), seen("udp", 1, "9.9.9.9:2")}, network.NATDeviceTypeUnknown},
		"one port":             {[]sighting{seen("udp", 1, "9.9.9.9:1"), seen("udp", 2, "9.9.9.9:1")}, network.NATDeviceTypeEndpointIndependent},
		"a port for each":      {[]sighting{seen("udp", 1, "9.9.9.9:1"), seen("udp", 2, "9.9.9.9:2")}, network.NATDeviceTypeEndpointDependent},
		"one lies":             {[]sighting{seen("udp", 1, "9.9.9.9:1"), seen("udp", 2, "9.9.9.9:2"), seen("udp", 3, "9.9.9.9:1")}, network.NATDeviceTypeEndpointIndependent},
		"the router has moved": {[]sighting{seen("udp", 1, "9.9.9.9:1"), seen("udp", 2, "8.8.8.8:2")}, network.NATDeviceTypeUnknown},
		"other sockets":        {[]sighting{seen("udp", 1, "9.9.9.9:1"), seen("tcp", 2, "9.9.9.9:2")}, network.NATDeviceTypeUnknown},
		"another transport":    {[]sighting{seen("udp", 1, "9.9.9.9:1"), seen("udp", 2, "9.9.9.9:1"), seen("tcp", 1, "9.9.9.9:1"), seen("tcp", 2, "9.9.9.9:2")}, network.NATDeviceTypeEndpointIndependent},
	} {
		var s sightings
		for _, one := range c.seen {
			s.add(one)
		}
		if got := s.mapping(transportUDP); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	var s sightings
	for i := range byte(2 * maxSightings) {
		s.add(seen("udp", i, "9.9.9.9:1"))
	}
	if len(s) != maxSightings || s[0].by.As4()[3] != maxSightings {
		t.Errorf("%d sightings are kept, the first of %v", len(s), s[0].by)
	}
}

// The places at which the host was seen are those of the last sightings, each once.
func TestPlaces(t *testing.T) {
	var s sightings
	for i, at := range []string{"9.9.9.1:1", "9.9.9.2:1", "9.9.9.3:1", "9.9.9.4:1", "9.9.9.5:1", "9.9.9.4:2"} {
		s.add(seen("udp", byte(i), at))
	}
	want := []string{"9.9.9.4", "9.9.9.5", "9.9.9.3", "9.9.9.2"}
	if got := fmt.Sprint(s.places()); got != fmt.Sprint(want) {
		t.Errorf("seen at %v, want %v", got, want)
	}
}

// A dialled is a connection with a local address.
type dialledConn struct {
	conn

	local string
}

func (c dialledConn) LocalMultiaddr() multiaddr.Multiaddr { return multiaddr.StringCast(c.local) }

func TestSightingOf(t *testing.T) {
	const here, there, out = "/ip4/0.0.0.0/udp/4001/quic-v1", "/ip4/1.1.1.1/udp/9/quic-v1", "/ip4/9.9.9.9/udp/7/quic-v1"
	sees := func(dir network.Direction, remote, local, observed string) (sighting, bool) {
		return sightingOf(event.EvtPeerIdentificationCompleted{
			Conn:         dialledConn{conn{from: "a", addr: remote, dir: dir}, local},
			ObservedAddr: multiaddr.StringCast(observed),
		})
	}
	got, ok := sees(network.DirOutbound, there, here, out)
	if want := (sighting{got.socket, netip.MustParseAddr("1.1.1.1"), netip.MustParseAddrPort("9.9.9.9:7")}); !ok || got != want {
		t.Errorf("%+v, %v; want %+v", got, ok, want)
	}
	if other, ok := sees(network.DirOutbound, "/ip4/1.1.1.1/tcp/9", "/ip4/10.0.0.1/tcp/4001", "/ip4/9.9.9.9/tcp/7"); !ok || other.socket == got.socket {
		t.Errorf("over TCP: %+v, %v", other, ok)
	}
	for name, c := range map[string]struct {
		dir                     network.Direction
		remote, local, observed string
	}{
		"inbound":          {network.DirInbound, there, here, out},
		"a private peer":   {network.DirOutbound, "/ip4/10.0.0.2/udp/9/quic-v1", here, out},
		"a private view":   {network.DirOutbound, there, here, "/ip4/10.0.0.1/udp/7/quic-v1"},
		"IPv6":             {network.DirOutbound, "/ip6/2606:4700::1/udp/9/quic-v1", here, "/ip6/2606:4700::2/udp/7/quic-v1"},
		"no port":          {network.DirOutbound, there, here, "/ip4/9.9.9.9"},
		"through a relay":  {network.DirOutbound, there + "/p2p/12D3KooWSRKmhMiP3bisfpibCsoGXLh959HiVF4qHrDTAGToG4ca/p2p-circuit", here, out},
		"no local address": {network.DirOutbound, there, "/ip4/0.0.0.0/udp/0", out},
	} {
		if got, ok := sees(c.dir, c.remote, c.local, c.observed); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if _, ok := sightingOf(event.EvtPeerIdentificationCompleted{}); ok {
		t.Error("nothing was seen")
	}
}
