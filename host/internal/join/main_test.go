package join

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	testK        = 4
	testProtocol = lprotocol.ID("/test/kad/1.0.0")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A node joins a scripted network.
type node struct {
	*Joiner
	net   *calltest.Network
	table *table.Table
	call  *call.Caller
	group *tasks.Group
	loop  *tasks.Loop

	mu    sync.Mutex
	dials map[peer.ID][]time.Time
}

// newNode returns a node that knows no peer but those of cfg.Bootstrap, and whose
// background loop does not run yet. dir is where it saves its contacts.
func newNode(t *testing.T, cfg Config, dir string) *node {
	t.Helper()
	n := &node{net: calltest.New(t), group: roomtest.NewGroup(t), dials: make(map[peer.ID][]time.Time)}
	n.loop = tasks.NewLoop(n.group)
	h := n.net.Host()
	n.table = table.New(table.Config{
		Host: h, Protocol: testProtocol, Tasks: n.group, K: testK, ProbeAfter: 10 * time.Minute, MaxPerGroup: -1,
		SlowAfter: time.Second, Dir: dir, Bootstrap: len(cfg.Bootstrap), Wake: n.loop.Wake,
	})
	n.call = call.New(call.Config{
		Host: h, Transport: n.net, Table: n.table, Tasks: n.group,
		RequestTimeout: 10 * time.Second, SlowAfter: time.Second, MaxDials: 64, Dialled: n.dialled,
	})
	cfg.Host, cfg.Protocol, cfg.Table, cfg.Call, cfg.Tasks, cfg.Wake = h, testProtocol, n.table, n.call, n.group, n.loop.Wake
	cfg.Lookup = lookup.NewEngine(lookup.Config{Host: h, Table: n.table, Call: n.call, Tasks: n.group, K: testK, Alpha: 3, SlowAfter: time.Second})
	n.Joiner = New(cfg)
	n.loop.Add(n.Jobs()...)
	return n
}

// start starts the background loop.
func (n *node) start() {
	n.group.Go(func(ctx context.Context) { n.loop.Run(ctx, nil, nil) })
}

func (n *node) dialled(id peer.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials[id] = append(n.dials[id], time.Now())
}

// dialsOf returns when a peer was dialled, and forgets it.
func (n *node) dialsOf(id peer.ID) []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	times := n.dials[id]
	delete(n.dials, id)
	return times
}

// serve adds peers that serve, as the host knows, and answer so.
func (n *node) serve(t *testing.T, a calltest.Answer, ids ...peer.ID) {
	t.Helper()
	for _, id := range ids {
		n.net.Add(id, a)
		if err := n.net.Host().Peerstore().SetProtocols(id, testProtocol); err != nil {
			t.Fatal(err)
		}
	}
}

// gone has peers not answer, and their connections end.
func (n *node) gone(ids ...peer.ID) {
	for _, id := range ids {
		n.net.Add(id, nil)
		n.net.Disconnect(id)
		n.table.Disconnected(id)
	}
}

// asked returns how often each target was asked for, by its CPL with this node; -1 is the
// ID of this node. It forgets that.
func (n *node) asked() (cpls []int) {
	for _, a := range n.net.Asked() {
		target := a.Req.(protocol.FindNode).Target
		if string(target) == string(n.self) {
			cpls = append(cpls, -1)
		} else {
			cpls = append(cpls, n.table.Self().CPL(routing.KeyOf(target)))
		}
	}
	return cpls
}

// count returns how many of some numbers are x.
func count(numbers []int, x int) (n int) {
	for _, y := range numbers {
		if x == y {
			n++
		}
	}
	return n
}

// info returns the addresses of a peer.
func info(id peer.ID) peer.AddrInfo {
	return peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{calltest.Addr(id)}}
}

// through returns the Config of a node with some bootstrap peers.
func through(ids ...peer.ID) (cfg Config) {
	cfg.RefreshInterval = time.Hour
	for _, id := range ids {
		cfg.Bootstrap = append(cfg.Bootstrap, info(id))
	}
	return cfg
}

// peerAt returns the ID of a peer that shares so many bits with the node: the n-th one.
func peerAt(cpl, n int) peer.ID {
	self := routing.KeyOf([]byte(calltest.ID(0)))
	for i := 1; ; i++ {
		if id := calltest.ID(i); self.CPL(routing.KeyOf([]byte(id))) == cpl {
			if n == 0 {
				return id
			}
			n--
		}
	}
}
