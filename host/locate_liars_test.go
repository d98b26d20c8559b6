package host

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
)

// A certified presence wins against lies of some of the closest peers, though these are
// quicker than its holders.
func TestQuickLiarsDoNotEndLocate(t *testing.T) {
	_, id := roomtest.NewPeer(t)
	fake := protocol.Peer{ID: id, Addrs: roomtest.Addrs("/ip6/100::bad/tcp/6")}
	tests := []struct {
		name  string
		liars int
		lie   func(id peer.ID) protocol.Response
	}{
		{"one table", 1, func(id peer.ID) protocol.Response {
			return protocol.Response{Closer: []protocol.Peer{{ID: id, Addrs: fake.Addrs}}}
		}},
		{"three tables", 3, func(id peer.ID) protocol.Response {
			return protocol.Response{Closer: []protocol.Peer{{ID: id, Addrs: fake.Addrs}}}
		}},
		{"three presences", 3, func(id peer.ID) protocol.Response {
			return protocol.Response{Providers: []protocol.Peer{{ID: id, Addrs: fake.Addrs}}}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key, id := roomtest.NewPeer(t)
				d, puppets := crowd(t, newTestNet(t), 8)
				honest := says(protocol.Response{Providers: []protocol.Peer{{
					ID: id, Addrs: roomtest.Addrs(firstPlaceAddr), Certified: announce.Certify(key, id, roomtest.Addrs(firstPlaceAddr), time.Now()),
				}}})
				for i, p := range puppets {
					if i < tt.liars {
						p.will(says(tt.lie(id)))
						continue
					}
					p.will(func(s network.Stream, req protocol.Request) {
						time.Sleep(50 * time.Millisecond)
						honest(s, req)
					})
				}
				got, err := d.Locate(t.Context(), id)
				time.Sleep(time.Second)
				if err != nil || got.Addrs[0].Source != SourceCertified || got.Addrs[0].Addr.String() != firstPlaceAddr {
					t.Errorf("Locate() = %v, %v; want what the others hold first", got, err)
				}
			})
		})
	}
}

// What a stranger has named, and the host has dialled in vain, is not what the peer
// says, though there is a connection at another address.
func TestDialledIsNotConnected(t *testing.T) { synctest.Test(t, testDialledIsNotConnected) }

func testDialledIsNotConnected(t *testing.T) {
	d, s, teller := newTheatre(t)
	const fake = "/ip4/61.1.0.1/udp/4001/quic-v1"
	s.net.play = func(context.Context, []multiaddr.Multiaddr, bool) (string, error) { return publicAddr, nil }
	teller.will(says(protocol.Response{Providers: []protocol.Peer{{ID: s.net.actor, Addrs: roomtest.Addrs(fake, publicAddr)}}}))
	if _, err := d.Connect(t.Context(), s.net.actor); err != nil {
		t.Fatal(err)
	}
	got, err := d.Locate(t.Context(), s.net.actor)
	if err != nil {
		t.Fatal(err)
	}
	sources := make(map[string]Source)
	for _, a := range got.Addrs {
		sources[a.Addr.String()] = a.Source
	}
	if sources[publicAddr] != SourceConnected || sources[fake] != SourceHearsay || len(sources) != 2 {
		t.Errorf("sources = %v", sources)
	}
}

// A peer that serves is found where it is before all that are closest have answered.
func TestLocateOfServerIsQuick(t *testing.T) { synctest.Test(t, testLocateOfServer) }

func testLocateOfServer(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 6)
	for _, late := range puppets[3:] {
		late.will(silent)
	}
	server := n.puppet(says(protocol.Response{}))
	for _, p := range puppets[:1] {
		p.will(names(server.Host))
	}
	var got Location
	var err error
	spent := roomtest.Took(func() { got, err = d.Locate(t.Context(), server.ID()) })
	isConnected := func(a LocatedAddr) bool { return a.Source == SourceConnected }
	if err != nil || !slices.ContainsFunc(got.Addrs, isConnected) || spent > 100*time.Millisecond {
		t.Errorf("Locate() = %v, %v, after %v", got, err, spent)
	}
	time.Sleep(time.Minute) // until the silent ones are given up
}
