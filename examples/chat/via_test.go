package main

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
)

// A link is a connection that is only looked at.
type link struct {
	network.Conn
	addr   string
	opened int
	closed bool
}

func (l link) RemoteMultiaddr() multiaddr.Multiaddr { return multiaddr.StringCast(l.addr) }
func (l link) IsClosed() bool                       { return l.closed }
func (l link) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Opened: time.Unix(int64(l.opened), 0)}}
}

func TestViaOf(t *testing.T) {
	const relay = "/ip4/40.1.0.1/tcp/1/p2p/12D3KooWHGqaPPYWmsRgdTRUbqWfXdsEakpajGKub2QaAZzLYYDY/p2p-circuit"
	direct := func(at int) link { return link{addr: "/ip4/40.1.0.2/tcp/1", opened: at} }
	relayed := func(at int) link { return link{addr: relay, opened: at} }
	gone := direct(0)
	gone.closed = true
	tests := []struct {
		name   string
		conns  []network.Conn
		before kad.Via
		want   kad.Via
	}{
		{"none", nil, kad.ViaPunched, kad.ViaPunched},
		{"direct", []network.Conn{direct(1)}, 0, kad.ViaDirect},
		{"relayed", []network.Conn{relayed(1)}, 0, kad.ViaRelayed},
		{"relayed first", []network.Conn{direct(2), relayed(1), direct(3)}, 0, kad.ViaPunched},
		{"relayed later", []network.Conn{relayed(2), direct(3), direct(1)}, 0, kad.ViaDirect},
		{"upgraded", []network.Conn{direct(2)}, kad.ViaRelayed, kad.ViaPunched},
		{"one more", []network.Conn{relayed(1), direct(2)}, kad.ViaDirect, kad.ViaDirect},
		{"upgraded in one home", []network.Conn{relayed(1), link{addr: "/ip4/192.168.1.2/tcp/1", opened: 2}}, kad.ViaRelayed, kad.ViaDirect},
		{"relay gone", []network.Conn{direct(2)}, kad.ViaPunched, kad.ViaPunched},
		{"back to the relay", []network.Conn{gone, relayed(1)}, kad.ViaPunched, kad.ViaRelayed},
	}
	for _, tt := range tests {
		if got := viaOf(tt.conns, tt.before); got != tt.want {
			t.Errorf("%s: via is %v, want %v", tt.name, got, tt.want)
		}
	}
}
