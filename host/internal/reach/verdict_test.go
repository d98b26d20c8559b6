package reach

import (
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/host/autonat"
)

// Each sign of being reachable has its words.
func TestVerdict(t *testing.T) {
	type s = facts
	for _, tt := range []struct {
		around facts
		want   network.Reachability
		source string
	}{
		{s{}, network.ReachabilityUnknown, "no peer has checked it"},
		{s{publicListen: true}, network.ReachabilityUnknown, "listens on a public IPv4"},
		{s{announced: true}, network.ReachabilityUnknown, "is announced"},
		{s{dialled: time.Now()}, network.ReachabilityUnknown, "has reached the host"},
		{s{confirmed: true, reachability: network.ReachabilityPrivate}, network.ReachabilityPublic, "AutoNAT v2"},
		{s{reachability: network.ReachabilityPrivate, publicListen: true}, network.ReachabilityPrivate, "the host says so"},
		{s{reachability: network.ReachabilityPublic}, network.ReachabilityPublic, "the host says so"},
		{s{denied: true}, network.ReachabilityPrivate, "AutoNAT v2"},
		{s{denied: true, confirmed: true}, network.ReachabilityPublic, "AutoNAT v2 has confirmed"},
	} {
		got, text := tt.around.verdict(source(nil))
		if got != tt.want || !strings.Contains(text, tt.source) {
			t.Errorf("%+v: %v, %q; want %v, %q", tt.around, got, text, tt.want, tt.source)
		}
	}
}

// A natHost is a host with an AutoNAT.
type natHost struct {
	lhost.Host

	nat autonat.AutoNAT
}

func (h natHost) GetAutoNat() autonat.AutoNAT { return h.nat }

// The source of the host's own finding is named where it can be seen.
func TestSource(t *testing.T) {
	for want, h := range map[string]lhost.Host{
		"it was set: libp2p":        natHost{nat: new(autonat.StaticAutoNAT)},
		"AutoNAT v1 says so":        natHost{nat: new(autonat.AmbientAutoNAT)},
		"AutoNAT v1, or it was set": nil,
	} {
		if got := source(h); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The type of NAT is that of each transport, whose labels the host has mixed up.
func TestNAT(t *testing.T) {
	const unknown, dependent, independent = network.NATDeviceTypeUnknown, network.NATDeviceTypeEndpointDependent, network.NATDeviceTypeEndpointIndependent
	r := New(Config{})
	check := func(tcp, udp network.NATDeviceType) {
		t.Helper()
		if gotTCP, gotUDP, worse := r.NAT(); gotTCP != tcp || gotUDP != udp || worse != max(tcp, udp) {
			t.Errorf("TCP %v, UDP %v, the worse %v; want %v, %v", gotTCP, gotUDP, worse, tcp, udp)
		}
		if want := max(tcp, udp) == dependent && tcp != independent && udp != independent; r.Symmetric() != want {
			t.Errorf("TCP %v, UDP %v: symmetric %v", tcp, udp, !want)
		}
	}
	check(unknown, unknown)
	r.sightings.add(seen("udp", 1, "9.9.9.9:1"))
	r.sightings.add(seen("udp", 2, "9.9.9.9:2"))
	check(unknown, dependent)
	r.Handle(event.EvtNATDeviceTypeChanged{TransportProtocol: network.NATTransportTCP, NatDeviceType: independent})
	check(unknown, independent)
	r.Handle(event.EvtNATDeviceTypeChanged{TransportProtocol: network.NATTransportUDP, NatDeviceType: dependent})
	check(dependent, independent)
}
