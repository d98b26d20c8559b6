package replicate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/publish"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/internal/validate"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testK = 4

// A node is a Replicator in a scripted network.
type node struct {
	*Replicator
	net     *calltest.Network
	group   *tasks.Group
	caller  *call.Caller
	holder  *holder.Holder
	publish *publish.Publisher
	peers   []peer.ID
}

// newNode returns a node with count peers in its table, which know each other.
func newNode(t *testing.T, count int, interval time.Duration) *node {
	t.Helper()
	n := &node{net: calltest.New(t), group: roomtest.NewGroup(t)}
	h := n.net.Host()
	rules := validate.Rules{"v": roomtest.Digits{}, "s": pairs{}}
	contacts := table.New(table.Config{
		Host: h, Protocol: "/test", Tasks: n.group, K: testK, ProbeAfter: 1000 * time.Hour, MaxPerGroup: -1,
		SlowAfter: time.Second, Wake: func() {},
	})
	n.caller = call.New(call.Config{
		Host: h, Transport: n.net, Table: contacts, Tasks: n.group,
		RequestTimeout: 10 * time.Second, SlowAfter: time.Second, MaxDials: 64,
	})
	records := store.NewMemory(store.Limits{})
	n.holder = holder.New(holder.Config{
		Host: h, Protocol: "/test", Store: records, Rules: rules, Table: contacts,
		K: testK, RecordAge: 240 * time.Hour, MaxBytesPerPeer: -1,
	})
	engine := lookup.NewEngine(lookup.Config{Host: h, Table: contacts, Call: n.caller, Tasks: n.group, K: testK, Alpha: 10, SlowAfter: time.Second})
	sender := deliver.New(deliver.Config{Table: contacts, Call: n.caller, Tasks: n.group, K: testK, Alpha: 10})
	finder := find.New(find.Config{
		Host: h, Rules: rules, Table: contacts, Call: n.caller, Lookup: engine, Deliver: sender, Holder: n.holder, Tasks: n.group,
		K: testK, SlowAfter: time.Second, RecordAge: 240 * time.Hour,
	})
	n.publish = publish.New(publish.Config{
		Self: h.ID(), Store: records, Rules: rules, Holder: n.holder, Lookup: engine, Deliver: sender, Find: finder,
		RecordAge: 240 * time.Hour, Interval: 1000 * time.Hour, Wake: func() {}, Unsettled: contacts.Unsettled,
	})
	n.Replicator = New(Config{
		Holder: n.holder, Table: contacts, Lookup: engine, Deliver: sender, Find: finder, Publish: n.publish,
		K: testK, Alpha: 10, Interval: interval,
	})
	for i := range count {
		n.peers = append(n.peers, calltest.ID(i+1))
	}
	for _, id := range n.peers {
		n.meet(t, id, calltest.Knows(testK, n.peers...))
	}
	n.net.Asked()
	return n
}

// meet puts a peer into the table, if it has room, and has it answer like a.
func (n *node) meet(t *testing.T, id peer.ID, a calltest.Answer) {
	t.Helper()
	n.net.Add(id, a)
	if _, err := n.caller.Request(t.Context(), nil, calltest.Contact(id), protocol.FindNode{Target: []byte("x")}, nil); err != nil {
		t.Fatal(err)
	}
}

// run runs the jobs of a node in the background, until the test ends. The first round
// begins at once, and takes less than an interval. It returns what calls a function in
// the goroutine of the loop, which then asks the jobs.
func (n *node) run() (inLoop func(func())) {
	n.round.survey, n.round.next, n.round.begins = n.cfg.Lookup.NewSurvey(), time.Now(), time.Now()
	return n.start()
}

// start is run with a first round that begins when package replicate has it begin.
func (n *node) start() (inLoop func(func())) {
	loop := tasks.NewLoop(n.group)
	loop.Add(n.jobs()...)
	calls := make(chan any)
	n.group.Go(func(ctx context.Context) { loop.Run(ctx, calls, func(_ time.Time, call any) { call.(func())() }) })
	return func(f func()) { calls <- f }
}

// hold has a node hold values that a peer has sent: under the keys of these numbers.
func (n *node) hold(t *testing.T, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := n.holder.Store(t.Context(), time.Now(), "a peer", protocol.Record{Key: recordKey(i), Value: []byte("1")}); err != nil {
			t.Fatal(err)
		}
	}
}

// ours returns the number of a record that fewer than k peers are nearer to than the node.
func (n *node) ours() int {
	for i := 0; ; i++ {
		if _, among := n.closest(recordKey(i)); among {
			return i
		}
	}
}

// holds reports whether a node holds a value, and which.
func (n *node) holds(t *testing.T, key []byte) string {
	t.Helper()
	held, err := n.holder.Held(t.Context(), key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if len(held) == 0 {
		return ""
	}
	return string(held[0].Data)
}

// puts returns how often each value was sent to each peer since puts was called last.
func (n *node) puts() map[string]map[peer.ID]int {
	sent := make(map[string]map[peer.ID]int)
	for _, a := range n.net.Asked() {
		if put, ok := a.Req.(protocol.PutValue); ok {
			key := string(put.Record.Key)
			if sent[key] == nil {
				sent[key] = make(map[peer.ID]int)
			}
			sent[key][a.To]++
		}
	}
	return sent
}

// closest returns the testK peers closest to a key, with the node itself or without, and
// whether the node is among them.
func (n *node) closest(key []byte) (peers []peer.ID, ours bool) {
	self := n.net.Host().ID()
	contacts := []routing.Contact{routing.ContactOf(self)}
	for _, id := range n.peers {
		contacts = append(contacts, routing.ContactOf(id))
	}
	routing.SortByDistance(routing.KeyOf(key), contacts)
	for _, c := range contacts[:testK] {
		if c.ID == self {
			ours = true
		} else {
			peers = append(peers, c.ID)
		}
	}
	return peers, ours
}

// toPuts answers PUT_VALUE like put, and other requests like others.
func toPuts(put, others calltest.Answer) calltest.Answer {
	return func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
		if _, ok := req.(protocol.PutValue); ok {
			return put(ctx, req)
		}
		return others(ctx, req)
	}
}

// better is the Answer of a holder that has "2" under each key: it refuses what is put as old, after
// some time, and shows its value in a get.
func (n *node) better(after time.Duration) calltest.Answer {
	others := calltest.Knows(testK, n.peers...)
	old := calltest.After(after, calltest.Fails(errors.Join(kaderr.ErrRefused, kaderr.ErrOldRecord)))
	return toPuts(old, func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
		resp, err := others(ctx, req)
		if get, ok := req.(protocol.GetValue); ok {
			resp.Record = &protocol.Record{Key: get.Key, Value: []byte("2")}
		}
		return resp, err
	})
}

// pairs is a Reducer of sets of up to two values, of which none is better.
type pairs struct{}

func (pairs) Validate(string, []byte) error { return nil }

func (pairs) Select(string, [][]byte) (int, error) { return 0, nil }

func (pairs) Reduce(_ string, values [][]byte) ([][]byte, error) {
	values = slices.Clone(values)
	slices.SortFunc(values, bytes.Compare)
	return slices.CompactFunc(values, bytes.Equal), nil
}

func (pairs) Limits() (values, size int) { return 2, 100 }

func recordKey(i int) []byte { return fmt.Appendf(nil, "/v/%d", i) }

// jobs returns the jobs of a node, as package host has them.
func (n *node) jobs() []tasks.Job {
	if n.cfg.Interval < 0 {
		return []tasks.Job{n.Newcomers()}
	}
	return []tasks.Job{n.Round(), n.Newcomers()}
}
