package host

import (
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	mocknet "github.com/libp2p/go-libp2p/p2p/net/mock"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// idOf returns the ID of the i-th made-up peer.
func idOf(i int) peer.ID {
	return peer.ID("\x12\x20" + string(binary.BigEndian.AppendUint64(make([]byte, 24), uint64(i))))
}

// acquaint fills the table of an inert node with made-up contacts.
func acquaint(d *DHT, count int, addrs ...string) []routing.Contact {
	var list []multiaddr.Multiaddr
	for _, a := range addrs {
		list = append(list, multiaddr.StringCast(a))
	}
	var contacts []routing.Contact
	for i := range count {
		c := routing.ContactOf(idOf(i))
		c.Wire = announce(c.ID, list)
		if d.peers.seen(c) == routing.Added {
			contacts = append(contacts, c)
		}
	}
	return contacts
}

// answered returns what a peer at s is answered, as it reads it.
func answered(t *testing.T, d *DHT, from peer.ID, s scope, req protocol.Request) protocol.Response {
	t.Helper()
	a, err := d.answer(t.Context(), asker{from, s}, req)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := protocol.ParseResponse(req, protocol.AppendEncodedResponse(nil, req, a.records, a.closer, a.providers))
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func peerIDs(peers []protocol.Peer) (out []peer.ID) {
	for _, p := range peers {
		out = append(out, p.ID)
	}
	return out
}

// FIND_NODE is answered with the k closest contacts, closest first, without the
// asker and without us.
func TestAnswerFindNode(t *testing.T) { synctest.Test(t, testAnswerFindNode) }

func testAnswerFindNode(t *testing.T) {
	d := newTestNet(t).inert(Config{})
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
		resp := answered(t, d, from, scopePrivate, protocol.FindNode{Target: []byte(target)})
		if got := peerIDs(resp.Closer); !slices.Equal(got, want) {
			t.Errorf("target %q: %d peers, want the 20 closest", target, len(got))
		}
		if resp.Providers != nil || resp.Record != nil {
			t.Error("an answer to FIND_NODE with providers or a record")
		}
	}
}

// The peer that was asked for comes first, if we know an address of it: whether
// it serves or not, and even if it is the asker or we are.
func TestAnswerFindNodeOfTarget(t *testing.T) { synctest.Test(t, testAnswerFindNodeOfTarget) }

func testAnswerFindNodeOfTarget(t *testing.T) {
	d := newTestNet(t).inert(Config{})
	contacts := acquaint(d, 100, "/ip4/192.0.2.1/tcp/1")
	known, unknown := idOf(1001), idOf(1002) // they do not serve
	addr := multiaddr.StringCast("/ip4/192.0.2.2/tcp/2")
	for _, id := range []peer.ID{known, aPeer, contacts[0].ID} {
		d.host.Peerstore().AddAddr(id, addr, time.Hour)
	}
	for name, tt := range map[string]struct {
		target peer.ID
		told   bool
	}{
		"known":   {known, true},
		"unknown": {unknown, false},
		"asker":   {aPeer, true},
		"contact": {contacts[0].ID, true},
		"us":      {d.self, true},
	} {
		resp := answered(t, d, aPeer, scopePrivate, protocol.FindNode{Target: []byte(tt.target)})
		got := peerIDs(resp.Closer)
		if told := len(got) > 0 && got[0] == tt.target; told != tt.told {
			t.Errorf("%s: told %v, want %v", name, told, tt.told)
		}
		if count := len(got); count != 20 && count != 21 {
			t.Errorf("%s: %d peers, want k, and the target", name, count)
		}
		if slices.Contains(got[1:], tt.target) {
			t.Errorf("%s: the target is named twice", name)
		}
		// For another request, the same bytes are a key and no peer.
		resp = answered(t, d, aPeer, scopePrivate, protocol.GetProviders{Key: []byte(tt.target)})
		if name != "contact" && slices.Contains(peerIDs(resp.Closer), tt.target) {
			t.Errorf("%s: named in an answer that is not about a peer", name)
		}
	}
}

// A small table is told as a whole, and an empty one is answered, too.
func TestAnswerSmallTable(t *testing.T) { synctest.Test(t, testAnswerSmallTable) }

func testAnswerSmallTable(t *testing.T) {
	d := newTestNet(t).inert(Config{})
	find := protocol.FindNode{Target: []byte("key")}
	if resp := answered(t, d, aPeer, scopePrivate, find); len(resp.Closer) != 0 {
		t.Errorf("an empty table is told as %v", resp.Closer)
	}
	acquaint(d, 3, "/ip4/192.0.2.1/tcp/1")
	if resp := answered(t, d, aPeer, scopePrivate, find); len(resp.Closer) != 3 {
		t.Errorf("told of %d peers, want 3", len(resp.Closer))
	}
}

// GET_VALUE is answered with the value and closer peers, or with closer peers
// alone. A value that its validator does not accept any more is not served.
func TestAnswerGetValue(t *testing.T) { synctest.Test(t, testAnswerGetValue) }

func testAnswerGetValue(t *testing.T) {
	d := newTestNet(t).inert(Config{})
	acquaint(d, 3, "/ip4/192.0.2.1/tcp/1")
	hold(t, d, "/v/key", "1")
	hold(t, d, "/v/invalid", "one")
	hold(t, d, "/w/key", "1")
	for key, want := range map[string]string{"/v/key": "1", "/v/other": "", "/v/invalid": "", "/w/key": ""} {
		resp := answered(t, d, aPeer, scopePrivate, protocol.GetValue{Key: []byte(key)})
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
	d := newTestNet(t).inert(Config{})
	acquaint(d, 3, "/ip4/192.0.2.1/tcp/1")
	put := protocol.PutValue{Record: protocol.Record{Key: []byte("/v/key"), Value: []byte("1")}}
	for _, req := range []protocol.Request{protocol.Ping{}, put} {
		a, err := d.answer(t.Context(), asker{aPeer, scopePrivate}, req)
		if err != nil || len(a.closer)+len(a.providers) != 0 {
			t.Errorf("%T: %v, %v; want no peers", req, a, err)
		}
	}
	resp := answered(t, d, aPeer, scopePrivate, put)
	if resp.Record == nil || string(resp.Record.Value) != "1" {
		t.Errorf("a put is answered with %v, want its record", resp.Record)
	}
}

// Addresses of one machine, of private networks and public ones, each told to
// those who can use them only.
var (
	loopback = "/ip4/127.0.0.1/tcp/1"
	private  = "/ip4/192.168.1.1/tcp/2"
	public   = "/ip4/8.8.8.8/tcp/3"
)

func addrStrings(addrs []multiaddr.Multiaddr) (out []string) {
	for _, a := range addrs {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return out
}

var scopes = map[scope][]string{
	scopeLoopback: {loopback, private, public},
	scopePrivate:  {private, public},
	scopePublic:   {public},
}

// A peer is told the addresses that it can use: nobody on the public network
// hears of private ones, and a contact without any is left out.
func TestAnswerFiltersAddresses(t *testing.T) { synctest.Test(t, testAnswerFiltersAddresses) }

func testAnswerFiltersAddresses(t *testing.T) {
	d := newTestNet(t).inert(Config{})
	acquaint(d, 1, loopback, private, public)
	hidden := routing.ContactOf(idOf(7))
	hidden.Wire = announce(hidden.ID, []multiaddr.Multiaddr{multiaddr.StringCast(loopback)})
	d.peers.seen(hidden)
	for s, want := range scopes {
		slices.Sort(want)
		resp := answered(t, d, aPeer, s, protocol.FindNode{Target: []byte("key")})
		for _, p := range resp.Closer {
			if p.ID == hidden.ID {
				if s != scopeLoopback {
					t.Errorf("scope %d: told of a peer that it cannot reach", s)
				}
				continue
			}
			if got := addrStrings(p.Addrs); !slices.Equal(got, want) {
				t.Errorf("scope %d: told %v, want %v", s, got, want)
			}
		}
		if len(resp.Closer) == 0 {
			t.Errorf("scope %d: told of nobody", s)
		}
	}
}

// An announcement is accepted from the provider itself only, with the addresses
// that one may believe it, and they are told to those who can use them.
func TestAnswerProviders(t *testing.T) { synctest.Test(t, testAnswerProviders) }

func testAnswerProviders(t *testing.T) {
	all := []multiaddr.Multiaddr{multiaddr.StringCast(loopback), multiaddr.StringCast(private), multiaddr.StringCast(public)}
	for at, believed := range scopes {
		d := newTestNet(t).inert(Config{})
		key := []byte("key")
		add := protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: idOf(1), Addrs: all}, {ID: idOf(2), Addrs: all}}}
		if _, err := d.answer(t.Context(), asker{idOf(2), at}, add); err != nil {
			t.Fatal(err)
		}
		for s, told := range scopes {
			resp := answered(t, d, aPeer, s, protocol.GetProviders{Key: key})
			if len(resp.Providers) != 1 || resp.Providers[0].ID != idOf(2) {
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
				t.Errorf("announced at scope %d, told at %d: %v, want %v", at, s, got, want)
			}
		}
		// Nobody is told of itself.
		if resp := answered(t, d, idOf(2), at, protocol.GetProviders{Key: key}); len(resp.Providers) != 0 {
			t.Errorf("the provider is told of itself")
		}
	}
}

