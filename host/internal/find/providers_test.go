package find

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/protocol"
)

// collect returns the providers of testKey, up to a limit.
func (n *node) collect(t *testing.T, limit int) (infos []peer.AddrInfo) {
	t.Helper()
	for info, err := range n.Providers(t.Context(), testKey, limit) {
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, info)
	}
	return infos
}

// provider returns a peer with its address, and bare one without.
func provider(i int) protocol.Peer {
	return protocol.Peer{ID: calltest.ID(i), Addrs: []multiaddr.Multiaddr{calltest.Addr(calltest.ID(i))}}
}

func bare(i int) protocol.Peer { return protocol.Peer{ID: calltest.ID(i)} }

// A provider whose address this node knows is yielded with it, though no holder names one, and is
// not looked up.
func TestProviderOfKnownAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, testK, 1, false)
		id := calltest.ID(50)
		n.cfg.Host.Peerstore().AddAddr(id, calltest.Addr(id), time.Hour)
		n.gives(n.peers[0], nil, bare(50))
		got := n.collect(t, 0)
		if len(got) != 1 || got[0].ID != id || len(got[0].Addrs) != 1 {
			t.Errorf("found %v, want the one provider with its address", got)
		}
		for _, a := range n.net.Asked() {
			if get, ok := a.Req.(protocol.GetProviders); !ok || string(get.Key) != string(testKey) {
				t.Errorf("%T was asked to find the address", a.Req)
			}
		}
	})
}

// Each provider is yielded once, without this node. A provider that no holder names with
// an address comes last, with the address that its lookup finds, or without.
func TestProviders(t *testing.T) { synctest.Test(t, testProviders) }

func testProviders(t *testing.T) {
	const lost, found = 90, 91
	n := newNode(t, testK, 1, false)
	if got := n.collect(t, 0); len(got) > 0 {
		t.Errorf("%v, though there is no provider", got)
	}
	n.gives(n.peers[0], nil, bare(lost), bare(found), bare(50), provider(51))
	n.gives(n.peers[1], nil, provider(50), provider(51), protocol.Peer{ID: n.self})
	knows := calltest.Knows(testK, n.peers...)
	for _, id := range n.peers[2:] {
		n.net.Add(id, func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
			if get, ok := req.(protocol.GetProviders); ok && string(get.Key) == string(calltest.ID(found)) {
				return protocol.Response{Providers: []protocol.Peer{provider(found)}}, nil
			}
			return knows(ctx, req)
		})
	}
	got := n.collect(t, 0)
	var order []peer.ID
	for _, info := range got {
		order = append(order, info.ID)
		if want := info.ID != calltest.ID(lost); (len(info.Addrs) > 0) != want {
			t.Errorf("%v has the addresses %v", info.ID, info.Addrs)
		}
	}
	if len(order) != 4 || !slices.Equal(order[2:], []peer.ID{calltest.ID(lost), calltest.ID(found)}) {
		t.Errorf("yielded %v, want 50 and 51, and the two without an address after them", order)
	}
}

// A search for providers names this node, first, only if the caller wants that and the node
// provides the content now: a holder may not know yet that it has stopped.
func TestProvidersWithSelf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, testK, 1, false)
		n.gives(n.peers[0], nil, provider(50), protocol.Peer{ID: n.self, Addrs: provider(51).Addrs})
		search := func(ctx context.Context, limit int) (ids []peer.ID) {
			for info, err := range n.Providers(ctx, testKey, limit) {
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, info.ID)
			}
			return ids
		}
		want := func(when string, got []peer.ID, want ...peer.ID) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		self := WithSelf(t.Context())
		want("not provided", search(self, 0), calltest.ID(50))
		if err := n.holder.Provide(t.Context(), testKey, 0, time.Now()); err != nil {
			t.Fatal(err)
		}
		want("provided", search(self, 0), n.self, calltest.ID(50))
		want("a limit of one", search(self, 1), n.self)
		want("without the option", search(t.Context(), 0), calltest.ID(50))
		if err := n.holder.StopProviding(t.Context(), testKey); err != nil {
			t.Fatal(err)
		}
		want("withdrawn", search(self, 0), calltest.ID(50))
	})
}

// Of more providers without an address than are looked up, the ones that most holders named
// are: not the ones that a liar named first.
func TestProvidersWithoutAddress(t *testing.T) { synctest.Test(t, testProvidersWithoutAddress) }

