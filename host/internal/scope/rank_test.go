package scope

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/multiformats/go-multiaddr"
)

const aRelay = "/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N/p2p-circuit"

func parse(texts ...string) (addrs []multiaddr.Multiaddr) {
	for _, s := range texts {
		addrs = append(addrs, multiaddr.StringCast(s))
	}
	return addrs
}

// The most useful addresses are first, whatever the order in which they are given.
func TestRank(t *testing.T) {
	for _, tt := range []struct {
		name   string
		want   []string // in this order
		proved []string
	}{
		{"by how far they reach", []string{
			"/ip4/8.8.8.8/tcp/1", "/ip4/9.9.9.9/tcp/1" + aRelay, "/ip4/192.168.7.20/tcp/1",
			"/ip4/172.18.0.1/tcp/1", "/ip4/169.254.3.4/tcp/1", "/ip4/127.0.0.1/tcp/1",
		}, nil},
		{"each IP address in turn", []string{
			"/ip4/8.8.8.8/udp/1/quic-v1", "/ip4/10.0.7.7/udp/1/quic-v1", "/ip4/8.8.8.8/tcp/1", "/ip4/10.0.7.7/tcp/1", "/ip4/8.8.8.8/tcp/1/ws",
		}, nil},
		{"a third port last", []string{
			"/ip4/8.8.8.8/tcp/1", "/ip4/192.168.7.20/tcp/1", "/ip4/8.8.8.8/tcp/2", "/ip4/8.8.8.8/tcp/3", "/ip4/8.8.8.8/tcp/4",
		}, nil},
		{"a third port after all of another IP address", []string{
			"/ip4/8.8.8.8/tcp/1", "/ip4/192.168.7.20/udp/1/quic-v1", "/ip4/8.8.8.8/tcp/2", "/ip4/192.168.7.20/tcp/1",
			"/ip4/192.168.7.20/udp/1/quic-v1/webtransport", "/ip4/192.168.7.20/tcp/1/ws", "/ip4/8.8.8.8/tcp/3",
		}, nil},
		{"all that connections have proved before others", []string{
			"/ip4/10.0.7.7/udp/1/quic-v1", "/ip4/10.0.7.7/tcp/1", "/ip4/8.8.8.8/tcp/1",
		}, []string{"/ip4/10.0.7.7/udp/1/quic-v1", "/ip4/10.0.7.7/tcp/1"}},
		{"the network of Docker", []string{"/ip4/172.18.0.5/tcp/1", "/ip4/172.17.0.5/tcp/1"}, nil},
		{"no network of Docker", []string{"/ip4/10.17.0.5/tcp/1", "/ip4/172.17.0.5/tcp/1"}, nil},
		{"a relay counts once", []string{
			"/ip4/9.9.9.9/tcp/1" + aRelay, "/ip4/192.168.7.20/tcp/1", "/ip4/9.9.9.8/tcp/1" + aRelay,
		}, nil},
		{"what a connection has proved", []string{
			"/ip4/172.17.0.1/tcp/1", "/ip4/10.0.7.7/tcp/1", "/ip4/8.8.8.8/tcp/1", "/ip4/127.0.0.1/tcp/1",
		}, []string{"/ip4/172.17.0.1/tcp/1", "/ip4/10.0.7.7/udp/55555/quic-v1"}},
		{"a router is not a bridge where a connection has shown it", []string{
			"/ip4/192.168.1.1/tcp/1", "/ip4/10.0.7.7/tcp/1", "/ip4/10.1.0.1/tcp/1",
		}, []string{"/ip4/192.168.1.1/tcp/55555"}},
		{"IPv6", []string{"/ip6/2a00:1450::1/tcp/1", "/ip6/fd12:3456::20/tcp/1", "/ip6/fd00::1/tcp/1", "/ip6/fe80::20/tcp/1", "/ip6/::1/tcp/1"}, nil},
		{"names", []string{"/dns4/example.com/tcp/1", "/dns4/printer.local/tcp/1"}, nil},
	} {
		want := parse(tt.want...)
		for i := range want {
			given := slices.Concat(want[i:], want[:i]) // equals keep their order
			if strings.HasPrefix(tt.name, "a third port") || tt.name == "a relay counts once" {
				given = want
			}
			if got := Rank(given, parse(tt.proved...)); !slices.EqualFunc(got, want, multiaddr.Multiaddr.Equal) {
				t.Errorf("%s: Rank(%v) = %v, want %v", tt.name, given, got, want)
				break
			}
		}
	}
}

// Of 32 useless addresses and one that works, that one is kept, however few are.
func TestBestKeepsTheUseful(t *testing.T) {
	var useless []string
	for i := range 8 {
		for _, transport := range []string{"tcp/1", "tcp/1/ws", "udp/1/quic-v1", "udp/1/quic-v1/webtransport"} {
			useless = append(useless, fmt.Sprintf("/ip4/172.%d.0.1/%s", 17+i, transport))
		}
	}
	var ports, nets []string
	for i := range 32 {
		ports = append(ports, fmt.Sprintf("/ip4/8.8.8.8/tcp/%d", i+1))
		nets = append(nets, fmt.Sprintf("/ip4/10.%d.0.7/tcp/%d", i/4, i+1))
	}
	for _, tt := range []struct {
		name   string
		others []string
		works  string
		proved []string
		keep   int
	}{
		{"bridges", useless, "/ip6/2a00:1450::1/tcp/4001", nil, 1},
		{"bridges, local", useless, "/ip6/fd12::20/tcp/4001", nil, 1},
		{"ports of one address", ports, "/ip6/fd12::20/tcp/4001", nil, 2},
		{"networks", nets, "/ip6/fd12::20/tcp/4001", nil, 9},
		{"networks, proved", nets, "/ip6/fd12::20/tcp/4001", []string{"/ip6/fd12::20/tcp/4001"}, 1},
		{"bridges, proved", useless, "/ip6/fe80::20/tcp/4001", []string{"/ip6/fe80::20/tcp/50000"}, 1},
	} {
		got := Best(parse(append(slices.Clone(tt.others), tt.works)...), parse(tt.proved...), tt.keep)
		if len(got) != tt.keep || !slices.ContainsFunc(got, parse(tt.works)[0].Equal) {
			t.Errorf("%s: the %d best are %v, without %s", tt.name, tt.keep, got, tt.works)
		}
	}
}
