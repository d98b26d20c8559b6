package host

import (
	"slices"
	"testing"

	"github.com/multiformats/go-multiaddr"
	"pgregory.net/rapid"

	"github.com/go-kad/kad/protocol"
)

// Addresses of every scope, the widest last.
var someAddrs = []struct {
	addr string
	want scope
}{
	{loopback, scopeLoopback},
	{"/ip6/::1/tcp/1", scopeLoopback},
	{"/ip4/127.1.2.3/udp/1/quic-v1", scopeLoopback},
	{private, scopePrivate},
	{"/ip4/10.0.0.1/tcp/1", scopePrivate},
	{"/ip4/172.16.0.1/tcp/1", scopePrivate},
	{"/ip4/169.254.0.1/tcp/1", scopePrivate},
	{"/ip6/fe80::1/tcp/1", scopePrivate},
	{"/ip6/fd00::1/udp/1/quic-v1", scopePrivate},
	{"/ip4/100.64.0.1/tcp/1", scopePrivate},
	{"/dns4/printer.local/tcp/1", scopePrivate},
	{"/ip6/64:ff9b::c0a8:101/tcp/1", scopePrivate}, // NAT64 of 192.168.1.1
	{"/ip6/64:ff9b::808:808/tcp/1", scopePublic},
	{"/ip6/2002:c0a8:101::1/tcp/1", scopePrivate}, // 6to4 of 192.168.1.1
	{"/ip6/2002:808:808::1/tcp/1", scopePublic},
	{"/dns4/localhost/tcp/1", scopePrivate},
	{public, scopePublic},
	{"/ip4/1.1.1.1/udp/4001/quic-v1", scopePublic},
	{"/ip6/2a00:1450::1/tcp/1", scopePublic},
	{"/dns4/example.com/tcp/443/tls/ws", scopePublic},
	{"/dnsaddr/bootstrap.libp2p.io", scopePublic},
	{public + "/p2p/" + relay + "/p2p-circuit", scopePublic},
	{private + "/p2p/" + relay + "/p2p-circuit", scopePrivate},
}

// An address has the scope of the network that it is in; a relayed one that of
// its relay.
func TestScopeOf(t *testing.T) {
	for _, tt := range someAddrs {
		if got := scopeOf(multiaddr.StringCast(tt.addr)); got != tt.want {
			t.Errorf("scopeOf(%s) = %d, want %d", tt.addr, got, tt.want)
		}
	}
}

// Whatever the addresses of a peer, what a scope is told of them can be read, and
// is exactly those that reach as far, each once.
func TestAnnouncement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var addrs []multiaddr.Multiaddr
		picked := rapid.SliceOfN(rapid.SampledFrom(someAddrs), 0, protocol.MaxAddrs).Draw(t, "addrs")
		for _, p := range picked {
			addrs = append(addrs, multiaddr.StringCast(p.addr))
		}
		a := announce(aPeer, addrs)
		for _, s := range []scope{scopeLoopback, scopePrivate, scopePublic} {
			var want []string
			for _, p := range picked {
				if p.want >= s {
					want = append(want, p.addr)
				}
			}
			slices.Sort(want)
			want = slices.Compact(want)
			wire := a.at(s)
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
		if !slices.Equal(a, announce(aPeer, addrs)) {
			t.Fatal("the same addresses in another order are announced otherwise")
		}
	})
}

// What is none of ours is told to nobody.
func TestAnnouncementOfBytes(t *testing.T) {
	for _, a := range []announcement{nil, {}, {1}, {0, 0, 0}} {
		for _, s := range []scope{scopeLoopback, scopePrivate, scopePublic} {
			if got := a.at(s); got != nil {
				t.Errorf("%v at %d: %v", a, s, got)
			}
		}
	}
}

// The group of a public address is its network; others have none.
func TestGroupOf(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/8.8.8.8/tcp/1":             "8.8.8.0",
		"/ip4/8.8.8.200/udp/9/quic-v1":   "8.8.8.0",
		"/ip4/8.8.9.8/tcp/1":             "8.8.9.0",
		"/ip6/2a00:1450:4001:1::1/tcp/1": "2a00:1450:4001::",
		"/ip6/2a00:1450:4001:2::1/tcp/1": "2a00:1450:4001::",
		"/dns4/example.com/tcp/1":        "",
		loopback:                         "",
		private:                          "",
	} {
		if got := groupOf(multiaddr.StringCast(addr)); got != want {
			t.Errorf("groupOf(%s) = %q, want %q", addr, got, want)
		}
	}
}

// Addresses of one peer become one entry; the error names the address that is
// none, and what is missing.
func TestParseAddrs(t *testing.T) {
	infos, err := ParseAddrs(public+"/p2p/"+relay, private+"/p2p/"+relay, loopback+"/p2p/"+aPeer.String())
	if err != nil || len(infos) != 2 || len(infos[0].Addrs) != 2 || infos[1].ID != aPeer {
		t.Errorf("ParseAddrs() = %v, %v; want two peers, the first with two addresses", infos, err)
	}
	for addr, want := range map[string]string{
		"localhost:4001":      "is not the address of a peer",
		public:                "is not the address of a peer",
		"/p2p/" + relay:       "not where",
		public + "/p2p/Qmxxx": "is not the address of a peer",
	} {
		_, err := ParseAddrs(addr)
		if err == nil {
			t.Errorf("ParseAddrs(%q) took it", addr)
			continue
		}
		mentions(t, err.Error(), addr, want)
	}
}