func testProvidersWithoutAddress(t *testing.T) {
	const found = 9_000
	n := newNode(t, testK, 1, false)
	for i, id := range n.peers {
		named := []protocol.Peer{bare(found)}
		if i == 0 {
			named = nil
			for fake := range 2 * maxResolved {
				named = append(named, bare(1_000+fake))
			}
		}
		knows := calltest.Knows(testK, n.peers...)
		n.net.Add(id, func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
			resp, err := knows(ctx, req)
			if get, ok := req.(protocol.GetProviders); ok && bytes.Equal(get.Key, testKey) {
				resp.Providers = named
			} else if ok && string(get.Key) == string(calltest.ID(found)) {
				resp.Providers = []protocol.Peer{provider(found)}
			}
			return resp, err
		})
	}
	got := n.collect(t, 0)
	if !slices.ContainsFunc(got, func(info peer.AddrInfo) bool { return info.ID == calltest.ID(found) && len(info.Addrs) > 0 }) || len(got) != maxResolved {
		t.Errorf("%d providers, without the one that all others name", len(got))
	}
}

// A search for providers ends when the limit is reached, or the caller has enough, and
// then asks no further peer. What this node holds costs no request.
func TestProvidersStop(t *testing.T) { synctest.Test(t, testProvidersStop) }

func testProvidersStop(t *testing.T) {
	n := newNode(t, testK, 1, false)
	for _, id := range n.peers {
		n.gives(id, nil, provider(50), provider(51), provider(52))
	}
	if got := n.collect(t, 2); len(got) != 2 {
		t.Errorf("%d providers, want 2", len(got))
	}
	if got := len(n.net.Asked()); got != 1 {
		t.Errorf("%d requests for 2 providers, want one", got)
	}
	for range n.Providers(t.Context(), testKey, 0) {
		break
	}
	if got := len(n.net.Asked()); got != 1 {
		t.Errorf("%d requests until the caller had enough, want one", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range n.Providers(ctx, testKey, 0) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
}

// The CID of a namespace is that of its hash; the empty namespace has none.
func TestNamespaceCID(t *testing.T) {
	c, err := NamespaceCID("room")
	if want := "bafkreibdw2bwpk5yqe5c7zxi3xhcj3myjbkkhiziwaayfkxhyrbdqojkxm"; err != nil || len(c.String()) != len(want) {
		t.Errorf("NamespaceCID() = %v, %v", c, err)
	}
	if _, err := NamespaceCID(""); !errors.Is(err, errNoNamespace) {
		t.Errorf("empty: %v", err)
	}
}

// A holder that names more providers than are wanted, all of which it has made up, hides none
// that others name, where each may name a part.
func TestHostileHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, honest = 40, 10
		for each, want := range map[int]int{limit / testK: honest, 0: 0} {
			n := newNode(t, testK, 1, false)
			var ids []peer.ID
			var invented, named []protocol.Peer
			for i := range 200 {
				invented = append(invented, provider(1000+i))
			}
			for i := range honest {
				ids, named = append(ids, calltest.ID(100+i)), append(named, provider(100+i))
			}
			for _, id := range n.peers[1:] { // the liar answers first
				n.net.Add(id, calltest.After(calltest.RoundTrip, func(context.Context, protocol.Request) (protocol.Response, error) {
					return protocol.Response{Providers: named}, nil
				}))
			}
			n.gives(n.peers[0], nil, invented...)
			got, fakes := 0, 0
			for info, err := range n.ProvidersOfEach(t.Context(), testKey, limit, each) {
				if err == nil && slices.Contains(ids, info.ID) {
					got++
				} else {
					fakes++
				}
			}
			if most := cmp.Or(each, limit); fakes > most {
				t.Errorf("up to %d of each: %d of the liar", each, fakes)
			}
			if got != want {
				t.Errorf("up to %d of each: %d of %d honest providers are found, want %d", each, got, honest, want)
			}
		}
	})
}

// Providers without an address are remembered up to a bound.
func TestUnknownProvidersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, testK, 1, false)
		p := &providers{finder: n.Finder, named: make(map[peer.ID]bool), times: make(map[peer.ID]int)}
		for i := range 2 * maxUnknown {
			p.found(bare(1_000 + i))
		}
		if len(p.unknown) != maxUnknown || len(p.times) != maxUnknown {
			t.Errorf("%d are remembered, %d counted, want %d", len(p.unknown), len(p.times), maxUnknown)
		}
	})
}
