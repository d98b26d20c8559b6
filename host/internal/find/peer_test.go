package find

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	mocknet "github.com/libp2p/go-libp2p/p2p/net/mock"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const publicAddr = "/ip4/60.1.0.1/udp/4001/quic-v1"

// newFinder returns a Finder on a host without connections.
func newFinder(t *testing.T) *Finder {
	t.Helper()
	f, _ := newFinderIn(t)
	return f
}

// newFinderIn is newFinder, with the network of the host.
func newFinderIn(t *testing.T) (*Finder, mocknet.Mocknet) {
	t.Helper()
	net := mocknet.New()
	t.Cleanup(func() { _ = net.Close() })
	h, err := net.GenPeer()
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Host: h, Table: table.New(table.Config{
		Host: h, Protocol: "/test/kad/1.0.0", Tasks: tasks.NewGroup(), K: 20, Wake: func() {},
	})}), net
}

// The addresses of a peer are ordered by the peers that vouch for them.
func TestLocatorMerges(t *testing.T) { synctest.Test(t, testLocatorMerges) }

// A tale is what one peer answers about the one that is looked for.
type tale struct {
	presence  []string
	certified []string
	age       time.Duration // of certified
	table     []string      // as one of its contacts
	hint      []string
}

func testLocatorMerges(t *testing.T) {
	f := newFinder(t)
	key, id := roomtest.NewPeer(t)
	const a, b, c, e = "/ip4/1.1.1.1/tcp/1", "/ip4/2.2.2.2/tcp/2", "/ip4/3.3.3.3/tcp/3", "/ip4/4.4.4.4/tcp/4"
	same := tale{presence: []string{a}, certified: []string{a}, age: time.Minute}
	older := tale{presence: []string{b}, certified: []string{b}, age: 50 * time.Minute}
	stale := tale{presence: []string{b}, certified: []string{b}, age: announce.PresenceLifetime}
	plain := tale{presence: []string{c}}
	serves := tale{table: []string{a}}
	const presence, hearsay, certified = SourcePresence, SourceHearsay, SourceCertified
	tests := []struct {
		name    string
		tales   []tale
		near    int // how many of the k closest are known, peers with tales first; 0: peers with tales only
		enough  int // after how many; 0: never
		want    []string
		sources []Source
	}{
		{name: "nothing", tales: []tale{{}}},
		{"hearsay", []tale{{hint: []string{a}}, {hint: []string{b, a}}}, 0, 0, []string{a, b}, []Source{hearsay, hearsay}},
		{"one table", []tale{serves}, 0, 0, []string{a}, []Source{hearsay}},
		{"three tables", []tale{serves, serves, serves}, 6, 3, []string{a}, []Source{hearsay}},
		{"three tables, before half have answered", []tale{serves, serves, serves, {}}, 8, 4, []string{a}, []Source{hearsay}},
		{"three tables, and a presence", []tale{serves, serves, plain, serves}, 0, 0, []string{c, a}, []Source{presence, hearsay}},
		{"three tables, and a certificate", []tale{serves, serves, same, serves}, 0, 0, []string{a}, []Source{certified}},
		{"three tables that do not agree", []tale{serves, serves, {table: []string{b}}}, 0, 0, []string{a, b}, []Source{hearsay, hearsay}},
		{"three that are no tables", []tale{{hint: []string{a}}, {hint: []string{a}}, {hint: []string{a}}}, 0, 0, []string{a}, []Source{hearsay}},
		{"presence before hearsay", []tale{{hint: []string{a}}, plain}, 0, 0, []string{c, a}, []Source{presence, hearsay}},
		{"certified before presence", []tale{plain, same}, 0, 0, []string{a, c}, []Source{certified, presence}},
		{"the newest certified", []tale{older, same}, 0, 0, []string{a}, []Source{certified}},
		{"an older one later", []tale{same, older}, 0, 0, []string{a}, []Source{certified}},
		{"one too old to be good", []tale{stale, plain, plain}, 0, 0, []string{c, b}, []Source{presence, presence}},
		{"the best source of each", []tale{{hint: []string{a}, table: []string{a}}, same}, 0, 0, []string{a}, []Source{certified}},
		{"three alike", []tale{same, same, same}, 20, 3, []string{a}, []Source{certified}},
		{"three alike, after older ones", []tale{older, older, same, same, same}, 0, 5, []string{a}, []Source{certified}},
		{"older ones do not count", []tale{same, same, older}, 0, 0, []string{a}, []Source{certified}},
		{"not certified", []tale{plain, plain, plain, plain}, 0, 0, []string{c}, []Source{presence}},
		{"what most say is before", []tale{plain, {presence: []string{e}}, {presence: []string{e}}}, 0, 0, []string{e, c}, []Source{presence, presence}},
		{"two, and what is not certified", []tale{same, plain, plain, same}, 0, 0, []string{a, c}, []Source{certified, presence}},
	}
	for _, tt := range tests {
		l := newLocator(f, id)
		enough := 0
		for i, told := range tt.tales {
			l.heard(calltest.ID(i+1), told.answer(l, calltest.ID(i+1), id, key))
			if l.enough(nearby(max(tt.near, len(tt.tales)))) && enough == 0 {
				enough = i + 1
			}
		}
		if l.enough(nearby(0)) {
			t.Errorf("%s: enough of peers that are not near", tt.name)
		}
		var got []string
		var sources []Source
		for _, x := range l.location().Addrs {
			got = append(got, x.Addr.String())
			sources = append(sources, x.Source)
			if want := x.Source == certified; (x.Age == time.Minute) != want || (x.Age < 0) == want {
				t.Errorf("%s: %v has the age %v", tt.name, x.Addr, x.Age)
			}
		}
		if !slices.Equal(got, tt.want) || !slices.Equal(sources, tt.sources) || enough != tt.enough {
			t.Errorf("%s: %v %v, enough after %d; want %v %v, %d", tt.name, got, sources, enough, tt.want, tt.sources, tt.enough)
		}
	}
}

