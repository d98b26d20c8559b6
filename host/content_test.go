package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// providers returns what a node finds.
func providers(t *testing.T, d *DHT, c cid.Cid, limit int) (found []peer.AddrInfo) {
	t.Helper()
	for p, err := range d.Providers(t.Context(), c, limit) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, p)
	}
	return found
}

// told answers GET_PROVIDERS with providers, and FIND_NODE with closer.
func told(providers []protocol.Peer, closer ...protocol.Peer) reaction {
	return func(s network.Stream, req protocol.Request) {
		if _, ok := req.(protocol.GetProviders); ok {
			says(protocol.Response{Providers: providers})(s, req)
			return
		}
		says(protocol.Response{Closer: closer})(s, req)
	}
}

func addrOf(i int) []multiaddr.Multiaddr {
	return []multiaddr.Multiaddr{multiaddr.StringCast(fmt.Sprintf("/ip4/192.0.2.1/tcp/%d", i+1))}
}

// Each node finds the other nodes that announced content, each once and with its
// addresses, and not itself.
func TestProvide(t *testing.T) { synctest.Test(t, testProvide) }

func testProvide(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(6, Config{})
	c := testCID("content")
	for _, d := range nodes[:2] {
		receipt, err := d.Announce(t.Context(), c)
		if err != nil || len(receipt.Stored) != 5 || receipt.Wanted != 5 {
			t.Fatalf("Announce() = %+v, %v; want it stored by all 5", receipt, err)
		}
	}
	for i, d := range nodes {
		want := ids(nodes[0].host, nodes[1].host)
		want = slices.DeleteFunc(want, func(id peer.ID) bool { return id == d.ID() })
		var got []peer.ID
		for _, p := range providers(t, d, c, 0) {
			got = append(got, p.ID)
			if len(p.Addrs) == 0 {
				t.Errorf("node %d found a provider without an address", i)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("node %d found %v, want %v", i, got, want)
		}
	}
	if got := providers(t, nodes[5], c, 1); len(got) != 1 {
		t.Errorf("%d providers, want no more than was asked for", len(got))
	}
	// The codec of a CID does not matter.
	if got := providers(t, nodes[5], cid.NewCidV1(cid.DagProtobuf, c.Hash()), 0); len(got) != 2 {
		t.Errorf("%d providers of the same content under another codec, want 2", len(got))
	}
}

// Without broadcast, no peer is asked to hold an announcement. What is withdrawn is not
// served any more.
func TestProvideLocally(t *testing.T) { synctest.Test(t, testProvideLocally) }

func testProvideLocally(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 1)
	c := testCID("content")
	if err := d.Provide(t.Context(), c, false); err != nil {
		t.Fatal(err)
	}
	if got := puppets[0].requests(); len(got) != 0 {
		t.Errorf("%d requests, want none", len(got))
	}
	key := []byte(c.Hash())
	resp := answered(t, n, d, protocol.GetProviders{Key: key})
	if len(resp.Providers) != 1 || resp.Providers[0].ID != d.ID() || len(resp.Providers[0].Addrs) == 0 {
		t.Errorf("told of %v, want us and our addresses", resp.Providers)
	}
	if err := d.StopProviding(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if resp := answered(t, n, d, protocol.GetProviders{Key: key}); len(resp.Providers) != 0 {
		t.Errorf("told of %v after StopProviding", resp.Providers)
	}
}

// The zero CID is an error of its own in every operation that takes one.
func TestProvideNoCID(t *testing.T) { synctest.Test(t, testProvideNoCID) }

func testProvideNoCID(t *testing.T) {
	d := newTestNet(t).node(Config{})
	errs := []error{d.Provide(t.Context(), cid.Undef, true), d.Provide(t.Context(), cid.Undef, false), d.StopProviding(t.Context(), cid.Undef)}
	for _, err := range d.Providers(t.Context(), cid.Undef, 0) {
		errs = append(errs, err)
	}
	for i, err := range errs {
		if !errors.Is(err, errNoCID) {
			t.Errorf("operation %d: %v, want %v", i, err, errNoCID)
		}
	}
	if len(errs) != 4 {
		t.Error("Providers yielded no error")
	}
}

// A hiddenHost has no address to tell.
type hiddenHost struct{ *wireHost }

func (hiddenHost) Addrs() []multiaddr.Multiaddr { return nil }

// Peers that refuse an announcement are in the receipt, each with its reason.
func TestProvideRefused(t *testing.T) { synctest.Test(t, testProvideRefused) }

func testProvideRefused(t *testing.T) {
	n := newWiredNet(t)
	h := hiddenHost{n.host().(*wireHost)}
	d := n.attach(h, Config{})
	others := []*DHT{n.node(Config{}), n.node(Config{})}
	for _, o := range others {
		dialHost(t, h, o.host)
	}
	time.Sleep(time.Second)
	receipt, err := d.Announce(t.Context(), testCID("content"))
	var put *PutError
	if !errors.As(err, &put) || !errors.Is(err, ErrRefused) || len(receipt.Failed) != 2 {
		t.Fatalf("Announce() = %+v, %v; want that both refuse", receipt, err)
	}
	for _, o := range others {
		mentions(t, err.Error(), o.ID().String(), "no address of the provider")
		if !knows(d, o.host) {
			t.Error("who refuses is alive, and was evicted")
		}
	}
}

// A full store of our own does not keep others from being told.
func TestProvideWithFullStore(t *testing.T) { synctest.Test(t, testProvideWithFullStore) }

func testProvideWithFullStore(t *testing.T) {
	n := newTestNet(t)
	full := store.NewMemory(store.Limits{Providers: 1, Values: 1})
	d, other := n.node(Config{Store: full}), n.node(Config{})
	if err := full.AddProvider(t.Context(), []byte("key"), store.Provider{ID: string(aPeer), Received: time.Now()}); err != nil {
		t.Fatal(err)
	}
	link(t, d, other)
	time.Sleep(time.Second)
	if receipt, err := d.Announce(t.Context(), testCID("content")); err != nil || len(receipt.Stored) != 1 {
		t.Errorf("Announce() = %+v, %v", receipt, err)
	}
	if _, err := d.Put(t.Context(), "/v/first", []byte("1"), lrouting.Offline); err != nil {
		t.Fatal(err)
	}
	if receipt, err := d.Put(t.Context(), "/v/second", []byte("1")); err != nil || len(receipt.Stored) != 1 {
		t.Errorf("Put() = %+v, %v", receipt, err)
	}
}

// Providers without an address are looked up, once each, and come last; a provider that is
// not found comes without an address.
func TestProvidersResolved(t *testing.T) { synctest.Test(t, testProvidersResolved) }

func testProvidersResolved(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 4)
	known, found, lost := calltest.ID(1), calltest.ID(2), calltest.ID(3)
	for _, p := range puppets { // all of them name all three
		p.will(told(
			[]protocol.Peer{{ID: found}, {ID: lost}, {ID: known, Addrs: addrOf(1)}},
			protocol.Peer{ID: found, Addrs: addrOf(2)}))
	}
	ctx, trace := WithTrace(t.Context())
	var got []peer.AddrInfo
	for p, err := range d.Providers(ctx, testCID("content"), 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p)
	}
	if len(got) != 3 || got[0].ID != known {
		t.Fatalf("found %v, want three, and the one with an address first", got)
	}
	for _, p := range got {
		if p.ID == lost != (len(p.Addrs) == 0) {
			t.Errorf("%v has addresses %v", p.ID, p.Addrs)
		}
	}
	if lookups := trace.Stats().Lookups; lookups != 3 {
		t.Errorf("%d lookups, want one for the key and one for each peer without an address", lookups)
	}
}

