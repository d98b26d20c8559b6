package host

import (
	"testing"
	"testing/synctest"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	mocknet "github.com/libp2p/go-libp2p/p2p/net/mock"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A testNet is a network in memory: real hosts, with streams that need no
// socket, so that it lives in a synctest bubble.
type testNet struct {
	t   *testing.T
	net mocknet.Mocknet
}

func newTestNet(t *testing.T) *testNet {
	t.Helper()
	n := &testNet{t: t, net: mocknet.New()}
	t.Cleanup(func() { _ = n.net.Close() })
	return n
}

// host returns a new host, which can reach all others.
func (n *testNet) host() lhost.Host {
	n.t.Helper()
	h, err := n.net.GenPeer()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.net.LinkAll(); err != nil {
		n.t.Fatal(err)
	}
	return h
}

// node returns a DHT on a new host.
func (n *testNet) node(cfg Config) *DHT {
	n.t.Helper()
	setDefault(&cfg.Network, "/test")
	d, err := New(n.host(), cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = d.Close() })
	return d
}

func info(h lhost.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

func connect(t *testing.T, a, b *DHT) {
	t.Helper()
	if err := a.host.Connect(t.Context(), info(b.host)); err != nil {
		t.Fatal(err)
	}
}

// Two connected nodes with default settings have each other in their tables
// within a second.
func TestTwoNodes(t *testing.T) { synctest.Test(t, testTwoNodes) }
func testTwoNodes(t *testing.T) {
	n := newTestNet(t)
	a, b := n.node(Config{}), n.node(Config{})
	connect(t, a, b)
	time.Sleep(time.Second)
	for _, d := range []*DHT{a, b} {
		if got := d.peers.len(); got != 1 {
			t.Errorf("%d contacts, want 1", got)
		}
	}
}
