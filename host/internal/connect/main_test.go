package connect

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	lconnmgr "github.com/libp2p/go-libp2p/core/connmgr"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The peers of the tests: target is the one to connect to, witness is in the table.
var (
	target    = calltest.ID(1)
	witness   = calltest.ID(2)
	relay     = calltest.ID(3)
	goneRelay = calltest.ID(4)
)

const (
	publicAddr = "/ip4/61.2.0.1/udp/4001/quic-v1"
	staleAddr  = "/ip4/61.1.0.1/udp/4001/quic-v1"
)

var (
	relayedAddr     = "/ip4/40.1.0.1/tcp/4001/p2p/" + relay.String() + "/p2p-circuit"
	goneRelayedAddr = "/ip4/40.1.0.2/tcp/4001/p2p/" + goneRelay.String() + "/p2p-circuit"
)

func contains(addrs []multiaddr.Multiaddr, addr string) bool {
	return slices.ContainsFunc(addrs, multiaddr.StringCast(addr).Equal)
}

// A node is a Connector on a host whose dials of target are scripted.
type node struct {
	*Connector

	host  *scriptedHost
	net   *calltest.Network
	group *tasks.Group
	found []string // addresses of target that the witness names
	held  []peer.ID
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{net: calltest.New(t)}
	base := n.net.Host()
	dialler, err := swarm.NewSwarm(base.ID(), base.Peerstore(), eventbus.NewBus())
	if err != nil {
		t.Fatal(err)
	}
	h := &scriptedHost{Host: base, protected: make(map[peer.ID]bool), kept: make(map[peer.ID]bool)}
	h.net = &scriptedNetwork{Network: base.Network(), peers: base.Peerstore(), backoff: dialler.Backoff()}
	n.host = h
	t.Cleanup(func() { _ = dialler.Close() })
	n.group = roomtest.NewGroup(t)
	contacts := table.New(table.Config{
		Host: h, Protocol: "/test", Tasks: n.group, K: 20, ProbeAfter: time.Hour, MaxPerGroup: -1, SlowAfter: time.Second, Wake: func() {},
	})
	caller := call.New(call.Config{
		Host: h, Transport: n.net, Table: contacts, Tasks: n.group, RequestTimeout: 10 * time.Second, SlowAfter: time.Second, MaxDials: 64,
	})
	held := holder.New(holder.Config{
		Host: h, Protocol: "/test", Store: store.NewMemory(store.Limits{}), Table: contacts, K: 4, RecordAge: time.Hour, MaxBytesPerPeer: -1,
	})
	engine := lookup.NewEngine(lookup.Config{Host: h, Table: contacts, Call: caller, Tasks: n.group, K: 4, Alpha: 3, SlowAfter: time.Second})
	around := reach.New(reach.Config{Host: h, Table: contacts, PublicPeer: true, Switched: func(_, _ reach.Decision) {}})
	around.Start()
	n.Connector = New(Config{
		Host: h, Table: contacts, Call: caller, Reach: around, Tasks: n.group, K: 4,
		Held: func() []peer.ID { return n.held }, Wake: func() {}, Tag: testTag,
		Find: find.New(find.Config{
			Host: h, Table: contacts, Call: caller, Lookup: engine, Holder: held, Tasks: n.group,
			Deliver: deliver.New(deliver.Config{Table: contacts, Call: caller, Tasks: n.group, K: 4, Alpha: 3}),
			K:       4, SlowAfter: time.Second, RecordAge: time.Hour,
		}),
	})
	n.enter(t, witness, func(_ context.Context, req protocol.Request) (resp protocol.Response, _ error) {
		if _, ok := req.(protocol.GetProviders); ok && n.found != nil {
			resp.Providers = []protocol.Peer{{ID: target, Addrs: roomtest.Addrs(n.found...)}}
		}
		return resp, nil
	})
	return n
}

