package network_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// In a network of 200 nodes, each finds exactly the k that are closest to a key.
func TestLookupsAreExact(t *testing.T) { bubble(t, testLookupsAreExact) }

func testLookupsAreExact(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: link})
	for i, d := range joined(n, 200, kad.Config{}) {
		key := fmt.Sprint("key ", i)
		found, err := d.DHT.ClosestPeers(t.Context(), []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		want := n.Closest(key, defaultK, d)
		if len(found) != len(want) {
			t.Fatalf("node %d found %d peers, want %d", i, len(found), len(want))
		}
		for j := range want {
			if found[j].ID != want[j].ID() {
				t.Errorf("node %d: peer %d is %s, want %s", i, j, found[j].ID, want[j].ID())
			}
		}
	}
}

// recalling runs a test in a network of 100 nodes, of which the requests of the first
// one are counted.
func recalling(t *testing.T, cfg kad.Config, test func(t *testing.T, n *kadtest.Network, d *kadtest.Node, requests func() int)) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		var sent atomic.Int64
		var counted atomic.Pointer[kadtest.Node]
		n := kadtest.New(t, kadtest.Config{Latency: wide, Filter: func(from, _ *kadtest.Node, req protocol.Request) bool {
			find, _ := req.(protocol.FindNode)
			// A check, or an introduction, of a contact asks for the ID of its own node.
			if from != nil && from == counted.Load() && string(find.Target) != string(from.DHT.ID()) {
				sent.Add(1)
			}
			return true
		}})
		d := n.Add(1, with(cfg))[0]
		joined(n, 99, kad.Config{})
		time.Sleep(5 * time.Second)
		counted.Store(d)
		test(t, n, d, func() int { return int(sent.Swap(0)) })
	})
}

// The same key again costs three requests, and finds the same; so does what is put
// or announced, and a get goes to the holders without asking its way.
func TestSecondLookupIsNearlyFree(t *testing.T) {
	recalling(t, kad.Config{}, func(t *testing.T, n *kadtest.Network, d *kadtest.Node, requests func() int) {
		closestTo(t, n, d, "/v/key")
		if got := requests(); got < 20 {
			t.Errorf("the first lookup took %d requests, want 20 at least", got)
		}
		spent := took(func() { closestTo(t, n, d, "/v/key") })
		if got := requests(); got > 3 || spent > 200*time.Millisecond {
			t.Errorf("the second lookup took %d requests and %v, want 3 at most, in a round trip", got, spent)
		}
		if err := d.DHT.PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
			t.Error(err)
		}
		if got := requests(); got > 20+3 {
			t.Errorf("a put took %d requests, want 20 and 3", got)
		}
		content := contentOf(t, "content")
		closestTo(t, n, d, providerKey(content))
		requests()
		if _, err := d.DHT.Announce(t.Context(), content); err != nil {
			t.Error(err)
		}
		if got := requests(); got > 20 {
			t.Errorf("an announcement took %d requests, want 20", got)
		}
		if _, err := d.DHT.GetValue(t.Context(), "/v/key"); err != nil {
			t.Error(err)
		}
		if got := requests(); got > 20 {
			t.Errorf("a get took %d requests, want those 20 that have it", got)
		}
	})
}

// What is found is believed for one minute, and not for longer because it was
// confirmed meanwhile.
func TestRecallEnds(t *testing.T) {
	for after, free := range map[time.Duration]bool{50 * time.Second: true, time.Minute: false} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			recalling(t, kad.Config{RefreshInterval: -1}, func(t *testing.T, n *kadtest.Network, d *kadtest.Node, requests func() int) {
				closestTo(t, n, d, "key")
				time.Sleep(after / 2)
				closestTo(t, n, d, "key")
				time.Sleep(after / 2)
				requests()
				closestTo(t, n, d, "key")
				if got := requests(); got <= 3 != free {
					t.Errorf("%d requests after %v, want 3 at most: %v", got, after, free)
				}
			})
		})
	}
}

// What is remembered is checked: a newcomer that is among the closest is found, and a
// peer that is gone is not in a result for long.
func TestRecallIsChecked(t *testing.T) {
	recalling(t, kad.Config{}, func(t *testing.T, n *kadtest.Network, d *kadtest.Node, _ func() int) {
		closestTo(t, n, d, "key")
		for range 40 {
			n.Add(1, with(kad.Config{}))
		}
		time.Sleep(10 * time.Second)
		closestTo(t, n, d, "key")
		n.Kill(n.Closest("key", 3, d)...)
		time.Sleep(time.Second)
		closestTo(t, n, d, "key")
	})
}

// A lookup of a key near to one that was looked up begins where that ended.
func TestLookupOfKeyNearby(t *testing.T) {
	recalling(t, kad.Config{}, func(t *testing.T, n *kadtest.Network, d *kadtest.Node, requests func() int) {
		closestTo(t, n, d, "key")
		rng := rand.New(rand.NewPCG(1, 2))
		for bits := 4; bits < 10; bits++ {
			ctx, trace := kad.WithTrace(t.Context())
			requests()
			key := routing.PreimageOf(routing.KeyOf([]byte("key")), bits, rng)
			found, err := d.DHT.ClosestPeers(ctx, key)
			got := requests()
			want := ids(n.Closest(string(key), defaultK, d))
			if err != nil || !slices.EqualFunc(found, want, func(p peer.AddrInfo, id peer.ID) bool { return p.ID == id }) {
				t.Errorf("%d bits: found %v, %v; want %v", bits, found, err, want)
			}
			if bits > 6 && trace.Stats().Hops > 1 {
				t.Errorf("%d bits: %d requests over %d hops, want one hop", bits, got, trace.Stats().Hops)
			}
		}
	})
}

// Some seconds after lookups were cancelled, whenever that was, no goroutine of them is
// left, with or without a dial that hangs.
func TestCancelledLookupsLeaveNothing(t *testing.T) { bubble(t, testCancelledLookups) }

func testCancelledLookups(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: wide})
	nodes := joined(n, 40, kad.Config{})
	n.Unplug(nodes[30:]...)
	n.Kill(nodes[30:]...)
	time.Sleep(5 * time.Second)
	idle := goroutines()
	for after := range 10 {
		var lookups sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 8 {
			lookups.Go(func() { _, _ = nodes[0].DHT.ClosestPeers(ctx, []byte{byte(after), byte(i)}) })
		}
		time.Sleep(time.Duration(after) * 20 * time.Millisecond) // none has ended by then
		cancel()
		lookups.Wait()
	}
	time.Sleep(10 * time.Second) // the streams that were kept for further requests are closed after 8 s
	synctest.Wait()
	if now := goroutines(); now > idle+6 { // a probe that is due takes three
		t.Errorf("%d goroutines, %d before", now, idle)
	}
}

// goroutines returns how many goroutines there are. A collection of garbage that is under way
// counts some that have ended.
func goroutines() int {
	runtime.GC()
	return runtime.NumGoroutine()
}