// A provider that one peer names without an address and another with one needs
// no lookup.
func TestProvidersNamedTwice(t *testing.T) { synctest.Test(t, testProvidersNamedTwice) }

func testProvidersNamedTwice(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 2)
	puppets[0].will(told([]protocol.Peer{{ID: calltest.ID(1)}}))
	puppets[1].will(func(s network.Stream, req protocol.Request) {
		time.Sleep(30 * time.Millisecond)
		told([]protocol.Peer{{ID: calltest.ID(1), Addrs: addrOf(1)}})(s, req)
	})
	got := providers(t, d, testCID("content"), 0)
	if len(got) != 1 || len(got[0].Addrs) != 1 {
		t.Errorf("found %v, want it once, with its address", got)
	}
	if targets := puppets[0].lookups(d); len(targets) != 0 {
		t.Errorf("%d lookups of peers, want none", len(targets))
	}
}

// A caller that stops reading stops the lookup: no peer is asked after that, and no
// goroutine goes on.
func TestProvidersStop(t *testing.T) { synctest.Test(t, testProvidersStop) }

func testProvidersStop(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 5)
	for i, p := range puppets[1:] {
		p.will(func(s network.Stream, req protocol.Request) {
			time.Sleep(100 * time.Millisecond)
			told([]protocol.Peer{{ID: calltest.ID(i), Addrs: addrOf(i)}})(s, req)
		})
	}
	puppets[0].will(told([]protocol.Peer{{ID: calltest.ID(9), Addrs: addrOf(9)}}))
	spent := roomtest.Took(func() {
		for _, err := range d.Providers(t.Context(), testCID("content"), 0) {
			if err != nil {
				t.Error(err)
			}
			break
		}
	})
	if spent >= 100*time.Millisecond {
		t.Errorf("took %v, want the time of the first answer", spent)
	}
	time.Sleep(time.Second)
	if got := d.Stats().RequestsFailed; got != 0 {
		t.Errorf("%d requests count as failed, want none: they were given up", got)
	}
	for i, p := range puppets {
		if !knows(d, p) {
			t.Errorf("contact %d was evicted because we gave up", i)
		}
	}
}

// A channel of providers without a reader ends with its context, or with the DHT.
func TestProvidersAbandoned(t *testing.T) { synctest.Test(t, testProvidersAbandoned) }

func testProvidersAbandoned(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 1)
	var many []protocol.Peer
	for i := range 50 {
		many = append(many, protocol.Peer{ID: calltest.ID(i), Addrs: addrOf(i)})
	}
	puppets[0].will(told(many))
	ctx, cancel := context.WithCancel(t.Context())
	first := d.FindProvidersAsync(ctx, testCID("content"), 0)
	second := d.FindProvidersAsync(context.WithoutCancel(ctx), testCID("content"), 0)
	<-first
	<-second
	synctest.Wait()
	cancel()
	synctest.Wait()
	if _, ok := <-first; ok {
		t.Error("it goes on after the end of its context")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := <-second; ok {
		t.Error("it goes on after the end of the DHT")
	}
	if _, ok := <-d.FindProvidersAsync(t.Context(), testCID("content"), 0); ok {
		t.Error("a closed DHT yields a provider")
	}
}
