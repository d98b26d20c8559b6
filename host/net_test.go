package host

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	mocknet "github.com/libp2p/go-libp2p/p2p/net/mock"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// The search of libp2p for a router with UPnP outlives its host by some seconds.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/koron/go-ssdp.Search"))
}

// testProtocol is the protocol of the test network.
const testProtocol = lprotocol.ID("/test/kad/1.0.0")

// latency is how long a message is on its way.
const latency = time.Millisecond

// A testNet is a network in memory: real hosts, with streams that need no
// socket, so that it lives in a synctest bubble.
type testNet struct {
	t     *testing.T
	net   mocknet.Mocknet
	wires *sync.Map // by peer.ID, a *wireHost; not nil: streams are those of roomtest
}

func newTestNet(t *testing.T) *testNet {
	t.Helper()
	n := &testNet{t: t, net: mocknet.New()}
	// Without latency, each message is a timer that is due when it is set. Two such
	// timers at a time, in a bubble, crash the race detector of Go 1.26.
	n.net.SetLinkDefaults(mocknet.LinkOptions{Latency: latency})
	t.Cleanup(func() {
		_ = n.net.Close()
		time.Sleep(5 * time.Second) // puppets end what they were asked at last, before the bubble does
	})
	return n
}

// newWiredNet returns a network whose hosts have streams with what the streams of
// mocknet lack: deadlines, and codes of resets.
func newWiredNet(t *testing.T) *testNet {
	t.Helper()
	n := newTestNet(t)
	n.wires = new(sync.Map)
	return n
}

// host returns a new host, which can reach all others.
func (n *testNet) host() lhost.Host {
	n.t.Helper()
	return n.hostAt(func(routing.Key) bool { return true })
}

// hostAt returns a new host, with a key that suits.
func (n *testNet) hostAt(suits func(routing.Key) bool) lhost.Host {
	n.t.Helper()
	return n.hostOn(fmt.Sprintf("/ip6/100::%x/tcp/4242", len(n.net.Peers())+1), suits)
}

// hostOn is hostAt with an address.
func (n *testNet) hostOn(addr string, suits func(routing.Key) bool) lhost.Host {
	n.t.Helper()
	var key crypto.PrivKey
	for key == nil {
		private, public, err := crypto.GenerateECDSAKeyPair(rand.Reader)
		if err != nil {
			n.t.Fatal(err)
		}
		id, err := peer.IDFromPublicKey(public)
		if err != nil {
			n.t.Fatal(err)
		}
		if suits(routing.KeyOf([]byte(id))) {
			key = private
		}
	}
	h, err := n.net.AddPeer(key, multiaddr.StringCast(addr))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, other := range n.net.Peers() {
		if other == h.ID() {
			continue
		}
		if _, err := n.net.LinkPeers(h.ID(), other); err != nil {
			n.t.Fatal(err)
		}
	}
	if n.wires == nil {
		return h
	}
	w := &wireHost{Host: h, net: n, handlers: make(map[lprotocol.ID]network.StreamHandler)}
	n.wires.Store(h.ID(), w)
	return w
}

// node returns a DHT on a new host.
func (n *testNet) node(cfg Config) *DHT {
	n.t.Helper()
	return n.attach(n.host(), cfg)
}

// attach returns a DHT on h.
func (n *testNet) attach(h lhost.Host, cfg Config) *DHT {
	n.t.Helper()
	d, err := New(h, testConfig(cfg))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = d.Close() })
	return d
}

// inert returns a DHT that does nothing of itself.
func (n *testNet) inert(cfg Config) *DHT {
	n.t.Helper()
	d, err := newDHT(n.host(), testConfig(cfg), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = d.Close() })
	return d
}

// asking returns an inert DHT that asks through a transport.
func (n *testNet) asking(transport call.Transport) *DHT {
	n.t.Helper()
	d, err := newDHT(n.host(), testConfig(Config{}), transport)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = d.Close() })
	return d
}

