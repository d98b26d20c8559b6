package host

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A mover is a host whose addresses change.
type mover struct {
	lhost.Host
	addrs atomic.Pointer[[]multiaddr.Multiaddr]
	moves event.Emitter
}

func newMover(t *testing.T, h lhost.Host, addrs ...string) *mover {
	t.Helper()
	moves, err := h.EventBus().Emitter(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = moves.Close() })
	m := &mover{Host: h, moves: moves}
	m.move(addrs...)
	return m
}

func (m *mover) Addrs() []multiaddr.Multiaddr { return *m.addrs.Load() }

// move changes the addresses, and tells of it.
func (m *mover) move(addrs ...string) {
	list := roomtest.Addrs(addrs...)
	m.addrs.Store(&list)
	_ = m.moves.Emit(event.EvtLocalAddressesUpdated{})
}

const (
	firstPlaceAddr  = "/ip6/100::f1/tcp/1"
	secondPlaceAddr = "/ip6/100::f2/tcp/2"
)

// presentAt returns the nodes that hold the presence of a peer, sorted.
func presentAt(t *testing.T, nodes []*DHT, id peer.ID) (holders []peer.ID) {
	t.Helper()
	for _, d := range nodes {
		if _, ok := presenceAt(t, d, id); ok {
			holders = append(holders, d.ID())
		}
	}
	slices.Sort(holders)
	return holders
}

func presenceAt(t *testing.T, d *DHT, id peer.ID) (store.Provider, bool) {
	t.Helper()
	p, err := d.store.Provider(t.Context(), []byte(id), string(id), time.Now())
	return p, err == nil
}

// nearestTo returns the k of nodes that are closest to a peer, sorted by ID.
func nearestTo(nodes []*DHT, id peer.ID, k int) (ids []peer.ID) {
	for _, d := range nodes {
		ids = append(ids, d.ID())
	}
	key := routing.KeyOf([]byte(id))
	slices.SortFunc(ids, func(a, b peer.ID) int { return key.Compare(routing.KeyOf([]byte(a)), routing.KeyOf([]byte(b))) })
	ids = ids[:k]
	slices.Sort(ids)
	return ids
}

// Each node finds a node that does not serve where it is, until that is closed.
func TestPresence(t *testing.T) { synctest.Test(t, testPresence) }

func testPresence(t *testing.T) {
	const k = 3
	n := newTestNet(t)
	nodes := n.nodes(10, Config{K: k})
	h := newMover(t, n.host(), firstPlaceAddr)
	client := n.attach(h, Config{K: k, Mode: ModeClient, Bootstrap: []peer.AddrInfo{info(nodes[0].host)}})
	time.Sleep(2 * time.Second)
	got := presentAt(t, nodes, client.ID())
	// A lookup with so small tables may miss one of the k.
	missed := slices.DeleteFunc(nearestTo(nodes, client.ID(), k), func(id peer.ID) bool { return slices.Contains(got, id) })
	if len(got) < k || len(missed) > 1 {
		t.Fatalf("%d hold it, and not %d of the %d closest", len(got), len(missed), k)
	}
	checkFound(t, n, nodes, client.ID(), firstPlaceAddr)

	h.move(secondPlaceAddr)
	time.Sleep(2 * time.Second)
	checkFound(t, n, nodes, client.ID(), secondPlaceAddr)

	// Many changes: the last counts.
	for range 10 {
		h.move(firstPlaceAddr)
		time.Sleep(50 * time.Millisecond)
		h.move(secondPlaceAddr)
		time.Sleep(50 * time.Millisecond)
	}
	h.move(firstPlaceAddr)
	time.Sleep(10 * time.Second)
	checkFound(t, n, nodes, client.ID(), firstPlaceAddr)

	// It is renewed before it is forgotten.
	var before time.Time
	for _, d := range nodes {
		if p, ok := presenceAt(t, d, client.ID()); ok {
			before = p.Expires
		}
	}
	if left := time.Until(before); left <= presenceInterval || left > announce.PresenceLifetime {
		t.Errorf("it expires in %v", left)
	}
	time.Sleep(announce.PresenceLifetime + time.Minute)
	checkFound(t, n, nodes, client.ID(), firstPlaceAddr)

	spent := roomtest.Took(func() { _ = client.Close() })
	if got := presentAt(t, nodes, client.ID()); len(got) != 0 || spent > time.Second {
		t.Errorf("%d hold it after Close, which took %v", len(got), spent)
	}
}

