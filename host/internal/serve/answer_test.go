package serve

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// FIND_NODE is answered with the k closest contacts, closest first, without the
// requester and without us.
func TestAnswerFindNode(t *testing.T) { synctest.Test(t, testAnswerFindNode) }

func testAnswerFindNode(t *testing.T) {
	d := newNode(t, 256)
	contacts := acquaint(d, 200, "/ip4/192.0.2.1/tcp/1")
	for _, target := range []string{"a", "b", "c", "d"} {
		routing.SortByDistance(routing.KeyOf([]byte(target)), contacts)
		from := contacts[3].ID // one of the closest
		var want []peer.ID
		for _, c := range contacts[:21] {
			if c.ID != from {
				want = append(want, c.ID)
			}
		}
		resp := answered(t, d, from, scope.Private, protocol.FindNode{Target: []byte(target)})
		if got := peerIDs(resp.Closer); !slices.Equal(got, want) {
			t.Errorf("target %q: %d peers, want the 20 closest", target, len(got))
		}
		if resp.Providers != nil || resp.Record != nil {
			t.Error("an answer to FIND_NODE with providers or a record")
		}
	}
}

// The peer that was asked for comes first, if we know an address of it: whether it
// serves or not, and even if it is the requester, or us.
func TestAnswerFindNodeOfTarget(t *testing.T) { synctest.Test(t, testAnswerFindNodeOfTarget) }

func testAnswerFindNodeOfTarget(t *testing.T) {
	d := newNode(t, 256)
	contacts := acquaint(d, 100, "/ip4/192.0.2.1/tcp/1")
	unknown, named := calltest.ID(1002), calltest.ID(1003)
	const addr = "/ip4/192.0.2.2/tcp/2"
	for _, id := range []peer.ID{contacts[0].ID, named} {
		d.host.Peerstore().AddAddr(id, multiaddr.StringCast(addr), time.Hour)
	}
	known, requester := roomtest.NewSigner(t, d.host.Peerstore(), addr), roomtest.NewSigner(t, d.host.Peerstore(), addr) // they do not serve
	for name, tt := range map[string]struct {
		target peer.ID
		told   bool
	}{
		"known":     {known, true},
		"unknown":   {unknown, false},
		"named":     {named, false}, // by a stranger, who may have lied
		"requester": {requester, true},
		"contact":   {contacts[0].ID, true},
		"us":        {d.host.ID(), true},
	} {
		resp := answered(t, d, requester, scope.Private, protocol.FindNode{Target: []byte(tt.target)})
		got := peerIDs(resp.Closer)
		if told := len(got) > 0 && got[0] == tt.target; told != tt.told {
			t.Errorf("%s: told %v, want %v", name, told, tt.told)
		}
		if want := map[bool]int{true: 21, false: 20}[tt.told]; len(got) != want {
			t.Errorf("%s: %d peers, want %d: k, and the target", name, len(got), want)
		}
		if slices.Contains(got[1:], tt.target) {
			t.Errorf("%s: the target is named twice", name)
		}
		// For another request, the same bytes are a key and no peer.
		resp = answered(t, d, requester, scope.Private, protocol.GetProviders{Key: []byte(tt.target)})
		if name != "contact" && slices.Contains(peerIDs(resp.Closer), tt.target) {
			t.Errorf("%s: named in an answer that is not about a peer", name)
		}
	}
}

// Contacts of which the requester can use no address take no place in an answer.
func TestAnswerUsable(t *testing.T) { synctest.Test(t, testAnswerUsable) }

func testAnswerUsable(t *testing.T) {
	d := newNode(t, 256)
	for i := range 200 {
		addr := "/ip4/192.168.7.20/tcp/1"
		if i%3 == 0 {
			addr = fmt.Sprintf("/ip4/60.%d.0.1/tcp/1", i)
		}
		d.meet(calltest.ID(i), roomtest.Addrs(addr))
	}
	var usable []routing.Contact
	for _, c := range d.table.Closest(routing.KeyOf([]byte("key")), 200) {
		if announce.Wire(c.Wire).For(scope.Public) != nil {
			usable = append(usable, c)
		}
	}
	var want []peer.ID
	for _, c := range usable[:min(20, len(usable))] {
		want = append(want, c.ID)
	}
	resp := answered(t, d, aPeer, scope.Public, protocol.FindNode{Target: []byte("key")})
	if got := peerIDs(resp.Closer); len(want) < 20 || !slices.Equal(got, want) {
		t.Errorf("%d of %d contacts that it can use: %v, want %v", len(got), len(usable), got, want)
	}
}

