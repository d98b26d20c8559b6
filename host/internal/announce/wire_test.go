package announce

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	loopback = "/ip4/127.0.0.1/tcp/1"
	private  = "/ip4/192.168.1.1/tcp/2"
	public   = "/ip4/8.8.8.8/tcp/3"
	relay    = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
)

var aPeer = peer.ID("\x12\x20" + strings.Repeat("p", 32))

func addrStrings(addrs []multiaddr.Multiaddr) (out []string) {
	for _, a := range addrs {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return out
}

// Addresses of every scope, the widest last.
var someAddrs = []struct {
	addr string
	want scope.Scope
}{
	{loopback, scope.Loopback},
	{"/ip6/::1/tcp/1", scope.Loopback},
	{"/ip4/127.1.2.3/udp/1/quic-v1", scope.Loopback},
	{private, scope.Private},
	{"/ip4/10.0.0.1/tcp/1", scope.Private},
	{"/ip4/172.16.0.1/tcp/1", scope.Private},
	{"/ip4/169.254.0.1/tcp/1", scope.Private},
	{"/ip6/fe80::1/tcp/1", scope.Private},
	{"/ip6/fd00::1/udp/1/quic-v1", scope.Private},
	{"/ip4/100.64.0.1/tcp/1", scope.Private},
	{"/dns4/printer.local/tcp/1", scope.Private},
	{"/ip6/64:ff9b::c0a8:101/tcp/1", scope.Private}, // NAT64 of 192.168.1.1
	{"/ip6/64:ff9b::808:808/tcp/1", scope.Public},
	{"/ip6/2002:c0a8:101::1/tcp/1", scope.Private}, // 6to4 of 192.168.1.1
	{"/ip6/2002:808:808::1/tcp/1", scope.Public},
	{"/dns4/localhost/tcp/1", scope.Loopback},
	{public, scope.Public},
	{"/ip4/1.1.1.1/udp/4001/quic-v1", scope.Public},
	{"/ip6/2a00:1450::1/tcp/1", scope.Public},
	{"/dns4/example.com/tcp/443/tls/ws", scope.Public},
	{"/dnsaddr/bootstrap.libp2p.io", scope.Public},
	{public + "/p2p/" + relay + "/p2p-circuit", scope.Public},
	{private + "/p2p/" + relay + "/p2p-circuit", scope.Private},
}

// A requester of a scope gets exactly the addresses of a peer that reach as far, each
// once, whatever they are; they can be read.
func TestAnnouncement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var addrs []multiaddr.Multiaddr
		picked := rapid.SliceOfN(rapid.SampledFrom(someAddrs), 0, protocol.MaxAddrs).Draw(t, "addrs")
		for _, p := range picked {
			addrs = append(addrs, multiaddr.StringCast(p.addr))
		}
		a := Encode(protocol.Peer{ID: aPeer, Addrs: addrs})
		for _, s := range []scope.Scope{scope.Loopback, scope.Private, scope.Public} {
			var want []string
			for _, p := range picked {
				if p.want >= s {
					want = append(want, p.addr)
				}
			}
			slices.Sort(want)
			want = slices.Compact(want)
			wire := a.For(s)
			if len(want) == 0 {
				if len(wire) != 0 {
					t.Fatalf("scope %d is told %x, want nothing", s, wire)
				}
				continue
			}
			p, err := protocol.ParsePeer(wire)
			if err != nil || p.ID != aPeer {
				t.Fatalf("scope %d is told %v, %v", s, p, err)
			}
			if got := addrStrings(p.Addrs); !slices.Equal(got, want) {
				t.Fatalf("scope %d is told %v, want %v", s, got, want)
			}
		}
		slices.Reverse(addrs)
		if !slices.Equal(a, Encode(protocol.Peer{ID: aPeer, Addrs: addrs})) {
			t.Fatal("the same addresses in another order are announced otherwise")
		}
	})
}

// Bytes that this package has not written are sent to no peer.
func TestAnnouncementOfBytes(t *testing.T) {
	for _, a := range []Wire{nil, {}, {1}, {0, 0, 0}} {
		for _, s := range []scope.Scope{scope.Loopback, scope.Private, scope.Public} {
			if got := a.For(s); got != nil {
				t.Errorf("%v at %d: %v", a, s, got)
			}
		}
	}
}

// A Last gives what Brief gives, and the same memory for the same addresses, scope and proof.
func TestLast(t *testing.T) {
	addrs := []multiaddr.Multiaddr{multiaddr.StringCast(public), multiaddr.StringCast(private), multiaddr.StringCast(loopback)}
	proved := []multiaddr.Multiaddr{multiaddr.StringCast(private)}
	a, b := peer.ID("\x12\x20"+strings.Repeat("a", 32)), peer.ID("\x12\x20"+strings.Repeat("b", 32))
	now := time.Now()
	last := new(Last)
	var before Wire
	for i, tt := range []struct {
		key    string
		p      protocol.Peer
		at     scope.Scope
		proved []multiaddr.Multiaddr
		same   bool // memory as of the one before
	}{
		{"key", protocol.Peer{ID: a, Addrs: addrs}, scope.Private, nil, false},
		{"another", protocol.Peer{ID: a, Addrs: addrs}, scope.Private, nil, true},
		{"key", protocol.Peer{ID: a, Addrs: slices.Clone(addrs)}, scope.Private, nil, false},
		{"key", protocol.Peer{ID: a, Addrs: addrs[:2]}, scope.Private, nil, false},
		{"key", protocol.Peer{ID: a, Addrs: addrs[:2]}, scope.Public, nil, false},
		{"key", protocol.Peer{ID: b, Addrs: addrs[:2]}, scope.Public, nil, false},
		{"key", protocol.Peer{ID: b, Addrs: addrs[:2]}, scope.Public, proved, false},
		{"key", protocol.Peer{ID: b, Addrs: addrs[:2]}, scope.Public, slices.Clone(proved), true},
		{string(b), protocol.Peer{ID: b, Addrs: addrs[:2]}, scope.Public, proved, false},
		{"key", protocol.Peer{ID: b}, scope.Public, proved, false},
	} {
		got := last.Brief([]byte(tt.key), tt.p, tt.at, now, tt.proved...)
		if want := Brief([]byte(tt.key), Restrict(tt.p, tt.at), now, tt.proved...); !bytes.Equal(got, want) {
			t.Errorf("%d: %x, want %x", i, got, want)
		}
		if same := len(got) > 0 && len(before) > 0 && &got[0] == &before[0]; same != tt.same {
			t.Errorf("%d: in the same memory: %v", i, same)
		}
		before = got
	}
}
