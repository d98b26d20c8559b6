package relay

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/publish"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testK = 4

// A node is Relays on a scripted host.
type node struct {
	*Relays

	host  *scriptedHost
	net   *calltest.Network
	group *tasks.Group
	loop  *tasks.Loop
}

// newNode returns a node that seems to be behind a NAT.
func newNode(t *testing.T, offer bool) *node {
	t.Helper()
	n := &node{net: calltest.New(t), group: roomtest.NewGroup(t)}
	h := &scriptedHost{Host: n.net.Host(), bus: eventbus.NewBus(), relays: make(map[peer.ID]bool), handlers: make(map[lprotocol.ID]bool)}
	h.net = &scriptedNetwork{Network: n.net.Host().Network(), of: n.net, conns: make(map[peer.ID][]network.Conn)}
	n.host = h
	contacts := table.New(table.Config{
		Host: h, Protocol: "/test", Tasks: n.group, K: testK, ProbeAfter: time.Hour, MaxPerGroup: -1, SlowAfter: time.Second, Wake: func() {},
	})
	caller := call.New(call.Config{
		Host: h, Transport: n.net, Table: contacts, Tasks: n.group, RequestTimeout: 10 * time.Second, SlowAfter: time.Second, MaxDials: 64,
	})
	records := store.NewMemory(store.Limits{})
	held := holder.New(holder.Config{
		Host: h, Protocol: "/test", Store: records, Table: contacts, K: testK, RecordAge: time.Hour, MaxBytesPerPeer: -1,
	})
	engine := lookup.NewEngine(lookup.Config{Host: h, Table: contacts, Call: caller, Tasks: n.group, K: testK, Alpha: 3, SlowAfter: time.Second})
	sender := deliver.New(deliver.Config{Table: contacts, Call: caller, Tasks: n.group, K: testK, Alpha: 3})
	finder := find.New(find.Config{
		Host: h, Table: contacts, Call: caller, Lookup: engine, Deliver: sender, Holder: held, Tasks: n.group,
		K: testK, SlowAfter: time.Second, RecordAge: time.Hour,
	})
	around := reach.New(reach.Config{Host: h, Table: contacts, PublicPeer: true, Switched: func(_, _ reach.Decision) { n.Wake() }})
	n.Relays = New(Config{
		Host: h, Protocol: "/test", Table: contacts, Call: caller, Find: finder, Reach: around, Tasks: n.group,
		Publish: publish.New(publish.Config{
			Self: h.ID(), Store: records, Holder: held, Lookup: engine, Deliver: sender, Find: finder, Reach: around,
			RecordAge: time.Hour, Interval: time.Hour, Wake: func() {}, Unsettled: contacts.Unsettled,
		}),
		K: testK, Offer: offer, Limits: Limits{Duration: time.Minute, Bytes: 1 << 20, Reservations: 4, ReservationsPerIP: 4, Circuits: 4},
	})
	around.Start()
	n.loop = tasks.NewLoop(n.group)
	n.loop.Add(around.Job())
	n.loop.Add(n.Jobs()...)
	n.group.Go(func(ctx context.Context) { n.loop.Run(ctx, nil, nil) })
	return n
}

// enter puts a peer into the table, which is connected then.
func (n *node) enter(t *testing.T, id peer.ID, a calltest.Answer) {
	t.Helper()
	n.net.Add(id, a)
	if _, err := n.cfg.Call.Request(t.Context(), nil, calltest.Contact(id), protocol.Ping{}, nil); err != nil {
		t.Fatal(err)
	}
}

// speak has the host know what a peer speaks.
func (n *node) speak(t *testing.T, id peer.ID, ids ...lprotocol.ID) {
	t.Helper()
	if err := n.host.Peerstore().AddProtocols(id, ids...); err != nil {
		t.Fatal(err)
	}
}

// enterRelay has a connected server that relays.
func (n *node) enterRelay(t *testing.T, id peer.ID) {
	t.Helper()
	n.enter(t, id, calltest.Names())
	n.host.Peerstore().AddAddr(id, calltest.Addr(id), peerstore.ConnectedAddrTTL)
	n.speak(t, id, "/test", circuit.ProtoIDv2Hop)
}

// finds has the host find out whether it is reachable, and the loop ask its jobs.
func (n *node) finds(r network.Reachability) {
	n.cfg.Reach.Handle(event.EvtLocalReachabilityChanged{Reachability: r})
	n.loop.Wake()
}

// holds has AutoRelay say which relays have a reservation.
func (n *node) holds(ids ...peer.ID) {
	var addrs []multiaddr.Multiaddr
	for _, id := range ids {
		addrs = append(addrs, relayedAt(id))
	}
	n.Handle(time.Now(), event.EvtAutoRelayAddrsUpdated{RelayAddrs: addrs})
	n.loop.Wake()
}

