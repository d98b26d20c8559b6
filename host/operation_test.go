package host

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Each operation that a user calls is counted once, with its outcome and how long it took.
func TestOperations(t *testing.T) { synctest.Test(t, testOperations) }

func testOperations(t *testing.T) {
	n := newTestNet(t)
	alone := n.node(Config{Mode: ModeClient})
	d := n.nodes(3, Config{})[2]
	hash, _ := multihash.Sum([]byte("content"), multihash.SHA2_256, -1)
	content := cid.NewCidV1(cid.Raw, hash)
	ctx := t.Context()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for _, tt := range []struct {
		d    *DHT
		want string
		call func() error
	}{
		{d, "put done", func() error { return d.PutValue(ctx, "/v/key", []byte("1")) }},
		{d, "put done", func() error { _, err := d.Put(ctx, "/v/key", []byte("2")); return err }},
		{d, "put failed", func() error { return d.PutValue(ctx, "/v/key", []byte("none")) }},
		{d, "get done", func() error { _, err := d.GetValue(ctx, "/v/key"); return err }},
		{d, "get done", func() error {
			values, err := d.SearchValue(ctx, "/v/key")
			for v := range values {
				_ = v // to its end
			}
			return err
		}},
		{d, "get not_found", func() error { _, err := d.GetValues(ctx, "/v/other"); return err }},
		{d, "announce done", func() error { return d.Provide(ctx, content, true) }},
		{d, "announce done", func() error { return d.Provide(ctx, content, false) }},
		{d, "announce done", func() error { _, err := d.Advertise(ctx, "name"); return err }},
		{d, "providers done", func() error {
			for _, err := range d.Discover(ctx, "name", 0) {
				return err
			}
			return nil
		}},
		{d, "find_peer not_found", func() error { _, err := d.FindPeer(ctx, aPeer); return err }},
		{d, "find_peer not_found", func() error { _, err := d.Locate(ctx, aPeer); return err }},
		{d, "closest_peers done", func() error { _, err := d.ClosestPeers(ctx, []byte("key")); return err }},
		{d, "closest_peers given_up", func() error { _, err := d.ClosestPeers(gone, []byte("a key that is new")); return err }},
		{d, "connect failed", func() error { _, err := d.Connect(ctx, d.ID()); return err }},
		{alone, "get not_ready", func() error { _, err := alone.GetValue(ctx, "/v/key"); return err }},
	} {
		before := operationsOf(tt.d)
		err := tt.call()
		time.Sleep(time.Second)
		after := operationsOf(tt.d)
		for name, count := range after {
			want := before[name]
			if name == tt.want {
				want++
			}
			if count != want {
				t.Errorf("%s (%v): %q counts %d, want %d", tt.want, err, name, count, want)
			}
		}
		if after[tt.want] == 0 {
			t.Errorf("%s (%v) is not counted", tt.want, err)
		}
	}
	for _, o := range alone.Stats().Operations {
		if o.Sum != readyTimeout {
			t.Errorf("%s %s took %v, want %v", o.Kind, o.Outcome, o.Sum, readyTimeout)
		}
	}
}

// operationsOf returns how many operations a node counts by kind and outcome.
func operationsOf(d *DHT) map[string]uint64 {
	counts := make(map[string]uint64)
	for _, o := range d.Stats().Operations {
		counts[fmt.Sprint(o.Kind, " ", o.Outcome)] = o.Count
	}
	return counts
}