// nearby returns count contacts, the peers with tales first.
func nearby(count int) (near []routing.Contact) {
	for i := range count {
		near = append(near, routing.ContactOf(calltest.ID(i+1)))
	}
	return near
}

// answer returns the tale as an answer, and leaves its hint with the locator.
func (a tale) answer(l *locator, from, id peer.ID, key crypto.PrivKey) (resp protocol.Response) {
	if a.presence != nil {
		resp.Providers = []protocol.Peer{{
			ID: id, Addrs: roomtest.Addrs(a.presence...), Certified: announce.Certify(key, id, roomtest.Addrs(a.certified...), l.now.Add(-a.age)),
		}}
	}
	if a.table != nil {
		resp.Closer = []protocol.Peer{{ID: id, Addrs: roomtest.Addrs(a.table...)}}
	}
	if a.hint != nil {
		return l.join(from, resp, []protocol.Peer{{ID: id, Addrs: roomtest.Addrs(a.hint...)}})
	}
	return resp
}

// The address that most peers name is in the location, first, however many addresses some
// peers name.
func TestLiarsDoNotFillLocation(t *testing.T) { synctest.Test(t, testLiarsDoNotFill) }

func testLiarsDoNotFill(t *testing.T) {
	f := newFinder(t)
	_, id := roomtest.NewPeer(t)
	l := newLocator(f, id)
	for liar := range 5 {
		var fakes []multiaddr.Multiaddr
		for i := range protocol.MaxAddrs {
			fakes = append(fakes, multiaddr.StringCast(fmt.Sprintf("/ip4/60.%d.0.%d/tcp/1", liar, i+1)))
		}
		l.heard(calltest.ID(liar+1), protocol.Response{Providers: []protocol.Peer{{ID: id, Addrs: fakes}}})
		if got := len(l.location().Addrs); got != min((liar+1)*scope.MaxTold, maxLocated) {
			t.Fatalf("%d addresses of %d peers", got, liar+1)
		}
	}
	l.heard(calltest.ID(9), protocol.Response{Providers: []protocol.Peer{{ID: id, Addrs: roomtest.Addrs("/ip4/60.9.9.9/tcp/1")}}})
	if got := l.location().Addrs; !slices.ContainsFunc(got, func(a LocatedAddr) bool { return a.From == calltest.ID(9) }) {
		t.Errorf("the only address that a peer names has no place among the %d of others", len(got))
	}
	for i := range 3 {
		l.heard(calltest.ID(i+6), protocol.Response{Providers: []protocol.Peer{{ID: id, Addrs: roomtest.Addrs(publicAddr, publicAddr)}}})
	}
	if got := l.location().Addrs[0]; got.Addr.String() != publicAddr || got.From != calltest.ID(6) {
		t.Errorf("the first address is %v of %v, not the one that three name", got.Addr, got.From)
	}
}