// relayedAt returns an address of this node at a relay.
func relayedAt(id peer.ID) multiaddr.Multiaddr {
	return calltest.Addr(id).Encapsulate(multiaddr.StringCast("/p2p/" + id.String() + "/p2p-circuit"))
}

// A scriptedHost connects to the peers in relays at once: a peer relays if that is true.
// Dials of other peers hang.
type scriptedHost struct {
	lhost.Host

	net      *scriptedNetwork
	bus      event.Bus
	relays   map[peer.ID]bool
	handlers map[lprotocol.ID]bool // the protocols that have a handler
}

func (h *scriptedHost) Network() network.Network { return h.net }
func (h *scriptedHost) EventBus() event.Bus      { return h.bus }
func (h *scriptedHost) Mux() lprotocol.Switch    { return mux{of: h} }

func (h *scriptedHost) SetStreamHandler(id lprotocol.ID, _ network.StreamHandler) {
	h.handlers[id] = true
}
func (h *scriptedHost) RemoveStreamHandler(id lprotocol.ID) { delete(h.handlers, id) }

func (h *scriptedHost) Connect(ctx context.Context, info peer.AddrInfo) error {
	relays, reachable := h.relays[info.ID]
	if !reachable {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	h.net.of.Add(info.ID, calltest.Names())
	h.net.of.Connect(info.ID)
	h.Peerstore().AddAddrs(info.ID, info.Addrs, time.Hour)
	if relays {
		return h.Peerstore().AddProtocols(info.ID, circuit.ProtoIDv2Hop)
	}
	return h.Peerstore().AddProtocols(info.ID, "/other")
}

type mux struct {
	lprotocol.Switch // nil: what is not implemented is not used

	of *scriptedHost
}

func (m mux) Protocols() (ids []lprotocol.ID) {
	for id := range m.of.handlers {
		ids = append(ids, id)
	}
	return ids
}

// A scriptedNetwork has the connections of a calltest.Network, and what a test adds.
type scriptedNetwork struct {
	network.Network

	of *calltest.Network

	mu     sync.Mutex
	conns  map[peer.ID][]network.Conn
	closed []peer.ID // by ClosePeer
}

func (n *scriptedNetwork) InterfaceListenAddresses() ([]multiaddr.Multiaddr, error) { return nil, nil }

func (n *scriptedNetwork) ResourceManager() network.ResourceManager {
	return &network.NullResourceManager{}
}

func (n *scriptedNetwork) Notify(network.Notifiee)     {}
func (n *scriptedNetwork) StopNotify(network.Notifiee) {}

func (n *scriptedNetwork) ClosePeer(id peer.ID) error {
	n.of.Disconnect(id)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = append(n.closed, id)
	return nil
}

func (n *scriptedNetwork) Conns() (all []network.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conns := range n.conns {
		all = append(all, conns...)
	}
	return all
}

func (n *scriptedNetwork) ConnsToPeer(id peer.ID) []network.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if conns, ok := n.conns[id]; ok {
		return slices.Clone(conns)
	}
	if n.Connectedness(id) != network.Connected {
		return nil
	}
	return []network.Conn{&conn{net: n, id: id}}
}

// open opens a connection to a peer whose other end does not answer the first questions.
func (n *scriptedNetwork) open(id peer.ID, silent int) *conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &conn{net: n, id: id, silent: silent}
	n.conns[id] = append(n.conns[id], c)
	return c
}

// A conn is a connection of a scriptedNetwork.
type conn struct {
	network.Conn // nil: what is not implemented is not used

	net    *scriptedNetwork
	id     peer.ID
	silent int // questions that get no answer
	asked  int
	closed time.Time
	addr   multiaddr.Multiaddr // nil: that of calltest
	uses   []network.Stream
}

func (c *conn) RemotePeer() peer.ID          { return c.id }
func (c *conn) GetStreams() []network.Stream { return c.uses }
func (c *conn) RemoteMultiaddr() multiaddr.Multiaddr {
	if c.addr != nil {
		return c.addr
	}
	return calltest.Addr(c.id)
}
func (c *conn) Stat() network.ConnStats { return network.ConnStats{} }

// NewStream is how a peer is asked whether it is there. A refusal is an answer.
func (c *conn) NewStream(ctx context.Context) (network.Stream, error) {
	c.net.mu.Lock()
	c.asked++
	silent := c.asked <= c.silent
	c.net.mu.Unlock()
	if silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, network.ErrReset
}

func (c *conn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.closed = time.Now()
	c.net.conns[c.id] = nil
	return nil
}

// end returns when the connection was closed; zero if it is open.
func (c *conn) end() time.Time {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.closed
}