// A small table is given as a whole, and a request is answered with an empty one too.
func TestAnswerSmallTable(t *testing.T) { synctest.Test(t, testAnswerSmallTable) }

func testAnswerSmallTable(t *testing.T) {
	d := newNode(t, 256)
	find := protocol.FindNode{Target: []byte("key")}
	if resp := answered(t, d, aPeer, scope.Private, find); len(resp.Closer) != 0 {
		t.Errorf("an empty table is given as %v", resp.Closer)
	}
	acquaint(d, 3, "/ip4/192.0.2.1/tcp/1")
	if resp := answered(t, d, aPeer, scope.Private, find); len(resp.Closer) != 3 {
		t.Errorf("given %d peers, want 3", len(resp.Closer))
	}
}

// GET_VALUE is answered with the value and closer peers, or with closer peers
// alone. A value that its validator does not accept any more is not served.
func TestAnswerGetValue(t *testing.T) { synctest.Test(t, testAnswerGetValue) }

func testAnswerGetValue(t *testing.T) {
	d := newNode(t, 256)
	acquaint(d, 3, "/ip4/192.0.2.1/tcp/1")
	hold(t, d, "/v/key", "1")
	hold(t, d, "/v/invalid", "one")
	hold(t, d, "/w/key", "1")
	for key, want := range map[string]string{"/v/key": "1", "/v/other": "", "/v/invalid": "", "/w/key": ""} {
		resp := answered(t, d, aPeer, scope.Private, protocol.GetValue{Key: []byte(key)})
		if len(resp.Closer) != 3 {
			t.Errorf("%s: %d closer peers, want 3", key, len(resp.Closer))
		}
		switch {
		case want == "" && resp.Record != nil:
			t.Errorf("%s: %q, want no record", key, resp.Record.Value)
		case want != "" && (resp.Record == nil || string(resp.Record.Value) != want || resp.Record.TimeReceived.IsZero()):
			t.Errorf("%s: %v, want %q and when it was received", key, resp.Record, want)
		}
	}
}

// PING and PUT_VALUE are answered without peers, and a put with what was put.
func TestAnswerWithoutPeers(t *testing.T) { synctest.Test(t, testAnswerWithoutPeers) }

func testAnswerWithoutPeers(t *testing.T) {
	d := newNode(t, 256)
	acquaint(d, 3, "/ip4/192.0.2.1/tcp/1")
	put := protocol.PutValue{Record: protocol.Record{Key: []byte("/v/key"), Value: []byte("1")}}
	for _, req := range []protocol.Request{protocol.Ping{}, put} {
		a, err := d.Answer(t.Context(), holder.From{ID: aPeer, At: scope.Private}, req, time.Now())
		if err != nil || len(a.Closer)+len(a.Providers) != 0 {
			t.Errorf("%T: %v, %v; want no peers", req, a, err)
		}
	}
	resp := answered(t, d, aPeer, scope.Private, put)
	if resp.Record == nil || string(resp.Record.Value) != "1" {
		t.Errorf("a put is answered with %v, want its record", resp.Record)
	}
}

// Addresses of one machine, of private networks and public ones, each given to the
// peers that can use them only.
const (
	loopbackAddr = "/ip4/127.0.0.1/tcp/1"
	privateAddr  = "/ip4/192.168.1.1/tcp/2"
	publicAddr   = "/ip4/8.8.8.8/tcp/3"
)

var scopes = map[scope.Scope][]string{
	scope.Loopback: {loopbackAddr, privateAddr, publicAddr},
	scope.Private:  {privateAddr, publicAddr},
	scope.Public:   {publicAddr},
}

// A peer is given the addresses that it can use: no peer on the public network is given
// private ones, and a contact without any is left out.
func TestAnswerFiltersAddresses(t *testing.T) { synctest.Test(t, testAnswerFiltersAddresses) }

