package serve

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	mocknet "github.com/libp2p/go-libp2p/p2p/net/mock"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/validate"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testProtocol = lprotocol.ID("/test/kad/1.0.0")

// aPeer is a made-up peer.
var aPeer = peer.ID("\x12\x20" + strings.Repeat("p", 32))

// The codes of refusals.
var (
	codeMalformed = kaderr.CodeOf(protocol.ErrMalformed)
	codeInvalid   = kaderr.CodeOf(kaderr.ErrInvalidRecord)
	codeOld       = kaderr.CodeOf(kaderr.ErrOldRecord)
	codeBadPeer   = kaderr.CodeOf(kaderr.ErrBadProvider)
)

// A node is a Server with the rooms that it uses, on a host without connections.
type node struct {
	*Server
	host   lhost.Host
	holder *holder.Holder
	table  *table.Table
	store  store.Store
	asked  atomic.Int32 // how often Asked was called
}

func newNode(t testing.TB, maxInbound int) *node { return newNodeWith(t, maxInbound, -1) }

// newNodeWith returns a node with a bound on what each peer stores; negative: none.
func newNodeWith(t testing.TB, maxInbound, maxBytesPerPeer int) *node {
	t.Helper()
	net := mocknet.New()
	t.Cleanup(func() { _ = net.Close() })
	h, err := net.GenPeer()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{host: h, store: store.NewMemory(store.Limits{})}
	group := roomtest.NewGroup(t)
	n.table = table.New(table.Config{Host: h, Protocol: testProtocol, Tasks: group, K: 20, Wake: func() {}})
	n.holder = holder.New(holder.Config{
		Host: h, Protocol: testProtocol, Store: n.store, Rules: validate.Rules{"v": roomtest.Digits{}}, Table: n.table,
		K: 20, RecordAge: 48 * time.Hour, MaxBytesPerPeer: maxBytesPerPeer, Caching: true,
	})
	n.Server = New(Config{
		Holder: n.holder, Table: n.table, Tasks: group, K: 20, MaxInbound: maxInbound,
		Asked: func(network.Conn) { n.asked.Add(1) },
	})
	return n
}

// acquaint fills the table with made-up contacts that have these addresses, and returns
// the contacts that it took.
func acquaint(n *node, count int, addrs ...string) (contacts []routing.Contact) {
	for i := range count {
		if c := n.meet(calltest.ID(i), roomtest.Addrs(addrs...)); n.table.Has(c.ID) {
			contacts = append(contacts, c)
		}
	}
	return contacts
}

// meet has the table take a peer with these addresses, if it has room.
func (n *node) meet(id peer.ID, addrs []multiaddr.Multiaddr) routing.Contact {
	c := routing.ContactOf(id)
	c.Wire = announce.Encode(protocol.Peer{ID: id, Addrs: addrs})
	n.host.Peerstore().AddAddrs(id, addrs, peerstore.PermanentAddrTTL)
	n.table.Heard(c, table.Answered, 0)
	return c
}

// answered returns what a peer at s is answered, as it reads it. An answer has no empty
// message of a peer, which would take the place of another.
func answered(t *testing.T, n *node, from peer.ID, s scope.Scope, req protocol.Request) protocol.Response {
	t.Helper()
	a, err := n.Answer(t.Context(), holder.From{ID: from, At: s}, req, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(slices.Concat(a.Closer, a.Providers), func(p protocol.EncodedPeer) bool { return len(p.Wire) == 0 }) {
		t.Errorf("%T from scope %d is answered with an empty peer", req, s)
	}
	resp, err := protocol.ParseResponse(req, protocol.AppendEncodedResponse(nil, req, a.Records, a.Closer, a.Providers))
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// hold makes a node hold a value, valid or not.
func hold(t testing.TB, n *node, key, value string) {
	t.Helper()
	now := time.Now()
	err := n.store.UpdateValue(t.Context(), []byte(key), now, func(store.Value, bool) (store.Value, error) {
		return store.Value{Data: []byte(value), Received: now, Expires: now.Add(time.Hour)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// held returns the value that a node holds.
func held(t *testing.T, n *node, key string) string {
	t.Helper()
	v, err := n.store.Value(t.Context(), []byte(key), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return string(v.Data)
}

func addrStrings(addrs []multiaddr.Multiaddr) (out []string) {
	for _, a := range addrs {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return out
}

func peerIDs(peers []protocol.Peer) (out []peer.ID) {
	for _, p := range peers {
		out = append(out, p.ID)
	}
	return out
}
