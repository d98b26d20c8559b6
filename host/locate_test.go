package host

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// What is told of a peer is ordered by who vouches for it.
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
	d := newTestNet(t).inert(Config{})
	key, id := identity(t)
	const a, b, c, e = "/ip4/1.1.1.1/tcp/1", "/ip4/2.2.2.2/tcp/2", "/ip4/3.3.3.3/tcp/3", "/ip4/4.4.4.4/tcp/4"
	same := tale{presence: []string{a}, certified: []string{a}, age: time.Minute}
	older := tale{presence: []string{b}, certified: []string{b}, age: 50 * time.Minute}
	stale := tale{presence: []string{b}, certified: []string{b}, age: presenceLifetime}
	plain := tale{presence: []string{c}}
	serves := tale{table: []string{a}}
	const presence, hearsay, certified = SourcePresence, SourceHearsay, SourceCertified
	tests := []struct {
		name    string
		tales   []tale
		near    int // how many of the k closest are known, those with tales first; 0: only those with tales
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
		l := newLocator(d, id)
		enough := 0
		for i, told := range tt.tales {
			l.heard(idOf(i+1), told.answer(l, idOf(i+1), id, key))
			if l.enough(nearby(max(tt.near, len(tt.tales)))) && enough == 0 {
				enough = i + 1
			}
		}
		if l.enough(nearby(0)) {
			t.Errorf("%s: enough of those who are not near", tt.name)
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

// nearby returns count contacts, the first of those who tell tales.
func nearby(count int) (near []routing.Contact) {
	for i := range count {
		near = append(near, routing.ContactOf(idOf(i+1)))
	}
	return near
}

// answer returns the tale as an answer, and leaves its hint with the locator.
func (a tale) answer(l *locator, from, id peer.ID, key crypto.PrivKey) (resp protocol.Response) {
	if a.presence != nil {
		resp.Providers = []protocol.Peer{{
			ID: id, Addrs: addrList(a.presence...), Certified: certify(key, id, addrList(a.certified...), l.now.Add(-a.age)),
		}}
	}
	if a.table != nil {
		resp.Closer = []protocol.Peer{{ID: id, Addrs: addrList(a.table...)}}
	}
	if a.hint != nil {
		return l.join(from, resp, []protocol.Peer{{ID: id, Addrs: addrList(a.hint...)}})
	}
	return resp
}

// A peer of which there is only hearsay is not dialled by the lookup, and it goes to
// its end; what the other answer says is followed.
func TestLocateFollowsBothAnswers(t *testing.T) { synctest.Test(t, testLocateFollows) }

func testLocateFollows(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 2)
	far := n.puppet(says(protocol.Response{}))
	target := n.host()
	puppets[0].will(func(s network.Stream, req protocol.Request) {
		var resp protocol.Response
		if _, ok := req.(protocol.FindNode); ok {
			resp.Closer = []protocol.Peer{
				{ID: target.ID(), Addrs: target.Addrs()},
				{ID: far.ID(), Addrs: far.Addrs()},
			}
		}
		says(resp)(s, req)
	})
	puppets[1].will(resets)
	got, err := d.Locate(t.Context(), target.ID())
	if err != nil || len(got.Addrs) != 1 || got.Addrs[0].Source != SourceHearsay || got.Addrs[0].From != puppets[0].ID() {
		t.Fatalf("Locate() = %v, %v", got, err)
	}
	var find, get int
	for _, req := range far.requests() {
		switch req := req.(type) {
		case protocol.FindNode:
			if string(req.Target) == string(target.ID()) {
				find++
			}
		case protocol.GetProviders:
			get++
		}
	}
	if find != 1 || get != 1 {
		t.Errorf("the peer that only FIND_NODE named was asked %d and %d times, want once for each", find, get)
	}
	if d.connected(target.ID()) {
		t.Error("the lookup has dialled the peer that it looks for")
	}
}
