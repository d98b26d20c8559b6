package reach

import (
	"slices"
	"testing"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/roomtest"
)

// A listening is a host that listens on port 4001, through a relay, and where no IP is.
type listening struct{ lhost.Host }

func (listening) Network() network.Network { return listeningNetwork{} }

type listeningNetwork struct{ network.Network }

func (listeningNetwork) ListenAddresses() []multiaddr.Multiaddr {
	return roomtest.Addrs("/ip4/0.0.0.0/udp/4001/quic-v1", "/ip6/::/udp/4001/quic-v1", "/ip4/0.0.0.0/tcp/4001",
		"/p2p-circuit", "/memory/1", "/unix/a", "/dns4/localhost/tcp/1")
}

// The host is seen at the places of the last sightings of what it listens on, two for each
// transport, each place once.
func TestSeenAs(t *testing.T) {
	r := New(Config{Host: listening{}})
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
