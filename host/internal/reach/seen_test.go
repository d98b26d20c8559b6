package reach

import (
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/roomtest"
)

// A listening is a host that listens on port 4001, and at addresses of any other form.
type listening struct {
	lhost.Host

	net listeningNetwork
}

func (l listening) Network() network.Network { return l.net }

type listeningNetwork struct {
	network.Network
	odd []multiaddr.Multiaddr
}

func (l listeningNetwork) ListenAddresses() []multiaddr.Multiaddr {
	return append(roomtest.Addrs("/ip4/0.0.0.0/udp/4001/quic-v1", "/ip6/::/udp/4001/quic-v1", "/ip4/0.0.0.0/tcp/4001"), l.odd...)
}

// The host is seen at the places of the last sightings of what it listens on, two for each
// transport, each place once.
func TestSeenAs(t *testing.T) {
	r := New(Config{Host: listening{net: listeningNetwork{odd: roomtest.OddAddrs(t)}}})
	for i, at := range []string{"9.9.9.1:1", "9.9.9.2:2", "9.9.9.3:3", "9.9.9.3:3", "9.9.9.4:4"} {
		r.sightings.add(seen("udp", byte(i), at))
	}
	r.sightings.add(seen("tcp", 1, "9.9.9.5:5"))
	other := seen("tcp", 2, "9.9.9.6:6")
	other.socket.port = 50000 // of a dial that could not use the port on which the host listens
	r.sightings.add(other)
	want := roomtest.Addrs("/ip4/9.9.9.5/tcp/5", "/ip4/9.9.9.4/udp/4/quic-v1", "/ip4/9.9.9.3/udp/3/quic-v1")
	if got := r.SeenAs(); !slices.EqualFunc(got, want, multiaddr.Multiaddr.Equal) {
		t.Errorf("seen as %v, want %v", got, want)
	}
}

// An oddConn is a connection that the host has dialled, with any addresses at its ends.
type oddConn struct {
	network.Conn

	remote, local multiaddr.Multiaddr
}

func (oddConn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Direction: network.DirOutbound}}
}
func (c oddConn) RemoteMultiaddr() multiaddr.Multiaddr { return c.remote }
func (c oddConn) LocalMultiaddr() multiaddr.Multiaddr  { return c.local }

// A connection with odd addresses at its ends, or that says an odd one of the host, tells of a
// NAT if all three have an IPv4 address and a port.
func TestOddSightings(t *testing.T) {
	usual := multiaddr.StringCast("/ip4/8.8.8.8/udp/1/quic-v1")
	for _, odd := range roomtest.OddAddrs(t) {
		for _, ends := range [][3]multiaddr.Multiaddr{{odd, usual, usual}, {usual, odd, usual}, {usual, usual, odd}, {odd, odd, odd}} {
			e := event.EvtPeerIdentificationCompleted{Conn: oddConn{remote: ends[0], local: ends[1]}, ObservedAddr: ends[2]}
			if seen, ok := sightingOf(e); ok && (!seen.by.Is4() || !seen.at.IsValid() || seen.socket.port == 0) {
				t.Errorf("%v is a sighting: %v", ends, seen)
			}
		}
	}
}
