package reach

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	publicAddr  = "/ip4/61.2.0.1/tcp/4001"
	privateAddr = "/ip4/192.168.1.2/tcp/4001"
	relayedAddr = "/ip4/40.1.0.1/tcp/4001/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N/p2p-circuit"
)

// A node is a Reach on a scripted host, and what it was switched to.
type node struct {
	*Reach

	host  *scriptedHost
	table *table.Table
	group *tasks.Group

	mu       sync.Mutex
	switched []Decision
	during   func(Decision) // is called while the handler is switched
}

// newNode returns a node that has not started, whose loop runs.
func newNode(t *testing.T, mode Mode, publicPeer bool) *node {
	t.Helper()
	net := calltest.New(t)
	n := &node{group: roomtest.NewGroup(t)}
	n.host = &scriptedHost{Host: net.Host(), bus: eventbus.NewBus()}
	n.host.net = scriptedNetwork{Network: net.Host().Network(), of: n.host}
	n.table = table.New(table.Config{
		Host: n.host, Protocol: "/test", Tasks: n.group, K: 4, ProbeAfter: time.Hour, SlowAfter: time.Second, Wake: func() {},
	})
	n.Reach = New(Config{Host: n.host, Table: n.table, Mode: mode, PublicPeer: publicPeer, Switched: n.record})
	loop := tasks.NewLoop(n.group)
	loop.Add(n.Job())
	wake := make(chan any)
	n.host.wake = func() { wake <- nil }
	n.group.Go(func(ctx context.Context) { loop.Run(ctx, wake, func(time.Time, any) {}) })
	return n
}

func (n *node) record(was, now Decision) {
	n.mu.Lock()
	if len(n.switched) > 0 && n.switched[len(n.switched)-1] != was {
		panic("a switch from a decision that was not the one before")
	}
	n.switched = append(n.switched, now)
	during := n.during
	n.mu.Unlock()
	if during != nil {
		during(now)
	}
}

// handle takes in an event, as the background loop does: it asks the jobs after it.
func (n *node) handle(e any) {
	n.Handle(e)
	n.host.wake()
	synctest.Wait()
}

// finds has the host find out whether it is reachable.
func (n *node) finds(r network.Reachability) {
	n.handle(event.EvtLocalReachabilityChanged{Reachability: r})
}

// wants checks the mode.
func (n *node) wants(t *testing.T, want Mode, reason string) {
	t.Helper()
	got, why := n.Mode()
	if got != want || !strings.Contains(why, reason) {
		t.Errorf("mode %v (%s), want %v (%s)", got, why, want, reason)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.switched) > 0 && n.switched[len(n.switched)-1].Serve != (want == Server) {
		t.Errorf("switched to %+v, want %v", n.switched[len(n.switched)-1], want)
	}
}

// mode returns the mode alone.
func (n *node) mode() Mode {
	m, _ := n.Mode()
	return m
}

// A scriptedHost has the addresses and the connections that a test gives it.
type scriptedHost struct {
	lhost.Host

	net  scriptedNetwork
	bus  event.Bus
	wake func() // has the loop ask its jobs

	mu      sync.Mutex
	addrs   []multiaddr.Multiaddr
	sockets []multiaddr.Multiaddr
	conns   []network.Conn
}

func (h *scriptedHost) Network() network.Network { return h.net }
func (h *scriptedHost) EventBus() event.Bus      { return h.bus }

func (h *scriptedHost) Addrs() []multiaddr.Multiaddr {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.addrs
}

func (h *scriptedHost) move(addr string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addrs = []multiaddr.Multiaddr{multiaddr.StringCast(addr)}
}

type scriptedNetwork struct {
	network.Network

	of *scriptedHost
}

func (n scriptedNetwork) InterfaceListenAddresses() ([]multiaddr.Multiaddr, error) {
	return n.of.sockets, nil
}

func (n scriptedNetwork) Conns() []network.Conn { return n.of.conns }

func (n scriptedNetwork) ConnsToPeer(id peer.ID) []network.Conn {
	return slices.DeleteFunc(slices.Clone(n.of.conns), func(c network.Conn) bool { return c.RemotePeer() != id })
}

// A conn is a connection with a peer at an address.
type conn struct {
	network.Conn // nil: what is not implemented is not used

	from peer.ID
	addr string
	dir  network.Direction
}

func (c conn) RemotePeer() peer.ID                  { return c.from }
func (c conn) RemoteMultiaddr() multiaddr.Multiaddr { return multiaddr.StringCast(c.addr) }
func (c conn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Direction: c.dir}}
}
