package host

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/multiformats/go-multiaddr"
)

// onLoopback is a host without a network around it.
func onLoopback(t *testing.T, opts ...libp2p.Option) lhost.Host {
	t.Helper()
	h, err := libp2p.New(append([]libp2p.Option{
		libp2p.DisableMetrics(),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// noPortMap leaves the router of the machine alone.
func noPortMap(cfg *libp2p.Config) error {
	cfg.NATManager = nil
	return nil
}

// A host announces the addresses that Config.AppendAnnounce names beside its own, and
// refuses one that cannot be dialled.
func TestAppendAnnounce(t *testing.T) {
	more := []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/60.1.0.1/tcp/4001"), multiaddr.StringCast("/dns4/example.com/udp/4001/quic-v1")}
	var d *DHT
	h := onLoopback(t, Traversal(&d, testConfig(Config{AppendAnnounce: more})), noPortMap)
	addrs := h.Addrs()
	for _, a := range more {
		if !slices.ContainsFunc(addrs, a.Equal) {
			t.Errorf("the addresses are %v, want %v among them", addrs, a)
		}
	}
	if len(addrs) <= len(more) {
		t.Errorf("the addresses are %v, want those of its sockets too", addrs)
	}
	if !d.reach.Reachable() {
		t.Error("a public address is announced, and the node does not take itself for reachable")
	}
	for _, bad := range []string{"/ip4/0.0.0.0/tcp/4001", "/ip4/60.1.0.1", "/ip4/60.1.0.1/tcp/4001/p2p/" + aPeer.String()} {
		cfg := testConfig(Config{AppendAnnounce: []multiaddr.Multiaddr{multiaddr.StringCast(bad)}})
		h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), Traversal(&d, cfg), noPortMap)
		if err == nil {
			_ = h.Close()
			t.Errorf("%s is announced", bad)
		} else if !strings.Contains(err.Error(), "Config.AppendAnnounce") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// Traversal attaches a DHT that is the routing of the host, and that ends with it.
func TestTraversal(t *testing.T) {
	var a, b, c *DHT
	first := onLoopback(t, Traversal(&a, testConfig(Config{})), noPortMap)
	boot := []peer.AddrInfo{info(first)}
	second := onLoopback(t, Traversal(&b, testConfig(Config{Bootstrap: boot})), noPortMap)
	third := onLoopback(t, Traversal(&c, testConfig(Config{Bootstrap: boot})), noPortMap)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := a.Ready(ctx); err != nil { // it knows no peer before the others come
		t.Fatal(err)
	}
	for _, d := range []*DHT{b, c} {
		if err := d.Bootstrap(ctx); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the first node has identified the third", func() bool { return a.table.Announcement(third.ID()) != nil })
	_ = second.Network().ClosePeer(third.ID())
	second.Peerstore().ClearAddrs(third.ID())
	if err := second.Connect(ctx, peer.AddrInfo{ID: third.ID()}); err != nil {
		t.Errorf("connecting by ID: %v", err)
	}
	if missing := CheckTraversal(second); len(missing) != 1 || !strings.Contains(missing[0], "has given the host its address yet") {
		t.Errorf("missing %q, want the public address", missing)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Ready(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("after the host was closed: %v", err)
	}
}

// A Config that makes no sense is an error of libp2p.New, and sets nothing.
func TestTraversalError(t *testing.T) {
	var d *DHT
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), Traversal(&d, Config{}), noPortMap)
	if err == nil {
		_ = h.Close()
		t.Fatal("a host without a name of the network")
	}
	mentions(t, err.Error(), "Config.Network is empty")
	if d != nil {
		t.Error("there is a DHT")
	}
}

// Before the host has started, there is nothing to ask.
func TestTraversalUnstarted(t *testing.T) {
	var unstarted traversal
	if _, err := unstarted.FindPeer(t.Context(), aPeer); !errors.Is(err, errNotStarted) {
		t.Errorf("FindPeer: %v", err)
	}
	if _, open := <-unstarted.relaySource(t.Context(), 1); open {
		t.Error("a relay of a host that has not started")
	}
	if err := unstarted.stop(); err != nil {
		t.Error(err)
	}
}

// What a host lacks is named with the option that adds it.
func TestCheckTraversal(t *testing.T) {
	public := libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr {
		return []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/1.2.3.4/tcp/1")}
	})
	good := []libp2p.Option{libp2p.EnableNATService(), libp2p.EnableAutoNATv2(), public}
	tests := []struct {
		name string
		opts []libp2p.Option
		want []string
	}{
		{"nothing", []libp2p.Option{libp2p.DisableRelay(), libp2p.ForceReachabilityPublic()}, []string{
			"libp2p.DisableRelay", "libp2p.EnableHolePunching", "libp2p.EnableNATService", "libp2p.EnableAutoNATv2",
		}},
		{"no hole punching", good, []string{"hole punching is off: pass"}},
		{"QUIC alone", append([]libp2p.Option{libp2p.NoListenAddrs, libp2p.EnableRelay(), libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1")}, good...), []string{"hole punching", "TCP"}},
		{"TCP alone", append([]libp2p.Option{libp2p.NoListenAddrs, libp2p.EnableRelay(), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0")}, good...), []string{"hole punching", "QUIC"}},
		{"private", []libp2p.Option{libp2p.ForceReachabilityPrivate(), libp2p.EnableAutoNATv2(), public}, []string{"hole punching"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := CheckTraversal(onLoopback(t, tt.opts...))
			if len(got) != len(tt.want) {
				t.Fatalf("missing %q, want %q", got, tt.want)
			}
			for i, want := range tt.want {
				mentions(t, got[i], want)
			}
		})
	}
	h := onLoopback(t, good...)
	h.SetStreamHandler(holepunch.Protocol, func(network.Stream) {})
	if got := CheckTraversal(h); len(got) != 0 {
		t.Errorf("missing %q, want nothing", got)
	}
}