// An announcement of which a public node may believe no address is refused.
func TestAnswerRefusesPrivateProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestNet(t).inert(Config{})
		p := protocol.Peer{ID: aPeer, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(private)}}
		add := protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{p}}
		if _, err := d.answer(t.Context(), asker{aPeer, scopePublic}, add); codeOf(err) != codeBadPeer {
			t.Errorf("answer() = %v, want that the provider is bad", err)
		}
		if _, err := d.answer(t.Context(), asker{aPeer, scopePrivate}, add); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkAnswerFindNode is what serving a FIND_NODE costs without its stream,
// from a table of 100 contacts.
func BenchmarkAnswerFindNode(b *testing.B) {
	h := benchHost(b)
	d, err := newDHT(h, testConfig(Config{}))
	if err != nil {
		b.Fatal(err)
	}
	held := acquaint(d, 150, "/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.1/udp/4001/quic-v1")
	req := protocol.FindNode{Target: []byte(idOf(5000))}
	from := asker{aPeer, scopePrivate}
	var buf []byte
	b.ReportMetric(float64(len(held)), "contacts")
	b.ReportAllocs()
	for b.Loop() {
		a, err := d.answer(b.Context(), from, req)
		if err != nil {
			b.Fatal(err)
		}
		buf = protocol.AppendEncodedResponseFrame(buf[:0], req, a.records, a.closer, a.providers)
	}
}

func benchHost(b *testing.B) lhost.Host {
	b.Helper()
	net := mocknet.New()
	b.Cleanup(func() { _ = net.Close() })
	h, err := net.GenPeer()
	if err != nil {
		b.Fatal(err)
	}
	return h
}
