package host

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// recalling runs a test in a network of 100 nodes, of which the first one's requests
// are counted.
func recalling(t *testing.T, cfg Config, test func(t *testing.T, n *memNet, d *DHT, requests func() int)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		var sent atomic.Int64
		var from atomic.Pointer[DHT]
		n.watch = func(d *DHT, _ peer.ID, _ protocol.Request) {
			if d == from.Load() {
				sent.Add(1)
			}
		}
		d := n.node(cfg)
		n.nodes(99, Config{})
		time.Sleep(5 * time.Second)
		from.Store(d)
		test(t, n, d, func() int { return int(sent.Swap(0)) })
	})
}

// closestTo looks a key up, and checks that what it finds is what there is.
func closestTo(t *testing.T, n *memNet, d *DHT, key string) {
	t.Helper()
	found, err := d.ClosestPeers(t.Context(), []byte(key))
	if err != nil {
		t.Error(err)
	}
	want := n.closest([]byte(key), d.cfg.K, d)
	for _, p := range found {
		want = slices.DeleteFunc(want, func(id peer.ID) bool { return id == p.ID })
	}
	if len(found) != d.cfg.K || len(want) > 0 {
		t.Errorf("%d peers, without %d of the closest", len(found), len(want))
	}
}

// The same key again costs three requests, and finds the same; so does what is put
// or announced, and a get goes to those who have it without asking its way.
func TestSecondLookupIsNearlyFree(t *testing.T) {
	recalling(t, Config{}, func(t *testing.T, n *memNet, d *DHT, requests func() int) {
		closestTo(t, n, d, "/v/key")
		if got := requests(); got < 20 {
			t.Errorf("the first lookup took %d requests, want 20 at least", got)
		}
		spent := took(func() { closestTo(t, n, d, "/v/key") })
		if got := requests(); got > 3 || spent > 200*time.Millisecond {
			t.Errorf("the second lookup took %d requests and %v, want 3 at most, in a round trip", got, spent)
		}
		if err := d.PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
			t.Error(err)
		}
		if got := requests(); got > 20+3 {
			t.Errorf("a put took %d requests, want 20 and 3", got)
		}
		key, err := providerKey(testCID("content"))
		if err != nil {
			t.Fatal(err)
		}
		closestTo(t, n, d, string(key))
		requests()
		if _, err := d.Announce(t.Context(), testCID("content")); err != nil {
			t.Error(err)
		}
		if got := requests(); got > 20 {
			t.Errorf("an announcement took %d requests, want 20", got)
		}
		if _, err := d.GetValue(t.Context(), "/v/key"); err != nil {
			t.Error(err)
		}
		if got := requests(); got > 20 {
			t.Errorf("a get took %d requests, want those 20 who have it", got)
		}
		time.Sleep(stragglerTime)
	})
}

// What is found is remembered for RegionAge, and not for longer because it was
// confirmed meanwhile.
func TestRegionAge(t *testing.T) {
	for _, tt := range []struct {
		age   time.Duration
		after time.Duration
		free  bool
	}{
		{0, 4 * time.Minute, true},
		{0, 5 * time.Minute, false},
		{time.Minute, 50 * time.Second, true},
		{time.Minute, 70 * time.Second, false},
		{-1, 0, false},
	} {
		t.Run(fmt.Sprint(tt.age, tt.after), func(t *testing.T) {
			recalling(t, Config{RegionAge: tt.age, RefreshInterval: -1}, func(t *testing.T, n *memNet, d *DHT, requests func() int) {
				closestTo(t, n, d, "key")
				time.Sleep(tt.after / 2)
				closestTo(t, n, d, "key")
				time.Sleep(tt.after / 2)
				requests()
				closestTo(t, n, d, "key")
				if got := requests(); got <= 3 != tt.free {
					t.Errorf("%d requests after %v, want 3 at most: %v", got, tt.after, tt.free)
				}
			})
		})
	}
}

// What is remembered is checked: who has come since, and is among the closest, is
// found, and who is gone is not in a result for long.
func TestRecallIsChecked(t *testing.T) {
	recalling(t, Config{}, func(t *testing.T, n *memNet, d *DHT, _ func() int) {
		closestTo(t, n, d, "key")
		for range 40 {
			n.join(Config{})
		}
		time.Sleep(10 * time.Second)
		closestTo(t, n, d, "key")
		for _, id := range n.closest([]byte("key"), 3, d) {
			n.kill(n.find(id))
		}
		time.Sleep(time.Second)
		closestTo(t, n, d, "key")
	})
}

// A lookup of a key near to one that was looked up begins where that ended.
func TestLookupOfKeyNearby(t *testing.T) {
	recalling(t, Config{}, func(t *testing.T, n *memNet, d *DHT, requests func() int) {
		closestTo(t, n, d, "key")
		rng := rand.New(rand.NewPCG(1, 2))
		for bits := 4; bits < 10; bits++ {
			ctx, trace := WithTrace(t.Context())
			requests()
			key := routing.PreimageOf(routing.KeyOf([]byte("key")), bits, rng)
			found, err := d.ClosestPeers(ctx, key)
			got := requests()
			want := n.closest(key, d.cfg.K, d)
			if err != nil || !slices.EqualFunc(found, want, func(p peer.AddrInfo, id peer.ID) bool { return p.ID == id }) {
				t.Errorf("%d bits: found %v, %v; want %v", bits, found, err, want)
			}
			if bits > 6 && trace.Stats().Hops > 1 {
				t.Errorf("%d bits: %d requests over %d hops, want one hop", bits, got, trace.Stats().Hops)
			}
		}
	})
}