// enter puts a peer into the table.
func (n *node) enter(t *testing.T, id peer.ID, a calltest.Answer) {
	t.Helper()
	n.net.Add(id, a)
	if _, err := n.cfg.Call.Request(t.Context(), nil, calltest.Contact(id), protocol.Ping{}, nil); err != nil {
		t.Fatal(err)
	}
}

// A scriptedHost is the host of a node. Its relay can be dialled, another one hangs.
type scriptedHost struct {
	lhost.Host

	net       *scriptedNetwork
	protected map[peer.ID]bool // by others
	kept      map[peer.ID]bool // by the room
	id        peer.ID          // in place of the smallest one
	addrs     []multiaddr.Multiaddr
	opens     func() (network.Stream, error) // a stream to target
}

func (h *scriptedHost) NewStream(ctx context.Context, id peer.ID, protocols ...lprotocol.ID) (network.Stream, error) {
	if h.opens == nil {
		return h.Host.NewStream(ctx, id, protocols...)
	}
	return h.opens()
}

func (h *scriptedHost) Addrs() []multiaddr.Multiaddr { return h.addrs }

func (h *scriptedHost) ID() peer.ID { return cmp.Or(h.id, h.Host.ID()) }

func (h *scriptedHost) Network() network.Network          { return h.net }
func (h *scriptedHost) ConnManager() lconnmgr.ConnManager { return connManager{of: h} }
func (h *scriptedHost) Connect(ctx context.Context, info peer.AddrInfo) error {
	if info.ID == relay && contains(info.Addrs, "/ip4/40.1.0.1/tcp/4001") {
		return nil
	}
	if direct, _ := network.GetForceDirectDial(ctx); direct && info.ID == target {
		addr, err := h.net.dial(ctx, info.Addrs, direct)
		if err == nil {
			h.net.open(target, addr)
		}
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

type connManager struct {
	lconnmgr.NullConnMgr

	of *scriptedHost
}

func (m connManager) IsProtected(id peer.ID, tag string) bool {
	return m.of.kept[id] && (tag == "" || tag == testTag) || m.of.protected[id] && tag == ""
}

func (m connManager) Protect(id peer.ID, _ string) { m.of.kept[id] = true }

func (m connManager) Unprotect(id peer.ID, _ string) bool {
	delete(m.of.kept, id)
	return m.of.protected[id]
}

const testTag = "kad /test"

// A scriptedNetwork has connections to target, and to others where a test adds them.
type scriptedNetwork struct {
	network.Network

	peers   peerstore.Peerstore
	backoff *swarm.DialBackoff
	dial    func(ctx context.Context, addrs []multiaddr.Multiaddr, direct bool) (string, error) // of target

	listens   []multiaddr.Multiaddr
	dir       network.Direction // of the connections that are opened
	mu        sync.Mutex
	conns     []network.Conn
	notifiees []network.Notifiee
}

func (n *scriptedNetwork) Backoff() *swarm.DialBackoff { return n.backoff }

func (n *scriptedNetwork) InterfaceListenAddresses() ([]multiaddr.Multiaddr, error) { return nil, nil }

func (n *scriptedNetwork) ListenAddresses() []multiaddr.Multiaddr { return n.listens }

func (n *scriptedNetwork) Notify(f network.Notifiee) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notifiees = append(n.notifiees, f)
}

func (n *scriptedNetwork) StopNotify(f network.Notifiee) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notifiees = slices.DeleteFunc(n.notifiees, func(g network.Notifiee) bool { return f == g })
}

func (n *scriptedNetwork) Conns() []network.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.conns)
}

func (n *scriptedNetwork) ConnsToPeer(id peer.ID) []network.Conn {
	conns := slices.DeleteFunc(n.Conns(), func(c network.Conn) bool { return c.RemotePeer() != id })
	if len(conns) == 0 && id != target {
		return n.Network.ConnsToPeer(id)
	}
	return conns
}

