// Package pathtest makes hosts, and relayed and direct connections between them, for
// tests.
package pathtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"
)

// Host returns a host on loopback, which ends with the test.
func Host(t testing.TB, opts ...libp2p.Option) lhost.Host {
	t.Helper()
	h, err := libp2p.New(append(opts, libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// Relay returns a relay with limits, without which connections through it are not
// limited.
func Relay(t testing.TB) lhost.Host {
	t.Helper()
	return Host(t, libp2p.ForceReachabilityPublic(),
		libp2p.EnableRelayService(relayv2.WithLimit(&relayv2.RelayLimit{Duration: time.Hour, Data: 16 << 20})))
}

// Direct connects two hosts directly, also beside a relayed connection, as hole punching
// does.
func Direct(t testing.TB, a, b lhost.Host) {
	t.Helper()
	a.Peerstore().AddAddrs(b.ID(), b.Addrs(), time.Hour)
	if _, err := a.Network().DialPeer(network.WithForceDirectDial(t.Context(), "test"), b.ID()); err != nil {
		t.Fatal(err)
	}
}

// Relayed connects two hosts through a relay.
func Relayed(t testing.TB, a, b, relay lhost.Host) {
	t.Helper()
	if _, err := client.Reserve(t.Context(), b, peer.AddrInfo{ID: relay.ID(), Addrs: relay.Addrs()}); err != nil {
		t.Fatal(err)
	}
	a.Peerstore().ClearAddrs(b.ID()) // else, it would be dialled directly
	circuit := multiaddr.StringCast(fmt.Sprintf("%s/p2p/%s/p2p-circuit", relay.Addrs()[0], relay.ID()))
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: []multiaddr.Multiaddr{circuit}}); err != nil {
		t.Fatal(err)
	}
	if c := a.Network().Connectedness(b.ID()); c != network.Limited {
		t.Fatalf("through the relay, %s is %v, want Limited", b.ID(), c)
	}
}

// Eventually waits until a condition holds, and fails if it does not for 15s.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(15 * time.Second); !holds(); {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("it does not happen: %s", what)
		}
	}
}
