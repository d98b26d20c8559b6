package host

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/routing"
)

// Hosts that listen at addresses of unusual forms make up a network.
func TestOddHosts(t *testing.T) { synctest.Test(t, testOddHosts) }

func testOddHosts(t *testing.T) {
	n := newTestNet(t)
	var nodes []*DHT
	var bootstrap []peer.AddrInfo
	for _, addr := range []string{
		"/memory/1", "/unix/a", "/p2p-circuit", "/dns4/localhost/tcp/1", "/dnsaddr/example.org", "/ip4/8.8.8.8", "/tcp/1", "/ws",
		"/ip6zone/eth0/ip6/fe80::1/tcp/1", "/ip4/8.8.8.8/udp/1/quic-v1/webtransport", "/ip4/8.8.8.8/udp/1/webrtc-direct", relayedAddr,
	} {
		h := n.hostOn(addr, func(routing.Key) bool { return true })
		cfg := Config{Mode: ModeServer, Bootstrap: bootstrap, RefreshInterval: time.Minute}
		nodes = append(nodes, n.attach(h, cfg))
		bootstrap = append(bootstrap, peer.AddrInfo{ID: h.ID(), Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(addr)}})
	}
	time.Sleep(time.Hour)
	for i, d := range nodes {
		other := nodes[(i+5)%len(nodes)]
		if err := d.Ready(t.Context()); err != nil {
			t.Errorf("a node at %v: %v", d.host.Addrs(), err)
		}
		key := "/v/" + strings.Repeat("a", i+1)
		if _, err := d.Put(t.Context(), key, []byte("1")); err != nil {
			t.Errorf("a node at %v: %v", d.host.Addrs(), err)
		}
		if _, err := other.GetValue(t.Context(), key); err != nil {
			t.Errorf("a node at %v: %v", other.host.Addrs(), err)
		}
		_, _ = d.Announce(t.Context(), testCID(key)) // an address that no peer can use is refused
		for range other.Providers(t.Context(), testCID(key), 0) {
		}
		_, _ = d.Locate(t.Context(), other.ID())
		_, _ = d.Connect(t.Context(), other.ID(), WaitDirect(0))
		_, _ = d.Diagnose(t.Context())
		d.Stats()
		d.Table()
	}
	_ = nodes[0].Leave(t.Context())
}

// Arguments that make no sense are refused.
func TestOddArguments(t *testing.T) { synctest.Test(t, testOddArguments) }

func testOddArguments(t *testing.T) {
	d := newTestNet(t).nodes(3, Config{})[2]
	ctx := t.Context()
	long := strings.Repeat("a", 2<<20)
	for _, key := range []string{"", "/", "//", "/v", "/v/", "/other/key", "/pk/", "/v/" + long, "\xff"} {
		_, err := d.Put(ctx, key, nil)
		if err == nil {
			t.Errorf("a put under %.10q succeeds", key)
		}
		_, _ = d.Put(ctx, key, []byte(long))
		for _, opt := range []int{-1, math.MaxInt} {
			_, _ = d.Put(ctx, key, []byte("1"), Quorum(opt))
			_, _ = d.GetValue(ctx, key, Quorum(opt))
			_, err := d.GetValues(ctx, key, Paths(opt))
			if err == nil {
				t.Errorf("%d paths are taken", opt)
			}
		}
		_, _ = d.ClosestPeers(ctx, []byte(key))
		_ = d.StopPublishing(ctx, key)
		_, _ = NamespaceCID(key)
		for _, count := range []int{math.MinInt, math.MaxInt} {
			for range d.Discover(ctx, key, count) {
			}
		}
		for _, ttl := range []time.Duration{math.MinInt64, 1, math.MaxInt64} {
			_, _ = d.Advertise(ctx, key, discovery.TTL(ttl))
		}
	}
	for _, id := range []peer.ID{"", "\x00", "\x12\x20", "\x00\x24\x08\x01\x12\x20", peer.ID(long), calltest.ID(0), d.ID()} {
		_, _ = d.Locate(ctx, id)
		_, _ = d.FindPeer(ctx, id)
		_, _ = d.GetPublicKey(ctx, id)
		_, _ = d.Connect(ctx, id, WaitDirect(math.MaxInt64))
	}
	_, err := d.Announce(ctx, cid.Undef)
	if err == nil || d.StopProviding(ctx, cid.Undef) == nil {
		t.Error("the content without a CID is announced")
	}
	for _, err := range d.Providers(ctx, cid.Undef, math.MinInt) {
		if err == nil {
			t.Error("the content without a CID is found")
		}
	}
	for _, text := range []string{"", "/", "/p2p", "/p2p/", "/ip4/1.2.3.4", "/p2p-circuit", aRelay, long, "\xff"} {
		if _, err := ParseAddrs(text); err == nil {
			t.Errorf("%.10q is an address of a peer", text)
		}
	}
	time.Sleep(time.Hour) // what was taken is published again, and expires
}