func (n *scriptedNetwork) Connectedness(id peer.ID) network.Connectedness {
	if id != target {
		return n.Network.Connectedness(id)
	}
	for _, c := range n.ConnsToPeer(id) {
		if _, err := c.RemoteMultiaddr().ValueForProtocol(multiaddr.P_CIRCUIT); err != nil {
			return network.Connected
		}
	}
	return network.NotConnected
}

// DialPeer dials as the swarm does: not the addresses that are backed off.
func (n *scriptedNetwork) DialPeer(ctx context.Context, id peer.ID) (network.Conn, error) {
	direct, _ := network.GetForceDirectDial(ctx)
	addrs := slices.DeleteFunc(n.peers.Addrs(id), func(a multiaddr.Multiaddr) bool { return n.backoff.Backoff(id, a) })
	addr, err := n.dial(ctx, addrs, direct)
	if err != nil {
		return nil, err
	}
	return n.open(id, addr), nil
}

// open opens a connection to a peer, with an address.
func (n *scriptedNetwork) open(id peer.ID, addr string) *conn {
	c := &conn{net: n, id: id, addr: multiaddr.StringCast(addr), opened: time.Now(), dir: n.dir}
	n.mu.Lock()
	n.conns = append(n.conns, c)
	notifiees := slices.Clone(n.notifiees)
	n.mu.Unlock()
	for _, f := range notifiees {
		f.Connected(n, c)
	}
	return c
}

// leave ends all connections to target.
func (n *scriptedNetwork) leave() {
	for _, c := range n.ConnsToPeer(target) {
		_ = c.Close()
	}
}

// A conn is a connection of a scriptedNetwork. Its other end is silent, unless it answers
// with a refusal.
type conn struct {
	network.Conn // nil: what is not implemented is not used

	net     *scriptedNetwork
	id      peer.ID
	addr    multiaddr.Multiaddr
	opened  time.Time
	streams []network.Stream
	local   multiaddr.Multiaddr
	answers bool
	dir     network.Direction
	over    *quic.Conn // nil: another transport
	ended   bool       // the network has it, though it has ended
	asked   atomic.Int32
}

func (c *conn) RemotePeer() peer.ID                  { return c.id }
func (c *conn) RemoteMultiaddr() multiaddr.Multiaddr { return c.addr }
func (c *conn) IsClosed() bool {
	return c.ended || !slices.Contains(c.net.Conns(), network.Conn(c))
}
func (c *conn) GetStreams() []network.Stream { return c.streams }

func (c *conn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Opened: c.opened, Direction: c.dir}}
}

func (c *conn) LocalMultiaddr() multiaddr.Multiaddr { return c.local }

func (c *conn) As(target any) bool {
	over, ok := target.(**quic.Conn)
	if ok = ok && c.over != nil; ok {
		*over = c.over
	}
	return ok
}

func (c *conn) NewStream(ctx context.Context) (network.Stream, error) {
	c.asked.Add(1)
	if c.answers {
		return nil, errUnreachable
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (c *conn) Close() error {
	c.net.mu.Lock()
	c.net.conns = slices.DeleteFunc(c.net.conns, func(other network.Conn) bool { return other == network.Conn(c) })
	notifiees := slices.Clone(c.net.notifiees)
	c.net.mu.Unlock()
	for _, f := range notifiees {
		f.Disconnected(c.net, c)
	}
	return nil
}

var errUnreachable = errors.New("connection refused")

// unreachable fails as the swarm does, after some time.
func unreachable(ctx context.Context, addrs []multiaddr.Multiaddr, after time.Duration) error {
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	failed := &swarm.DialError{Peer: target, Cause: swarm.ErrAllDialsFailed}
	for _, a := range addrs {
		failed.DialErrors = append(failed.DialErrors, swarm.TransportError{Address: a, Cause: errUnreachable})
	}
	return failed
}
