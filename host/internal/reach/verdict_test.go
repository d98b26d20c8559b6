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

// The less favourable type of NAT counts, whatever the label.
func TestNAT(t *testing.T) {
	r := New(Config{})
	if got := r.NAT(); got != network.NATDeviceTypeUnknown {
		t.Errorf("%v before it is known", got)
	}
	r.Handle(event.EvtNATDeviceTypeChanged{TransportProtocol: network.NATTransportTCP, NatDeviceType: network.NATDeviceTypeEndpointDependent})
	r.Handle(event.EvtNATDeviceTypeChanged{TransportProtocol: network.NATTransportUDP, NatDeviceType: network.NATDeviceTypeEndpointIndependent})
	if got := r.NAT(); got != network.NATDeviceTypeEndpointDependent {
		t.Errorf("%v, want endpoint dependent", got)
	}
	r.Handle(event.EvtNATDeviceTypeChanged{TransportProtocol: network.NATTransportTCP, NatDeviceType: network.NATDeviceTypeEndpointIndependent})
	if got := r.NAT(); got != network.NATDeviceTypeEndpointIndependent {
		t.Errorf("%v, want endpoint independent", got)
	}
}
