package find

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/lookup"
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

// A node is a Finder in a scripted network.
type node struct {
	*Finder
	net    *calltest.Network
	holder *holder.Holder
	group  *tasks.Group
	peers  []peer.ID // the closest to testKey first
}

// testKey is the key that the tests look for.
var testKey = []byte("/v/key")

// newNode returns a node in a network of count peers, which know each other. The table of
// the node has the testK of them that are the farthest from testKey; a lookup asks alpha
// of them at a time.
func newNode(t *testing.T, count, alpha int, caching bool) *node {
	t.Helper()
	n := &node{net: calltest.New(t), group: roomtest.NewGroup(t)}
	h := n.net.Host()
	rules := validate.Rules{"v": roomtest.Digits{}}
	contacts := table.New(table.Config{
		Host: h, Protocol: "/test", Tasks: n.group, K: 4 * testK, ProbeAfter: time.Hour, MaxPerGroup: -1,
		SlowAfter: time.Second, Wake: func() {},
	})
	caller := call.New(call.Config{
		Host: h, Transport: n.net, Table: contacts, Tasks: n.group,
		RequestTimeout: 10 * time.Second, SlowAfter: time.Second, MaxDials: 64,
	})
	n.holder = holder.New(holder.Config{
		Host: h, Protocol: "/test", Store: store.NewMemory(store.Limits{}), Rules: rules, Table: contacts,
		K: testK, RecordAge: 48 * time.Hour, MaxBytesPerPeer: -1,
	})
	n.Finder = New(Config{
		Host: h, Rules: rules, Table: contacts, Call: caller, Holder: n.holder, Tasks: n.group,
		Lookup:  lookup.NewEngine(lookup.Config{Host: h, Table: contacts, Call: caller, Tasks: n.group, K: testK, Alpha: alpha, SlowAfter: time.Second}),
		Deliver: deliver.New(deliver.Config{Table: contacts, Call: caller, Tasks: n.group, K: testK, Alpha: alpha}),
		K:       testK, SlowAfter: time.Second, RecordAge: 48 * time.Hour, Caching: caching,
	})
	for i := range count {
		n.peers = append(n.peers, calltest.ID(i+1))
	}
	sortByDistance(testKey, n.peers)
	for _, id := range n.peers {
		n.net.Add(id, calltest.Knows(testK, n.peers...))
	}
	for _, id := range n.peers[max(0, count-testK):] { // a lookup starts from them
		if _, err := caller.Request(t.Context(), nil, calltest.Contact(id), protocol.FindNode{Target: []byte("x")}, nil); err != nil {
			t.Fatal(err)
		}
	}
	n.net.Asked()
	return n
}

// gives has a peer answer a request for a value with some, the best one first, and a
// request for providers with others. It knows the peers of the network.
func (n *node) gives(id peer.ID, values []protocol.Record, providers ...protocol.Peer) {
	knows := calltest.Knows(testK, n.peers...)
	n.net.Add(id, func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
		resp, err := knows(ctx, req)
		switch req.(type) {
		case protocol.GetValue:
			if len(values) > 0 {
				resp.Record, resp.More = &values[0], values[1:]
			}
		case protocol.GetProviders:
			resp.Providers = providers
		}
		return resp, err
	})
}

// value returns a record with a value, which lives for so long.
func value(v string, ttl time.Duration) []protocol.Record {
	return []protocol.Record{{Key: testKey, Value: []byte(v), TTL: ttl}}
}

// puts returns the values that peers were sent, by peer, since the network was last asked.
func (n *node) puts() map[peer.ID]protocol.Record {
	sent := make(map[peer.ID]protocol.Record)
	for _, a := range n.net.Asked() {
		if put, ok := a.Req.(protocol.PutValue); ok {
			sent[a.To] = put.Record
		}
	}
	return sent
}

// texts returns values as texts.
func texts(values [][]byte) (out []string) {
	for _, v := range values {
		out = append(out, string(v))
	}
	return out
}

// sortByDistance sorts peers by their distance to a key.
func sortByDistance(key []byte, ids []peer.ID) {
	slices.SortFunc(ids, byDistance(key))
}

func byDistance(key []byte) func(a, b peer.ID) int {
	target := routing.KeyOf(key)
	return func(a, b peer.ID) int { return target.Compare(routing.KeyOf([]byte(a)), routing.KeyOf([]byte(b))) }
}
