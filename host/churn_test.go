package host

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
)

// In a network of 200 nodes, each finds exactly the k that are closest to a key.
func TestLookupsAreExact(t *testing.T) { synctest.Test(t, testLookupsAreExact) }

func testLookupsAreExact(t *testing.T) {
	n := newMemNet(t, 20*time.Millisecond)
	for i, d := range n.nodes(200, Config{}) {
		key := fmt.Appendf(nil, "key %d", i)
		found, err := d.ClosestPeers(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		want := n.closest(key, defaultK, d)
		if len(found) != len(want) {
			t.Fatalf("node %d found %d peers, want %d", i, len(found), len(want))
		}
		for j := range want {
			if found[j].ID != want[j] {
				t.Errorf("node %d: peer %d is %s, want %s", i, j, found[j].ID, want[j])
			}
		}
	}
}

// While a tenth of the nodes is replaced every hour, a value is found as long as
// its publisher lives.
func TestChurn(t *testing.T) { synctest.Test(t, testChurn) }

func testChurn(t *testing.T) {
	const (
		nodes, replaced = 100, 10
		hours           = 6
		key, value      = "/v/key", "1 value"
	)
	cfg := Config{K: 8, RefreshInterval: time.Hour, RepublishInterval: time.Hour}
	n := newMemNet(t, 20*time.Millisecond)
	var puts atomic.Int64
	n.watch = func(_ *DHT, _ peer.ID, req protocol.Request) {
		if put, ok := req.(protocol.PutValue); ok && string(put.Record.Key) == key {
			puts.Add(1)
		}
	}
	publisher := n.nodes(nodes, cfg)[0]
	if err := publisher.PutValue(t.Context(), key, []byte(value)); err != nil {
		t.Fatal(err)
	}
	if got := puts.Load(); got != int64(cfg.K) {
		t.Errorf("the value was sent to %d nodes, want %d", got, cfg.K)
	}
	for hour := range hours {
		n.churn(replaced, cfg, publisher)
		asker := n.any()
		got, err := asker.GetValue(t.Context(), key)
		if err != nil || string(got) != value {
			t.Errorf("after hour %d: value %q, error %v", hour, got, err)
		}
	}
	if got := publisher.Stats().Republished; got < hours-1 {
		t.Errorf("published again %d times in %d hours", got, hours)
	}
}
