package scope

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	loopback = "/ip4/127.0.0.1/tcp/1"
	private  = "/ip4/192.168.1.1/tcp/2"
	public   = "/ip4/8.8.8.8/tcp/3"
	relay    = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
)

// Addresses of every scope, the widest last.
var someAddrs = []struct {
	addr string
	want Scope
}{
	{loopback, Loopback},
	{"/ip6/::1/tcp/1", Loopback},
	{"/ip4/127.1.2.3/udp/1/quic-v1", Loopback},
	{private, Private},
	{"/ip4/10.0.0.1/tcp/1", Private},
	{"/ip4/172.16.0.1/tcp/1", Private},
	{"/ip4/169.254.0.1/tcp/1", Private},
	{"/ip6/fe80::1/tcp/1", Private},
	{"/ip6/fd00::1/udp/1/quic-v1", Private},
	{"/ip4/100.64.0.1/tcp/1", Private},
	{"/dns4/printer.local/tcp/1", Private},
	{"/ip6/64:ff9b::c0a8:101/tcp/1", Private}, // NAT64 of 192.168.1.1
	{"/ip6/64:ff9b::808:808/tcp/1", Public},
	{"/ip6/2002:c0a8:101::1/tcp/1", Private}, // 6to4 of 192.168.1.1
	{"/ip6/2002:808:808::1/tcp/1", Public},
	{"/ip6/64:ff9b:1::808:808/tcp/1", Private}, // NAT64 of what the local network wants
	{"/dns4/localhost/tcp/1", Loopback},
	{"/dns/a.LOCALHOST./tcp/1", Loopback},
	{"/dns/127.0.0.1/tcp/1", Loopback},
	{"/dns6/::1/tcp/1", Loopback},
	{"/dns4/192.168.1.1/tcp/1", Private},
	{"/dnsaddr/192.168.1.1", Private},
	{"/dns6/fd00::1/tcp/1", Private},
	{"/dns6/fe80::1%eth0/tcp/1", Private},
	{"/dns6/::ffff:10.0.0.1/tcp/1", Private},
	{"/dns6/64:ff9b::c0a8:101/tcp/1", Private},
	{"/dns4/192.168.1.1/tcp/1/p2p/" + relay + "/p2p-circuit", Private},
	{"/dns4/127.1/tcp/1", Private}, // 127.0.0.1, to some resolvers
	{"/dns4/2130706433/tcp/1", Private},
	{"/dns4/0x7f.0x1/tcp/1", Private},
	{"/dns4/8.8.8.8/tcp/1", Public},
	{"/dns4/4.example.com/tcp/1", Public},
	{public, Public},
	{"/ip4/1.1.1.1/udp/4001/quic-v1", Public},
	{"/ip6/2a00:1450::1/tcp/1", Public},
	{"/dns4/example.com/tcp/443/tls/ws", Public},
	{"/dnsaddr/bootstrap.libp2p.io", Public},
	{public + "/p2p/" + relay + "/p2p-circuit", Public},
	{private + "/p2p/" + relay + "/p2p-circuit", Private},
}

// An address has the scope of the network that it is in; a relayed one that of
// its relay.
func TestOf(t *testing.T) {
	for _, tt := range someAddrs {
		if got := Of(multiaddr.StringCast(tt.addr)); got != tt.want {
			t.Errorf("Of(%s) = %d, want %d", tt.addr, got, tt.want)
		}
	}
}

// The group of a public address is its network; others have none.
func TestGroup(t *testing.T) {
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
		if got := Group(multiaddr.StringCast(addr)); got != want {
			t.Errorf("Group(%s) = %q, want %q", addr, got, want)
		}
	}
}

