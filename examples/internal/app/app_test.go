package app

import (
	"strings"
	"testing"

	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBestAddr(t *testing.T) {
	tests := []struct {
		name        string
		addrs       []string
		want, reach string
	}{
		{"none", nil, "", ""},
		{"loopback", []string{"/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/1"}, "/ip4/127.0.0.1/tcp/1", "on this machine"},
		{"home", []string{"/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.5/udp/1/quic-v1"}, "/ip4/192.168.1.5/udp/1/quic-v1", "local network"},
		{"containers", []string{"/ip4/172.17.0.1/tcp/1", "/ip4/192.168.1.5/udp/1/quic-v1"}, "/ip4/192.168.1.5/udp/1/quic-v1", "local network"},
		{"through a relay", []string{
			"/ip4/192.168.1.5/tcp/1",
			"/ip4/8.8.8.8/tcp/1/p2p/12D3KooWHGqaPPYWmsRgdTRUbqWfXdsEakpajGKub2QaAZzLYYDY/p2p-circuit",
		}, "/ip4/192.168.1.5/tcp/1", "local network"},
		{"public", []string{"/ip4/192.168.1.5/tcp/1", "/ip4/8.8.8.8/tcp/1", "/ip4/127.0.0.1/tcp/1"}, "/ip4/8.8.8.8/tcp/1", "anywhere"},
	}
	for _, tt := range tests {
		var addrs []multiaddr.Multiaddr
		for _, s := range tt.addrs {
			addrs = append(addrs, multiaddr.StringCast(s))
		}
		got, reach := BestAddr(addrs)
		if (got == nil) != (tt.want == "") || (got != nil && got.String() != tt.want) || !strings.Contains(reach, tt.reach) {
			t.Errorf("%s: BestAddr() = %v, %q; want %s, %q", tt.name, got, reach, tt.want, tt.reach)
		}
	}
}

func TestQuote(t *testing.T) {
	for give, want := range map[string]string{"lobby": "lobby", "/chat": "/chat", "a&b": "'a&b'", "it's": `'it'\''s'`, "bär": "'bär'"} {
		if got := Quote(give); got != want {
			t.Errorf("Quote(%q) = %s, want %s", give, got, want)
		}
	}
}
