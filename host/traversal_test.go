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

// noPortMap leaves the router of whoever runs the test alone.
func noPortMap(cfg *libp2p.Config) error {
	cfg.NATManager = nil
	return nil
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
	for _, d := range []*DHT{a, b, c} {
		if err := d.Bootstrap(ctx); err != nil {
			t.Fatal(err)
		}
	}
	_ = second.Network().ClosePeer(third.ID())
	second.Peerstore().ClearAddrs(third.ID())
	if err := second.Connect(ctx, peer.AddrInfo{ID: third.ID()}); err != nil {
		t.Errorf("connecting by ID: %v", err)
	}
	if missing := CheckTraversal(second); len(missing) != 1 || !strings.Contains(missing[0], "has told the host its address yet") {
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
		t.Error("a relay of nobody")
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

// The best relays are in networks of their own, and near.
func TestBestRelays(t *testing.T) {
	candidate := func(id string, rtt time.Duration, addr string) relayCandidate {
		return relayCandidate{AddrInfo: peer.AddrInfo{ID: peer.ID(id)}, rtt: rtt, group: relayGroup(multiaddr.StringCast(addr))}
	}
	all := []relayCandidate{
		candidate("unknown", 0, "/ip4/1.1.1.1/tcp/1"),
		candidate("far", 90*time.Millisecond, "/ip4/2.2.2.2/tcp/1"),
		candidate("near", 10*time.Millisecond, "/ip4/3.3.3.3/tcp/1"),
		candidate("beside", 20*time.Millisecond, "/ip4/3.3.4.4/tcp/1"),
		candidate("six", 30*time.Millisecond, "/ip6/2a00:1:2::1/tcp/1"),
		candidate("six too", 40*time.Millisecond, "/ip6/2a00:1:3::1/tcp/1"),
	}
	tests := []struct {
		taken string
		n     int
		want  []peer.ID
	}{
		{"/ip4/9.9.9.9/tcp/1", 9, []peer.ID{"near", "six", "far", "unknown", "beside", "six too"}},
		{"/ip4/9.9.9.9/tcp/1", 2, []peer.ID{"near", "six"}},
		{"/ip4/3.3.9.9/tcp/1", 2, []peer.ID{"six", "far"}},
		{"/ip4/3.3.9.9/tcp/1", 5, []peer.ID{"six", "far", "unknown", "near", "beside"}},
		{"/ip4/3.3.9.9/tcp/1", 0, nil},
	}
	for _, tt := range tests {
		var got []peer.ID
		for _, c := range bestRelays(slices.Clone(all), []string{relayGroup(multiaddr.StringCast(tt.taken))}, tt.n) {
			got = append(got, c.ID)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%d beside %s: %v, want %v", tt.n, tt.taken, got, tt.want)
		}
	}
}

// A relay is proposed once in a while, not while it is in use, and at once when
// another was lost; lookups become rare while they bring nothing.
func TestRelayMemory(t *testing.T) {
	r := relays{wake: make(chan struct{}, 1)}
	now := time.Now()
	via := func(id string) multiaddr.Multiaddr {
		return multiaddr.StringCast("/ip4/1.2.3.4/tcp/1/p2p/" + id + "/p2p-circuit")
	}
	used, err := peer.Decode(relay)
	if err != nil {
		t.Fatal(err)
	}
	r.hold([]multiaddr.Multiaddr{via(relay), via(relay), multiaddr.StringCast("/ip4/1.2.3.4/tcp/1")})
	if got := r.holds(); !slices.Equal(got, []peer.ID{used}) {
		t.Errorf("holds %v", got)
	}
	if r.propose(now, used) {
		t.Error("a relay in use was proposed")
	}
	if !r.propose(now, aPeer) || r.propose(now.Add(offerAgain-1), aPeer) || !r.propose(now.Add(offerAgain), aPeer) {
		t.Error("not proposed first, at once again, or not later")
	}
	for _, want := range []time.Duration{minRelayPause, 2 * minRelayPause, 4 * minRelayPause} {
		if due, next := r.due(now); !due || next.Sub(now) != want {
			t.Errorf("due %v, next after %v, want %v", due, next.Sub(now), want)
		}
		if due, _ := r.due(now.Add(want - 1)); due {
			t.Error("due too early")
		}
		now = now.Add(want)
	}
	for range 10 {
		now = now.Add(maxRelayPause)
		if due, next := r.due(now); !due || next.Sub(now) > maxRelayPause {
			t.Errorf("due %v, next after %v", due, next.Sub(now))
		}
	}
	r.lose(now, aPeer, true) // not a relay of ours
	r.lose(now, used, true)
	if len(r.holds()) != 0 || len(r.overlooked(now)) != 0 || !slices.Equal(r.overlooked(now.Add(overlookedAfter)), []peer.ID{used}) {
		t.Error("a lost relay counts, or is overlooked at once, or never")
	}
	r.hold(nil)
	if due, _ := r.due(now); !due {
		t.Error("a relay was lost, and no lookup is due")
	}
	if len(r.overlooked(now.Add(time.Hour))) != 0 {
		t.Error("it is overlooked, though it is not held any more")
	}
}