// What is dialled for an address counts for a place and its network, however the address is
// written.
func TestDialled(t *testing.T) {
	for addr, want := range map[string][2]string{
		"/ip4/9.9.9.9/tcp/1":                      {"9.9.9.9", "9.9.9.0"},
		"/ip4/9.9.9.9/udp/1/quic-v1":              {"9.9.9.9", "9.9.9.0"},
		"/ip6/2002:909:909:1::1/tcp/1":            {"9.9.9.9", "9.9.9.0"}, // 6to4
		"/ip6/2002:909:909:2::1/tcp/1":            {"9.9.9.9", "9.9.9.0"},
		"/ip6/64:ff9b::909:909/tcp/1":             {"9.9.9.9", "9.9.9.0"}, // NAT64
		"/dns4/9.9.9.9/tcp/1":                     {"9.9.9.9", "9.9.9.0"},
		"/ip6/2606:4700:1:1::1/tcp/1":             {"2606:4700:1:1::", "2606:4700:1::"},
		"/ip6/2606:4700:1:2::1/tcp/1":             {"2606:4700:1:2::", "2606:4700:1::"},
		"/ip6/2606:4700:1:2::3:1/udp/1/quic-v1":   {"2606:4700:1:2::", "2606:4700:1::"},
		"/ip6/fe80::1/tcp/1":                      {},
		"/dns4/a.example.com/tcp/1":               {"a.example.com", "example.com"},
		"/dns/a.example.com/tcp/443/wss":          {"a.example.com", "example.com"},
		"/dns/A.eXample.com./tcp/1":               {"a.example.com", "example.com"},
		"/dns/b.a.example.co.uk/tcp/1":            {"b.a.example.co.uk", "example.co.uk"},
		"/dns/node1/tcp/1":                        {"node1", "node1"},
		"/dns/com/tcp/1":                          {"com", "com"},
		public + "/p2p/" + relay + "/p2p-circuit": {"8.8.8.8", "8.8.8.0"},
		private:                {},
		loopback:               {},
		"/dns4/10.0.0.1/tcp/1": {},
	} {
		if place, network := Dialled(multiaddr.StringCast(addr)); [2]string{place, network} != want {
			t.Errorf("Dialled(%s) = %q, %q; want %q", addr, place, network, want)
		}
	}
}

// A public IPv4 address that a socket is bound to counts; a relayed address does not, nor
// an IPv6 address, which may be behind a firewall.
func TestListensPublic(t *testing.T) {
	for addr, want := range map[string]bool{
		public:                    true,
		private:                   false,
		loopback:                  false,
		"/ip6/2a00:1450::1/tcp/1": false,
		"/dns4/example.com/tcp/1": false,
		public + "/p2p/" + relay + "/p2p-circuit": false,
	} {
		if got := ListensPublic([]multiaddr.Multiaddr{multiaddr.StringCast(private), multiaddr.StringCast(addr)}); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
}

// A relayed address names its relay; other addresses name none.
func TestRelayOf(t *testing.T) {
	for addr, want := range map[string]string{
		public + "/p2p/" + relay + "/p2p-circuit":              relay,
		public + "/p2p/" + relay + "/p2p-circuit/p2p/" + relay: relay,
		public + "/p2p/" + relay:                               "",
		public:                                                 "",
		"/p2p-circuit":                                         "",
	} {
		id, ok := RelayOf(multiaddr.StringCast(addr))
		if ok != (want != "") || ok && id != mustDecode(t, want) {
			t.Errorf("RelayOf(%s) = %v, %v; want %q", addr, id, ok, want)
		}
	}
}

func mustDecode(t *testing.T, id string) peer.ID {
	t.Helper()
	decoded, err := peer.Decode(id)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// A peer gets the addresses that reach at least as far as itself.
func TestReaching(t *testing.T) {
	var all []multiaddr.Multiaddr
	for _, a := range someAddrs {
		all = append(all, multiaddr.StringCast(a.addr))
	}
	for _, s := range []Scope{Loopback, Private, Public} {
		want := 0
		for _, a := range someAddrs {
			if a.want >= s {
				want++
			}
		}
		if got := len(Reaching(all, s)); got != want {
			t.Errorf("%d addresses reach %d, want %d", got, s, want)
		}
	}
	if direct := WithoutRelays(all); len(direct) != len(all)-3 || Same(direct, all) || !Same(all, all) {
		t.Errorf("%d of %d addresses are direct", len(direct), len(all))
	}
}

// The IP address and port are what an address begins with.
func TestAddrPort(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/1.2.3.4/tcp/5":                 "1.2.3.4:5",
		"/ip4/1.2.3.4/udp/65535/quic-v1":     "1.2.3.4:65535",
		"/ip6/::ffff:1.2.3.4/tcp/443/tls/ws": "1.2.3.4:443",
		"/ip6/2001:db8::1/udp/5/quic-v1":     "[2001:db8::1]:5",
	} {
		if got := AddrPort(multiaddr.StringCast(addr)).String(); got != want {
			t.Errorf("AddrPort(%s) = %s, want %s", addr, got, want)
		}
	}
	for _, addr := range []string{
		"/p2p-circuit", "/memory/1", "/unix/a", "/ip4/1.2.3.4", "/ip4/1.2.3.4/sctp/1", "/dns4/localhost/tcp/1",
		"/ip6zone/eth0/ip6/fe80::1/tcp/1", "/p2p/" + relay + "/p2p-circuit",
	} {
		if got := AddrPort(multiaddr.StringCast(addr)); got.IsValid() {
			t.Errorf("AddrPort(%s) = %s, want none", addr, got)
		}
	}
	if got := AddrPort(nil); got.IsValid() {
		t.Errorf("AddrPort(nil) = %s, want none", got)
	}
}
