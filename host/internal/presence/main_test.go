package presence

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/deliver"
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

const (
	testK = 3

	firstAddr   = "/ip4/50.1.0.1/tcp/4001"
	secondAddr  = "/ip4/50.2.0.1/tcp/4001"
	privateAddr = "/ip4/192.168.1.5/tcp/4001"
)

// A node is a Presence in a scripted network.
type node struct {
	*Presence

	host  *movingHost
	net   *calltest.Network
	group *tasks.Group
	loop  *tasks.Loop
	call  *call.Caller
	peers []peer.ID
	late  peer.ID // answers lookups after they have ended

	clockSet time.Duration // by how much the clock was set; for the goroutine of the loop

	mu     sync.Mutex
	at     map[peer.ID][]string // the addresses that each peer was sent last; none: withdrawn
	sent   int
	answer calltest.Answer // of peers that are sent a presence; nil: they store it
}

// newNode returns a node with some peers in its table, which know each other.
func newNode(t *testing.T, peers int) *node {
	t.Helper()
	n := &node{net: calltest.New(t), group: roomtest.NewGroup(t), at: make(map[peer.ID][]string)}
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	n.host = &movingHost{Host: n.net.Host()}
	if n.host.id, err = peer.IDFromPrivateKey(key); err != nil {
		t.Fatal(err)
	}
	if err := n.host.Peerstore().AddPrivKey(n.host.id, key); err != nil {
		t.Fatal(err)
	}
	n.host.move(firstAddr)
	contacts := table.New(table.Config{
		Host: n.host, Protocol: "/test", Tasks: n.group, K: testK, ProbeAfter: 1000 * time.Hour, MaxPerGroup: -1, SlowAfter: time.Second, Wake: func() {},
	})
	n.call = call.New(call.Config{
		Host: n.host, Transport: n.net, Table: contacts, Tasks: n.group, RequestTimeout: 10 * time.Second, SlowAfter: time.Second, MaxDials: 64,
	})
	held := holder.New(holder.Config{
		Host: n.host, Protocol: "/test", Store: store.NewMemory(store.Limits{}), Table: contacts, K: testK, RecordAge: time.Hour, MaxBytesPerPeer: -1,
	})
	around := reach.New(reach.Config{Host: n.host, Table: contacts, Mode: reach.Client, PublicPeer: true, Switched: func(_, _ reach.Decision) {}})
	around.Start()
	n.Presence = New(Config{
		Host: n.host, Table: contacts, Holder: held, Reach: around, K: testK,
		Lookup:  lookup.NewEngine(lookup.Config{Host: n.host, Table: contacts, Call: n.call, Tasks: n.group, K: testK, Alpha: 3, SlowAfter: time.Second}),
		Deliver: deliver.New(deliver.Config{Table: contacts, Call: n.call, Tasks: n.group, K: testK, Alpha: 3}),
	})
	for i := range peers {
		n.peers = append(n.peers, calltest.ID(i+1))
	}
	for _, id := range n.peers {
		n.enter(t, id)
	}
	n.loop = tasks.NewLoop(n.group)
	job := n.Job()
	n.loop.Add(tasks.Job{Name: job.Name, Due: func(now time.Time, start *tasks.Start) time.Time {
		if n.clockSet != 0 {
			now = roomtest.SetClock(now, n.clockSet)
		}
		return job.Due(now, start)
	}})
	return n
}

// run runs the loop of a node. What is returned calls a function in its goroutine.
func (n *node) run() (inLoop func(func())) {
	calls := make(chan any)
	n.group.Go(func(ctx context.Context) { n.loop.Run(ctx, calls, func(_ time.Time, call any) { call.(func())() }) })
	return func(f func()) { calls <- f }
}

// enter puts a peer into the table.
func (n *node) enter(t *testing.T, id peer.ID) {
	t.Helper()
	n.add(t, id)
	if _, err := n.call.Request(t.Context(), nil, calltest.Contact(id), protocol.Ping{}, nil); err != nil {
		t.Fatal(err)
	}
}

// add adds a peer that can be dialled. It keeps a presence, and names the others.
func (n *node) add(t *testing.T, id peer.ID) {
	t.Helper()
	knows := calltest.Knows(testK, append(slices.Clone(n.peers), id)...)
	n.net.Add(id, func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
		add, ok := req.(protocol.AddProvider)
		if !ok && id == n.late {
			return calltest.After(3*time.Second, knows)(ctx, req)
		} else if !ok {
			return knows(ctx, req)
		}
		n.mu.Lock()
		answer := n.answer
		n.mu.Unlock()
		if answer != nil {
			return answer(ctx, req)
		}
		if string(add.Key) != string(n.host.id) || len(add.Providers) != 1 || add.Providers[0].ID != n.host.id {
			t.Errorf("%v was sent %+v", id, add)
		}
		n.keep(t, id, add)
		return protocol.Response{}, nil
	})
}

// keep has a peer keep a presence.
func (n *node) keep(t *testing.T, id peer.ID, add protocol.AddProvider) {
	t.Helper()
	proof, err := announce.Verify(add.Proof, n.host.id, "/test", add.Key)
	if err != nil {
		t.Errorf("the proof of the presence: %v", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent++
	var addrs []string
	for _, a := range add.Providers[0].Addrs {
		addrs = append(addrs, a.String())
	}
	withdrawn := proof.Lifetime < 0
	if withdrawn != (len(addrs) == 0) {
		t.Errorf("a lifetime of %v with the addresses %v", proof.Lifetime, addrs)
	}
	cert, err := announce.VerifyCertificate(add.Providers[0].Certified, n.host.id, proof.Published)
	if certified := err == nil && slices.EqualFunc(cert.Addrs, add.Providers[0].Addrs, multiaddr.Multiaddr.Equal); certified == withdrawn {
		t.Errorf("the certificate has %v, the presence %v; %v", cert.Addrs, addrs, err)
	}
	n.at[id] = addrs
}

// holds returns how many peers were sent exactly one address last, and whether all of
// the k closest are among them.
func (n *node) holds(addr string) (count int, closest bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	closest = true
	for _, c := range n.cfg.Table.Closest(n.cfg.Table.Self(), testK) {
		closest = closest && slices.Equal(n.at[c.ID], []string{addr})
	}
	for _, addrs := range n.at {
		if slices.Equal(addrs, []string{addr}) {
			count++
		}
	}
	return count, closest
}

// answers has peers answer a presence like a; nil: they keep it.
func (n *node) answers(a calltest.Answer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer = a
}

// sentSince returns how often the presence was sent since it was called last.
func (n *node) sentSince() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	sent := n.sent
	n.sent = 0
	return sent
}

// A movingHost has an ID with a key, and addresses that change.
type movingHost struct {
	lhost.Host

	id peer.ID

	mu    sync.Mutex
	addrs []multiaddr.Multiaddr
}

func (h *movingHost) ID() peer.ID              { return h.id }
func (h *movingHost) Network() network.Network { return movingNetwork{h.Host.Network()} }

func (h *movingHost) Addrs() []multiaddr.Multiaddr {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.addrs
}

func (h *movingHost) move(addrs ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addrs = nil
	for _, a := range addrs {
		h.addrs = append(h.addrs, multiaddr.StringCast(a))
	}
}

// A movingNetwork listens on no public address itself, and has shown none of its own.
type movingNetwork struct{ network.Network }

func (movingNetwork) InterfaceListenAddresses() ([]multiaddr.Multiaddr, error) { return nil, nil }

func (movingNetwork) Conns() []network.Conn { return nil }
