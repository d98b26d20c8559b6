package net_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
)

// A peer that has no address but one through a relay is found by its presence, and
// reached through the relay; a direct connection, if one comes, is taken.
func TestConnectThroughRelay(t *testing.T) {
	relay := relayHost(t)
	relayInfo := peer.AddrInfo{ID: relay.ID(), Addrs: relay.Addrs()}
	cfg := kad.Config{Network: "/relayed", Bootstrap: []peer.AddrInfo{relayInfo}}
	nodeOn(t, relay, kad.Config{Network: cfg.Network})

	circuit := multiaddr.StringCast(fmt.Sprintf("%s/p2p/%s/p2p-circuit", relay.Addrs()[0], relay.ID()))
	hidden := newHost(t, libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr {
		return []multiaddr.Multiaddr{circuit}
	}))
	if err := hidden.Connect(t.Context(), relayInfo); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Reserve(t.Context(), hidden, relayInfo); err != nil {
		t.Fatal(err)
	}
	quiet := cfg
	quiet.Mode = kad.ModeClient
	nodeOn(t, hidden, quiet)
	seeker := newHost(t)
	d := nodeOn(t, seeker, quiet) // a client: the hidden peer finds it in no table, and does not dial it

	var found kad.Location
	for deadline := time.Now().Add(patience); len(found.Addrs) == 0 || found.Addrs[0].Source != kad.SourceCertified; {
		if time.Now().After(deadline) {
			t.Fatalf("its presence is not found: %v", found)
		}
		found, _ = d.Locate(t.Context(), hidden.ID())
	}
	got, err := d.Connect(t.Context(), hidden.ID(), kad.WaitDirect(0))
	if err != nil || got.Via != kad.ViaRelayed || !strings.HasSuffix(got.Addr.String(), "/p2p-circuit") {
		t.Fatalf("Connect() = %v at %v, %v; want a relayed connection", got.Via, got.Addr, err)
	}
	if c := seeker.Network().Connectedness(hidden.ID()); c != network.Limited {
		t.Errorf("the connection is %v", c)
	}

	// Now the other side makes a direct connection, as after a hole punch.
	hidden.Peerstore().AddAddrs(seeker.ID(), seeker.Addrs(), peerstore.TempAddrTTL)
	time.AfterFunc(0, func() {
		_, _ = hidden.Network().DialPeer(network.WithForceDirectDial(t.Context(), "test"), seeker.ID())
	})
	got, err = d.Connect(t.Context(), hidden.ID(), kad.WaitDirect(patience))
	if err != nil || got.Via == kad.ViaRelayed || strings.HasSuffix(got.Addr.String(), "/p2p-circuit") {
		t.Fatalf("Connect() = %v at %v, %v; want a direct connection", got.Via, got.Addr, err)
	}
}

// newHost returns a host on loopback, which is closed at the end.
func newHost(t *testing.T, opts ...libp2p.Option) host.Host {
	t.Helper()
	h, err := libp2p.New(append(opts, libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func relayHost(t *testing.T) host.Host {
	t.Helper()
	return newHost(t, libp2p.ForceReachabilityPublic(), libp2p.EnableRelayService())
}

// nodeOn returns a node on a host, which is closed at the end.
func nodeOn(t *testing.T, h host.Host, cfg kad.Config) *kad.DHT {
	t.Helper()
	d, err := kad.New(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}