// checkFound checks that a node without a connection to a peer finds it where it is, by
// what the peer has certified a short time ago.
func checkFound(t *testing.T, n *testNet, nodes []*DHT, id peer.ID, want string) {
	t.Helper()
	finder := n.node(Config{K: nodes[0].cfg.K, Mode: ModeClient, DisablePresence: true, Bootstrap: []peer.AddrInfo{info(nodes[5].host)}})
	defer finder.Close()
	got, err := finder.Locate(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	first := got.Addrs[0]
	if first.Source != SourceCertified || first.Addr.String() != want || first.Age < 0 || first.Age > presenceInterval {
		t.Errorf("found %v, certified at %v, %v ago; want %s", got.Addrs, first.Source, first.Age, want)
	}
	for _, a := range got.Addrs[1:] {
		if a.Source == SourceCertified {
			t.Errorf("%v is of an older certificate", a.Addr)
		}
	}
}

// A server has no presence, nor has a node that is not to; it goes when a client
// becomes a server, or has no address, and comes back after that.
func TestPresenceFollowsMode(t *testing.T) { synctest.Test(t, testPresenceMode) }

func testPresenceMode(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(5, Config{K: 3})
	join := []peer.AddrInfo{info(nodes[0].host)}
	shy := n.node(Config{K: 3, Mode: ModeClient, DisablePresence: true, Bootstrap: join})
	h := newMover(t, n.host(), firstPlaceAddr)
	d := n.attach(h, Config{K: 3, Mode: ModeServer, Bootstrap: join})
	closest := nearestTo(nodes, d.ID(), 3)
	settled := func(what string, want int) {
		t.Helper()
		time.Sleep(presenceCalm + 3*time.Second)
		holders := presentAt(t, nodes, d.ID())
		missing := func(id peer.ID) bool { return !slices.Contains(holders, id) }
		// One more is possible: a peer that seemed to be among the closest, before a closer one was found.
		if len(holders) > want+min(want, 1) || want > 0 && slices.ContainsFunc(closest, missing) {
			t.Errorf("%s: %v hold its presence, want %v, or %d", what, holders, closest, want)
		}
	}
	settled("server", 0)
	if err := d.SetMode(ModeClient); err != nil {
		t.Fatal(err)
	}
	settled("client", 3)
	if err := d.SetMode(ModeServer); err != nil {
		t.Fatal(err)
	}
	settled("server again", 0)
	if err := d.SetMode(ModeClient); err != nil {
		t.Fatal(err)
	}
	settled("client again", 3)
	h.move()
	settled("nowhere", 0)
	h.move(secondPlaceAddr)
	settled("somewhere", 3)
	for _, other := range append(nodes[1:], shy) {
		if got := len(presentAt(t, nodes, other.ID())); got != 0 {
			t.Errorf("%d hold the presence of a node that has none", got)
		}
	}
}

// An announcement that fails is tried again, and one that hangs does not hold up
// newer addresses, nor Close.
func TestPresenceIsTriedAgain(t *testing.T) { synctest.Test(t, testPresenceAgain) }

func testPresenceAgain(t *testing.T) {
	n := newTestNet(t)
	p := n.puppet(names())
	h := newMover(t, n.host(), firstPlaceAddr)
	d := n.attach(h, Config{Mode: ModeClient, Bootstrap: []peer.AddrInfo{info(p.Host)}})
	refuse := atomic.Bool{}
	refuse.Store(true)
	var mu sync.Mutex
	var got []string // guarded by mu
	p.will(func(s network.Stream, req protocol.Request) {
		add, ok := req.(protocol.AddProvider)
		if !ok {
			names()(s, req)
			return
		}
		if string(add.Key) != string(d.ID()) {
			t.Errorf("an announcement of %x", add.Key)
		}
		if refuse.Load() {
			_ = s.Reset()
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, provider := range add.Providers {
			for _, a := range provider.Addrs {
				got = append(got, a.String())
			}
		}
		if len(got) == 2 {
			return // and says nothing
		}
		_ = s.Close()
	})
	time.Sleep(10 * time.Second)
	refuse.Store(false)
	time.Sleep(20 * time.Second)
	h.move(secondPlaceAddr) // this one hangs
	time.Sleep(3 * time.Second)
	h.move(firstPlaceAddr)
	time.Sleep(2 * time.Second)
	mu.Lock()
	defer mu.Unlock()
	if want := []string{firstPlaceAddr, secondPlaceAddr, firstPlaceAddr}; !slices.Equal(got, want) {
		t.Errorf("announced %v, want %v", got, want)
	}
	p.will(silent)
	if spent := roomtest.Took(func() { _ = d.Close() }); spent > time.Second {
		t.Errorf("Close took %v", spent)
	}
}

// A holder that answers late when a peer announces itself, and a holder that comes later,
// hold its presence too.
func TestPresenceReachesNewcomers(t *testing.T) { synctest.Test(t, testPresenceNewcomers) }

func testPresenceNewcomers(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(4, Config{})
	late := n.puppet(func(s network.Stream, req protocol.Request) {
		if _, ok := req.(protocol.AddProvider); !ok {
			time.Sleep(300 * time.Millisecond)
		}
		names()(s, req)
	})
	first := n.puppet(names(late.Host, nodes[0].host, nodes[1].host, nodes[2].host, nodes[3].host))
	client := n.attach(n.host(), Config{Mode: ModeClient, Bootstrap: []peer.AddrInfo{info(first.Host)}})
	time.Sleep(newcomerPause + 5*time.Second)
	if got := presentAt(t, nodes, client.ID()); len(got) != len(nodes) {
		t.Errorf("%d of %d hold it", len(got), len(nodes))
	}
	if !slices.ContainsFunc(late.requests(), func(req protocol.Request) bool {
		add, ok := req.(protocol.AddProvider)
		return ok && string(add.Key) == string(client.ID())
	}) {
		t.Error("the one who was late was not told")
	}

	time.Sleep(time.Minute)
	newcomer := n.node(Config{Bootstrap: []peer.AddrInfo{info(nodes[0].host)}})
	time.Sleep(time.Second)
	if _, err := client.ClosestPeers(t.Context(), []byte(newcomer.ID())); err != nil {
		t.Error(err)
	}
	time.Sleep(5 * time.Second)
	if _, ok := presenceAt(t, newcomer, client.ID()); !ok {
		t.Error("the one who came later was not told")
	}
}
