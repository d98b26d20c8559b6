package host

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A node whose addresses change announces the new ones to all holders of the old ones,
// also to holders that are no longer among the k closest.
func TestOldHoldersAreTold(t *testing.T) { synctest.Test(t, testOldHolders) }

func testOldHolders(t *testing.T) {
	const k = 3
	n := newTestNet(t)
	// Holders pass nothing on: the client would not know which peers have it.
	cfg := Config{K: k, PublisherOnly: true}
	nodes := n.nodes(3, cfg)
	join := []peer.AddrInfo{info(nodes[0].host)}
	cfg.Bootstrap = join
	h := newMover(t, n.host(), firstPlaceAddr)
	client := n.attach(h, Config{K: k, Mode: ModeClient, Bootstrap: join})
	time.Sleep(3 * time.Second)
	for range 12 { // newcomers that are closer
		key := routing.KeyOf([]byte(client.ID()))
		x := n.hostAt(func(other routing.Key) bool { return key.CPL(other) >= 4 })
		nodes = append(nodes, n.attach(x, cfg))
	}
	time.Sleep(2 * time.Minute)
	h.move(secondPlaceAddr)
	time.Sleep(5 * time.Second)
	holders := 0
	for _, d := range nodes {
		p, ok := presenceAt(t, d, client.ID())
		if !ok {
			continue
		}
		holders++
		if at, ok := announce.ParseKept(p.Addrs).Peer(time.Now()); !ok || at.Addrs[0].String() != secondPlaceAddr {
			t.Errorf("%v holds %v after the change", d.ID(), at.Addrs)
		}
	}
	if holders <= k {
		t.Errorf("%d holders: none that is not among the closest any more", holders)
	}
}

// A presence that is under way when the node is closed, or becomes a server, is withdrawn
// from the peers that it reached.
func TestPresenceUnderWayIsWithdrawn(t *testing.T) {
	for name, end := range map[string]func(d *DHT) error{
		"closed": (*DHT).Close,
		"server": func(d *DHT) error { return d.SetMode(ModeServer) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newTestNet(t)
				nodes := n.nodes(3, Config{K: 4})
				var hung atomic.Int32
				p := n.puppet(nil)
				p.will(func(s network.Stream, req protocol.Request) {
					if _, ok := req.(protocol.AddProvider); ok {
						hung.Add(1)
						return // and the announcement is under way
					}
					names(nodes[0].host, nodes[1].host, nodes[2].host)(s, req)
				})
				d := n.attach(newMover(t, n.host(), firstPlaceAddr), Config{K: 4, Mode: ModeClient, Bootstrap: []peer.AddrInfo{info(p.Host)}})
				for range 100 {
					if hung.Load() == 0 {
						time.Sleep(10 * time.Millisecond)
					}
				}
				time.Sleep(10 * time.Millisecond)
				if got := len(presentAt(t, nodes, d.ID())); got != 3 {
					t.Fatalf("%d of 3 have been told", got)
				}
				if err := end(d); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				if got := presentAt(t, nodes, d.ID()); len(got) != 0 {
					t.Errorf("%d still hold it", len(got))
				}
				_ = d.Close()
			})
		})
	}
}

// Addresses that go on changing are announced less and less often; after some calm, a
// change is announced at once.
func TestChangesSlowDown(t *testing.T) { synctest.Test(t, testChangesSlowDown) }

func testChangesSlowDown(t *testing.T) {
	n := newTestNet(t)
	var got atomic.Int64
	p := n.puppet(says(protocol.Response{}))
	p.will(func(s network.Stream, req protocol.Request) {
		if _, ok := req.(protocol.AddProvider); ok {
			got.Add(1)
		}
		says(protocol.Response{})(s, req)
	})
	h := newMover(t, n.host(), firstPlaceAddr)
	n.attach(h, Config{Mode: ModeClient, Bootstrap: []peer.AddrInfo{info(p.Host)}})
	time.Sleep(time.Minute)
	announced := func(during, every time.Duration) int64 {
		before := got.Load()
		places := []string{firstPlaceAddr, secondPlaceAddr}
		for i := range int(during / every) {
			h.move(places[(i+1)%2])
			time.Sleep(every)
		}
		return got.Load() - before
	}
	if k := announced(30*time.Minute, 1500*time.Millisecond); k < 20 || k > 45 {
		t.Errorf("%d announcements in 30 minutes of changes", k)
	}
	time.Sleep(4 * time.Minute)
	if k := announced(4*time.Second, 2*time.Second); k != 2 {
		t.Errorf("%d announcements of two changes after some calm", k)
	}
}