// nodes returns DHTs that joined through the first of them.
func (n *testNet) nodes(count int, cfg Config) []*DHT {
	n.t.Helper()
	nodes := []*DHT{n.node(cfg)}
	cfg.Bootstrap = []peer.AddrInfo{info(nodes[0].host)}
	for range count - 1 {
		nodes = append(nodes, n.node(cfg))
	}
	time.Sleep(5 * time.Second)
	return nodes
}

// testConfig returns cfg in the test network, with a validator for "/v/".
func testConfig(cfg Config) Config {
	cfg.Network = cmp.Or(cfg.Network, "/test")
	if cfg.Validators == nil {
		cfg.Validators = map[string]record.Validator{"v": roomtest.Digits{}}
	}
	return cfg
}

// cut makes a host unreachable, and ends its connections.
func (n *testNet) cut(h lhost.Host) {
	n.t.Helper()
	for _, other := range n.net.Peers() {
		if other != h.ID() {
			_ = n.net.UnlinkPeers(h.ID(), other) // first, lest it is dialled again
			_ = n.net.DisconnectPeers(h.ID(), other)
		}
	}
	synctest.Wait() // both ends: mocknet dials over a connection that one end has closed
}

// mend takes back cut.
func (n *testNet) mend(h lhost.Host) {
	n.t.Helper()
	for _, other := range n.net.Peers() {
		if other == h.ID() {
			continue
		}
		if _, err := n.net.LinkPeers(h.ID(), other); err != nil {
			n.t.Fatal(err)
		}
	}
}

func info(h lhost.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

func link(t *testing.T, a, b *DHT) {
	t.Helper()
	dialHost(t, a.host, b.host)
}

// dialHost connects two hosts.
func dialHost(t *testing.T, a, b lhost.Host) {
	t.Helper()
	if err := a.Connect(t.Context(), info(b)); err != nil {
		t.Fatal(err)
	}
}

// knows reports whether h is in the table of d.
func knows(d *DHT, h lhost.Host) bool {
	closest := d.table.Closest(routing.KeyOf([]byte(h.ID())), 1)
	return len(closest) == 1 && closest[0].ID == h.ID()
}

// A requestFunc is a requester in memory.
type requestFunc func(ctx context.Context, to peer.ID, req protocol.Request) (protocol.Response, error)

func (f requestFunc) Dial(context.Context, peer.ID) error { return nil }

func (f requestFunc) Request(ctx context.Context, to peer.ID, req protocol.Request) (protocol.Response, error) {
	return f(ctx, to, req)
}

// ids returns the IDs of hosts, sorted.
func ids(hosts ...lhost.Host) []peer.ID {
	out := make([]peer.ID, len(hosts))
	for i, h := range hosts {
		out[i] = h.ID()
	}
	slices.Sort(out)
	return out
}

// Two connected nodes with default settings have each other in their tables
// within a second, whether they were connected before or after the DHTs were
// attached, or between.
func TestTwoNodes(t *testing.T) {
	tests := []struct {
		name         string
		early, later int // DHTs attached before and after the connection
	}{
		{"attached, then connected", 2, 0},
		{"connected between", 1, 1},
		{"connected, then attached", 0, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newTestNet(t)
				hosts := []lhost.Host{n.host(), n.host()}
				var nodes []*DHT
				for _, h := range hosts[:tt.early] {
					nodes = append(nodes, n.attach(h, Config{}))
				}
				dialHost(t, hosts[0], hosts[1])
				synctest.Wait()
				for _, h := range hosts[tt.early:] {
					nodes = append(nodes, n.attach(h, Config{}))
				}
				time.Sleep(time.Second)
				for i, d := range nodes {
					if got := d.table.Stats().Contacts; got != 1 {
						t.Errorf("node %d has %d contacts, want 1", i, got)
					}
				}
			})
		})
	}
}

func (requestFunc) Together(peer.ID) (most int, inOne bool) { return 1, false }

func (f requestFunc) Many(ctx context.Context, to peer.ID, reqs []protocol.Request) ([]error, error) {
	_, err := f(ctx, to, reqs[0])
	return []error{err}, err
}
