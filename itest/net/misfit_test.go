package net_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	kad "github.com/go-kad/kad/host"
)

// Why a bootstrap peer cannot be used is said in words that name the cause: a private network
// with another key, or without one, and a program that accepts connections and says nothing.
func TestMisfits(t *testing.T) {
	id, err := peer.Decode("12D3KooWT31gsuv1RC6aypG47LhNGmMbVbimX19PtMivHmjctStV")
	if err != nil {
		t.Fatal(err)
	}
	private := func(key byte) host.Host {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.PrivateNetwork(bytes.Repeat([]byte{key}, 32)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		return h
	}
	one, two, none := private(1), private(2), newHost(t, libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	for name, tt := range map[string]struct {
		from host.Host
		to   peer.AddrInfo
		want string
	}{
		"another key":     {one, peer.AddrInfo{ID: two.ID(), Addrs: two.Addrs()}, "libp2p.PrivateNetwork"},
		"no key here":     {none, peer.AddrInfo{ID: two.ID(), Addrs: two.Addrs()}, "libp2p.PrivateNetwork"},
		"no key there":    {two, peer.AddrInfo{ID: none.ID(), Addrs: none.Addrs()}, "libp2p.PrivateNetwork"},
		"a silent peer":   {newHost(t), peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{silent(t)}}, "accepts connections and says nothing"},
		"another peer ID": {newHost(t), peer.AddrInfo{ID: id, Addrs: none.Addrs()}, "another peer has this address now"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := kad.New(tt.from, kad.Config{Network: "/misfits " + name, Bootstrap: []peer.AddrInfo{tt.to}})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for { // until the first dial has failed
				err := d.Bootstrap(ctx)
				if err == nil || ctx.Err() != nil {
					t.Fatalf("Bootstrap() = %v", err)
				}
				if strings.Contains(err.Error(), tt.want) {
					return
				}
				t.Logf("%v", err)
			}
		})
	}
}

// silent returns the address of a listener that says nothing.
func silent(t *testing.T) multiaddr.Multiaddr {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	var conns []net.Conn
	accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		accepting.Wait()
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	addr, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
