package publish

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/multiformats/go-multiaddr"
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
	"github.com/go-kad/kad/host/internal/validate"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testK = 8

// A node is a Publisher in a scripted network.
type node struct {
	*Publisher
	net    *calltest.Network
	group  *tasks.Group
	table  *table.Table
	store  *failing
	holder *holder.Holder
	home   *home
	peers  []peer.ID
}

// A home is the host of a node, at an address that changes.
type home struct {
	lhost.Host
	addr atomic.Pointer[multiaddr.Multiaddr] // nil: that of Host
	bus  event.Bus
}

func (h *home) EventBus() event.Bus { return h.bus }

func (h *home) Addrs() []multiaddr.Multiaddr {
	if a := h.addr.Load(); a != nil {
		return []multiaddr.Multiaddr{*a}
	}
	return h.Host.Addrs()
}

// newNode returns a node with count peers in its table, which know each other.
func newNode(t *testing.T, count int, interval time.Duration) *node {
	t.Helper()
	n := &node{net: calltest.New(t), group: roomtest.NewGroup(t)}
	n.home = &home{Host: n.net.Host(), bus: eventbus.NewBus()}
	h := n.home
	rules := validate.Rules{"v": roomtest.Digits{}, "s": authors{}}
	n.table = table.New(table.Config{
		Host: h, Protocol: "/test", Tasks: n.group, K: testK, ProbeAfter: time.Hour, MaxPerGroup: -1,
		SlowAfter: time.Second, Wake: func() {},
	})
	caller := call.New(call.Config{
		Host: h, Transport: n.net, Table: n.table, Tasks: n.group,
		RequestTimeout: 10 * time.Second, SlowAfter: time.Second, MaxDials: 64,
	})
	n.store = &failing{Store: store.NewMemory(store.Limits{})}
	n.holder = holder.New(holder.Config{
		Host: h, Protocol: "/test", Store: n.store, Rules: rules, Table: n.table,
		K: testK, RecordAge: 24 * time.Hour, MaxBytesPerPeer: -1,
	})
	engine := lookup.NewEngine(lookup.Config{Host: h, Table: n.table, Call: caller, Tasks: n.group, K: testK, Alpha: 10, SlowAfter: time.Second})
	sender := deliver.New(deliver.Config{Table: n.table, Call: caller, Tasks: n.group, K: testK, Alpha: 10})
	n.Publisher = New(Config{
		Self: h.ID(), Store: n.store, Rules: rules, Holder: n.holder, Lookup: engine, Deliver: sender,
		Find: find.New(find.Config{
			Host: h, Rules: rules, Table: n.table, Call: caller, Lookup: engine, Deliver: sender, Holder: n.holder, Tasks: n.group,
			K: testK, SlowAfter: time.Second, RecordAge: 24 * time.Hour,
		}),
		Reach: reach.New(reach.Config{Host: h, Table: n.table, Switched: func(_, _ reach.Decision) {}}), RecordAge: 24 * time.Hour, Interval: interval, Tasks: n.group,
		Wake: func() {}, Unsettled: n.table.Unsettled,
	})
	for i := range count {
		n.peers = append(n.peers, calltest.ID(i+1))
	}
	for _, id := range n.peers {
		n.net.Add(id, calltest.Knows(testK, n.peers...))
		if _, err := caller.Request(t.Context(), nil, calltest.Contact(id), protocol.FindNode{Target: []byte("x")}, nil); err != nil {
			t.Fatal(err)
		}
	}
	n.net.Asked()
	return n
}

// run runs the job of a node in the background, until the test ends.
func (n *node) run() {
	loop := tasks.NewLoop(n.group)
	loop.Add(n.Job())
	n.cfg.Wake = loop.Wake
	n.group.Go(func(ctx context.Context) { loop.Run(ctx, nil, func(time.Time, any) {}) })
}

// writes returns the writes since it was called last.
func (n *node) writes() (writes []protocol.Request) {
	for _, a := range n.net.Asked() {
		switch a.Req.(type) {
		case protocol.PutValue, protocol.AddProvider:
			writes = append(writes, a.Req)
		}
	}
	return writes
}

// will has all peers answer like a.
func (n *node) will(a calltest.Answer) {
	for _, id := range n.peers {
		n.net.Add(id, a)
	}
}

// toPuts answers PUT_VALUE like put, and other requests as peers that know each other.
func (n *node) toPuts(put calltest.Answer) calltest.Answer {
	others := calltest.Knows(testK, n.peers...)
	return func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
		if _, ok := req.(protocol.PutValue); ok {
			return put(ctx, req)
		}
		return others(ctx, req)
	}
}

// toWrites is toPuts for ADD_PROVIDER, too.
func (n *node) toWrites(write calltest.Answer) calltest.Answer {
	others := n.toPuts(write)
	return func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
		if _, ok := req.(protocol.AddProvider); ok {
			return write(ctx, req)
		}
		return others(ctx, req)
	}
}

// holding answers GET_VALUE with a value.
func holding(value string, others calltest.Answer) calltest.Answer {
	return func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
		resp, err := others(ctx, req)
		if get, ok := req.(protocol.GetValue); ok {
			resp.Record = &protocol.Record{Key: get.Key, Value: []byte(value)}
		}
		return resp, err
	}
}

// failing is a Store that fails with these errors.
type failing struct {
	store.Store

	publish, read, add, provider failure

	kept       atomic.Int64
	publishing func(kept int) // called with how many were published, unless it is nil
}

// A failure is an error that a test sets, nil at first. It is safe for concurrent use.
type failure struct{ err atomic.Pointer[error] }

func (f *failure) set(err error) { f.err.Store(&err) }

func (f *failure) get() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *failing) Publish(ctx context.Context, p store.Publication) error {
	if err := f.publish.get(); err != nil {
		return err
	}
	if kept := f.kept.Add(1); f.publishing != nil {
		f.publishing(int(kept))
	}
	return f.Store.Publish(ctx, p)
}

func (f *failing) Publication(ctx context.Context, kind store.Kind, key []byte) (store.Publication, error) {
	if err := f.read.get(); err != nil {
		return store.Publication{}, err
	}
	return f.Store.Publication(ctx, kind, key)
}

func (f *failing) AddProvider(ctx context.Context, key []byte, p store.Provider) error {
	if err := f.add.get(); err != nil {
		return err
	}
	return f.Store.AddProvider(ctx, key, p)
}

func (f *failing) Provider(ctx context.Context, key []byte, id string, now time.Time) (store.Provider, error) {
	if err := f.provider.get(); err != nil {
		return store.Provider{}, err
	}
	return f.Store.Provider(ctx, key, id, now)
}

// authors is a Reducer that holds all values.
type authors struct{}

func (authors) Validate(string, []byte) error                            { return nil }
func (authors) Select(string, [][]byte) (int, error)                     { return 0, nil }
func (authors) Reduce(_ string, values [][]byte) (out [][]byte, _ error) { return values, nil }
func (authors) Limits() (values, size int)                               { return 64, 1 << 10 }

var _ validate.Reducer = authors{}

// hasValue reports whether a request stores a value.
func hasValue(req protocol.Request, value string) bool {
	put, ok := req.(protocol.PutValue)
	return ok && bytes.Equal(put.Record.Value, []byte(value))
}
