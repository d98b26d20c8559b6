package host

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	record "github.com/libp2p/go-libp2p-record"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// What a node held when it was stopped is replicated in the first round after it is
// started.
func TestFirstRoundAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, link)
		cfg := Config{K: 4, RepublishInterval: -1, HandoverRate: -1}
		records := store.NewMemory(store.Limits{})
		old := time.Now().Add(-2 * time.Hour)
		const values = 5
		for i := range values {
			err := records.UpdateValue(t.Context(), []byte(recordKey(i)), old, func(store.Value, bool) (store.Value, error) {
				return store.Value{Data: []byte("1"), Received: old, Expires: old.Add(40 * time.Hour)}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		n.nodes(12, cfg)
		cfg.Store = records
		d := n.join(cfg)
		time.Sleep(time.Hour + time.Minute)
		if got := d.Stats().Replicated; got != values {
			t.Errorf("%d of %d values were replicated in the first hour", got, values)
		}
	})
}

// With all else off, replication alone keeps a record alive.
func TestReplicationAlone(t *testing.T) {
	hours := 36
	if raceEnabled {
		hours = 4
	}
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, link)
		cfg := Config{
			K: 8, RepublishInterval: -1, HandoverRate: -1, DisableCorrection: true, DisableCaching: true,
			RefreshInterval: 6 * time.Hour,
		}
		nodes := n.nodes(50, cfg)
		mustPut(t, nodes[0], 2)
		n.kill(nodes[0])
		for range hours {
			n.churn(5, cfg)
		}
		for i := range 2 {
			if value, _, err := get(t, n.any(), i); value != "1" || err != nil {
				t.Errorf("value %d after %d hours: %q, %v", i, hours, value, err)
			}
		}
	})
}

// Whoever puts values under one key at the same moment has all of them published
// again.
func TestPublishConcurrently(t *testing.T) {
	n := newTestNet(t)
	d := n.inert(Config{Validators: map[string]record.Validator{"s": authors{}}})
	for round := range 20 {
		key := fmt.Sprintf("/s/%d", round)
		var puts sync.WaitGroup
		for i := range 8 {
			puts.Go(func() {
				d.publish(context.Background(), publicationID{store.KindValue, key}, []byte{byte('a' + i), '1'})
			})
		}
		puts.Wait()
		p, err := d.store.Publication(t.Context(), store.KindValue, []byte(key))
		if err != nil || len(d.published(p)) != 8 {
			t.Fatalf("%d of 8 values are published again, %v", len(d.published(p)), err)
		}
	}
}

// A peer has its share of the store, however many of its writes are under way.
func TestQuotaConcurrently(t *testing.T) {
	n := newTestNet(t)
	d := n.inert(Config{MaxBytesPerPeer: 100_000, Dir: t.TempDir()})
	value := append([]byte("1"), make([]byte, 50_000)...)
	var writes sync.WaitGroup
	for i := range 32 {
		writes.Go(func() {
			_ = tell(t, d, "greedy", protocol.PutValue{Record: protocol.Record{Key: []byte(recordKey(i)), Value: value}})
		})
	}
	writes.Wait()
	if values, _ := d.store.Len(); values != 1 {
		t.Errorf("%d values of 50 kB are held, in a share of 100 kB", values)
	}
}

// fickle is digits, until it accepts nothing that begins with a 9 any more.
type fickle struct {
	digits
	strict *bool
}

func (f fickle) Validate(key string, value []byte) error {
	if *f.strict && len(value) > 0 && value[0] == '9' {
		return errNoDigit
	}
	return f.digits.Validate(key, value)
}

// A value that has become invalid while it is held keeps no valid one out.
func TestInvalidMeanwhile(t *testing.T) {
	n := newTestNet(t)
	strict := false
	d := n.inert(Config{Validators: map[string]record.Validator{"v": fickle{strict: &strict}}})
	put := func(value string) error {
		return tell(t, d, "a peer", protocol.PutValue{Record: protocol.Record{Key: []byte("/v/key"), Value: []byte(value)}})
	}
	if err := put("9"); err != nil {
		t.Fatal(err)
	}
	strict = true
	if err := put("1"); err != nil {
		t.Errorf("a valid value, where an invalid one is held: %v", err)
	}
	if got := held(t, d, "/v/key"); got != "1" {
		t.Errorf("%q is held", got)
	}
}
