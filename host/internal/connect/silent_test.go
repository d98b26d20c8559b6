package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/marcopolo/simnet"
	"github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/tasks"
)

// quicConns returns both ends of a connection over QUIC, with packets in memory, and what has all
// later ones lost.
func quicConns(t *testing.T) (near, far *quic.Conn, cut func()) {
	t.Helper()
	var lost atomic.Bool
	world := &simnet.Simnet{LatencyFunc: func(*simnet.Packet) time.Duration {
		if lost.Load() {
			return 1000 * time.Hour
		}
		return 10 * time.Millisecond
	}}
	link := simnet.LinkSettings{BitsPerSecond: 1 << 30}
	end := func(addr string) *quic.Transport {
		at, err := net.ResolveUDPAddr("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return &quic.Transport{Conn: world.NewEndpoint(at, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link})}
	}
	ours, theirs := end("61.1.0.1:4001"), end("61.2.0.1:4001")
	world.Start()
	t.Cleanup(func() {
		_ = errors.Join(ours.Conn.Close(), ours.Close(), theirs.Conn.Close(), theirs.Close())
		world.Close()
	})
	key, _ := roomtest.NewPeer(t)
	identity, err := libp2ptls.NewIdentity(key)
	if err != nil {
		t.Fatal(err)
	}
	secured := func() *tls.Config {
		cfg, _ := identity.ConfigForPeer("")
		cfg.NextProtos = []string{"test"}
		return cfg
	}
	cfg := &quic.Config{EnableDatagrams: true, MaxIdleTimeout: time.Hour}
	listener, err := theirs.Listen(secured(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if near, err = ours.Dial(t.Context(), theirs.Conn.LocalAddr(), secured(), cfg); err != nil {
		t.Fatal(err)
	}
	if far, err = listener.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	return near, far, func() { lost.Store(true) }
}

// A connection over QUIC is asked, and closed, if what goes out is not acknowledged: not while it
// is idle, nor when the last packet is an acknowledgement.
func TestSilenceJob(t *testing.T) { synctest.Test(t, testSilenceJob) }

func testSilenceJob(t *testing.T) {
	n := newNode(t)
	n.cfg.Interfaces = func() ([]net.Addr, error) { return nil, nil }
	near, far, cut := quicConns(t)
	c := n.host.net.open(target, publicAddr)
	c.local, c.over = multiaddr.StringCast(anyQUIC), near
	witness := n.host.net.open(calltest.ID(100), publicAddr)
	witness.answers = true
	loop := tasks.NewLoop(n.group)
	loop.Add(n.SilenceJob())
	n.group.Go(func(ctx context.Context) { loop.Run(ctx, nil, nil) })
	for i := range 20 {
		time.Sleep(time.Second - lookInterval/20*time.Duration(i%10)) // at any time between two looks
		if err := far.SendDatagram([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
	if c.IsClosed() {
		t.Fatal("a connection that has carried something, and is idle, is closed")
	}
	cut()
	began := time.Now()
	if err := near.SendDatagram([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	for !c.IsClosed() && time.Since(began) < time.Minute {
		time.Sleep(100 * time.Millisecond)
	}
	if took, asked := time.Since(began), c.asked.Load(); took > 5*time.Second || asked != 1 {
		t.Errorf("a connection whose other end is gone is closed after %v, and was asked %d times", took, asked)
	}
}

// A connection is silent when packets go out at two looks in a row, and none comes in.
func TestTraffic(t *testing.T) {
	var now traffic
	for i, look := range []struct {
		sent, received uint64
		silent         int
	}{
		{1, 1, 0},
		{1, 1, 0}, // idle
		{2, 1, 1}, // an acknowledgement, perhaps
		{2, 1, 1},
		{3, 2, 0},
		{4, 2, 1},
		{5, 2, 2}, // repeated
		{5, 2, 2},
		{5, 3, 0},
	} {
		if now = now.next(look.sent, look.received); now.silent != look.silent {
			t.Errorf("look %d: silent at %d looks, want %d", i, now.silent, look.silent)
		}
	}
}

// What is silent is closed when another peer answers, sooner if its peer has another
// connection, and with the older relayed connections of its peer.
func TestCloseSilent(t *testing.T) { synctest.Test(t, testCloseSilent) }

func testCloseSilent(t *testing.T) {
	n := newNode(t)
	open := func(i int, addr string, answers bool) *conn {
		c := n.host.net.open(calltest.ID(100+i), addr)
		c.local, c.answers = multiaddr.StringCast(anyQUIC), answers
		time.Sleep(time.Second)
		return c
	}
	older := open(0, relayedAddr, true)
	moved := open(0, publicAddr, false)
	newer := open(0, relayedAddr, true)
	gone := open(1, publicAddr, false)
	lossy := open(2, publicAddr, true)
	suspects := []network.Conn{moved, gone, lossy}
	check := func(when string, want map[*conn]bool) {
		t.Helper()
		for c, closed := range want {
			if c.IsClosed() != closed {
				t.Errorf("%s: connection %v of %v is closed: %v", when, c.addr, c.id, c.IsClosed())
			}
		}
	}
	lossy.answers = false
	if err := n.closeSilent(t.Context(), suspects); err != nil {
		t.Fatal(err)
	}
	check("offline", map[*conn]bool{older: false, moved: false, newer: false, gone: false, lossy: false})
	witness := open(3, publicAddr, true)
	lossy.answers = true
	began := time.Now()
	if err := n.closeSilent(t.Context(), suspects); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took != outage {
		t.Errorf("it took %v, want %v", took, outage)
	}
	check("online", map[*conn]bool{older: true, moved: true, newer: false, gone: true, lossy: false, witness: false})
}
