package node

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
)

// Many nodes of one machine or one private network are let in, many of one
// public address are not.
func TestResources(t *testing.T) {
	tests := []struct {
		addr      string
		low, high int // how many are let in
	}{
		{"/ip4/127.0.0.1/tcp/1", 500, 500},
		{"/ip4/10.1.2.3/udp/1/quic-v1", 500, 500},
		{"/ip4/172.17.0.1/tcp/1", 500, 500},
		{"/ip4/192.0.2.2/tcp/1", 500, 500},
		{"/ip6/::1/tcp/1", 500, 500},
		{"/ip6/fd00::1/tcp/1", 500, 500},
		{"/ip4/8.8.8.8/tcp/1", 1, 16},
		{"/ip6/2600::1/tcp/1", 1, 16},
	}
	for _, tt := range tests {
		t.Run(tt.addr, func(t *testing.T) {
			r, err := newResources(kad.Config{Network: "/test"})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			let := 0
			for range 500 {
				if conn, err := r.OpenConnection(network.DirInbound, true, multiaddr.StringCast(tt.addr)); err == nil {
					defer conn.Done()
					let++
				}
			}
			if let < tt.low || let > tt.high {
				t.Errorf("%d of 500 connections were let in, want %d to %d", let, tt.low, tt.high)
			}
		})
	}
}

// With traversal or without, there is a DHT, and the host knows what it is told of
// itself.
func TestNewNode(t *testing.T) {
	for _, traversal := range []string{"--traversal", "--traversal=false"} {
		s := parsed(t, "--network", "/chat", traversal, "--reachability", "public", "--listen", "/ip4/0.0.0.0/tcp/0")
		h, d, err := newNode(s)
		if err != nil {
			t.Fatal(err)
		}
		if missing := kad.CheckTraversal(h); (len(missing) > 2) == s.traversal {
			t.Errorf("%s: missing %q", traversal, missing)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestBinds(t *testing.T) {
	tests := []struct {
		addr, want string
		binds      bool
	}{
		{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/4001", true},
		{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/0", true},
		{"/ip4/127.0.0.1/udp/1/quic-v1/webtransport", "/ip4/127.0.0.1/udp/0/quic-v1", true},
		{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/4002", false},
		{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/0/ws", false},
		{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.2/tcp/0", false},
		{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/udp/0", false},
	}
	for _, tt := range tests {
		if got := binds(multiaddr.StringCast(tt.addr), multiaddr.StringCast(tt.want)); got != tt.binds {
			t.Errorf("binds(%s, %s) = %v", tt.addr, tt.want, got)
		}
	}
}
