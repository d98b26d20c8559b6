package lan

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func newHost(t *testing.T) lhost.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// Networks have services of their own, whose names are not too long.
func TestService(t *testing.T) {
	a, b := service("/chat"), service("/node")
	if a == b || len(a) != len("_kad-12345678._udp") {
		t.Errorf("%q, %q", a, b)
	}
}

// A host connects to what is found, and not to itself.
func TestFound(t *testing.T) {
	a, b := newHost(t), newHost(t)
	m := &meeting{host: a, ctx: t.Context(), slots: make(chan struct{}, 1)}
	m.HandlePeerFound(peer.AddrInfo{ID: a.ID(), Addrs: a.Addrs()})
	m.HandlePeerFound(peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()})
	m.dials.Wait()
	if a.Network().Connectedness(b.ID()) != network.Connected || len(a.Network().Peers()) != 1 {
		t.Errorf("connected to %v, want to %v", a.Network().Peers(), b.ID())
	}
	began := a.Network().ConnsToPeer(b.ID())[0].Stat().Opened
	m.HandlePeerFound(peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()})
	m.dials.Wait()
	if conns := a.Network().ConnsToPeer(b.ID()); len(conns) != 1 || !conns[0].Stat().Opened.Equal(began) {
		t.Errorf("%d connections, want the one from before", len(conns))
	}
}

// No more peers are dialled at a time than there is room for, and none after the end.
func TestFoundTooMany(t *testing.T) {
	a := newHost(t)
	m := &meeting{host: a, ctx: t.Context(), slots: make(chan struct{}, 1)}
	m.slots <- struct{}{}
	began := time.Now()
	b := newHost(t)
	m.HandlePeerFound(peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()})
	m.dials.Wait()
	if len(a.Network().Peers()) > 0 || time.Since(began) > dialTimeout {
		t.Errorf("connected to %v, want none", a.Network().Peers())
	}
}