func testAnswerFiltersAddresses(t *testing.T) {
	d := newNode(t, 256)
	acquaint(d, 1, loopbackAddr, privateAddr, publicAddr)
	hidden := d.meet(calltest.ID(7), roomtest.Addrs(loopbackAddr))
	for s, want := range scopes {
		slices.Sort(want)
		resp := answered(t, d, aPeer, s, protocol.FindNode{Target: []byte("key")})
		for _, p := range resp.Closer {
			if p.ID == hidden.ID {
				if s != scope.Loopback {
					t.Errorf("scope %d: given a peer that it cannot reach", s)
				}
				continue
			}
			if got := addrStrings(p.Addrs); !slices.Equal(got, want) {
				t.Errorf("scope %d: given %v, want %v", s, got, want)
			}
		}
		if len(resp.Closer) == 0 {
			t.Errorf("scope %d: given no peer", s)
		}
	}
}

// An announcement is accepted from the provider itself, with the addresses that reach
// as far as the provider, and they are given to the peers that can use them.
func TestAnswerProviders(t *testing.T) { synctest.Test(t, testAnswerProviders) }

func testAnswerProviders(t *testing.T) {
	all := []multiaddr.Multiaddr{multiaddr.StringCast(loopbackAddr), multiaddr.StringCast(privateAddr), multiaddr.StringCast(publicAddr)}
	for at, believed := range scopes {
		d := newNode(t, 256)
		key := []byte("key")
		add := protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: calltest.ID(1), Addrs: all}, {ID: calltest.ID(2), Addrs: all}}}
		if _, err := d.Answer(t.Context(), holder.From{ID: calltest.ID(2), At: at}, add, time.Now()); err != nil {
			t.Fatal(err)
		}
		for s, told := range scopes {
			resp := answered(t, d, aPeer, s, protocol.GetProviders{Key: key})
			if len(resp.Providers) != 1 || resp.Providers[0].ID != calltest.ID(2) {
				t.Fatalf("providers %v, want the sender alone", peerIDs(resp.Providers))
			}
			var want []string
			for _, a := range told {
				if slices.Contains(believed, a) {
					want = append(want, a)
				}
			}
			slices.Sort(want)
			if got := addrStrings(resp.Providers[0].Addrs); !slices.Equal(got, want) {
				t.Errorf("announced at scope %d, given at %d: %v, want %v", at, s, got, want)
			}
		}
		// No peer is given itself.
		if resp := answered(t, d, calltest.ID(2), at, protocol.GetProviders{Key: key}); len(resp.Providers) != 0 {
			t.Errorf("the provider is given itself")
		}
	}
}

// An announcement of which a public node may believe no address is refused.
func TestAnswerRefusesPrivateProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newNode(t, 256)
		p := protocol.Peer{ID: aPeer, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(privateAddr)}}
		add := protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{p}}
		if _, err := d.Answer(t.Context(), holder.From{ID: aPeer, At: scope.Public}, add, time.Now()); !errors.Is(err, kaderr.ErrBadProvider) {
			t.Errorf("answer() = %v, want that the provider is bad", err)
		}
		if _, err := d.Answer(t.Context(), holder.From{ID: aPeer, At: scope.Private}, add, time.Now()); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkAnswerFindNode is what serving a FIND_NODE costs without its stream,
// from a table of 100 contacts.
func BenchmarkAnswerFindNode(b *testing.B) {
	d := newNode(b, 256)
	held := acquaint(d, 150, "/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.1/udp/4001/quic-v1")
	req := protocol.FindNode{Target: []byte(calltest.ID(5000))}
	from := holder.From{ID: aPeer, At: scope.Private}
	var buf []byte
	b.ReportMetric(float64(len(held)), "contacts")
	b.ReportAllocs()
	for b.Loop() {
		a, err := d.Answer(b.Context(), from, req, time.Now())
		if err != nil {
			b.Fatal(err)
		}
		buf = protocol.AppendEncodedResponseFrame(buf[:0], req, a.Records, a.Closer, a.Providers)
	}
}
