package network_test

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/host/store"
)

// A node that had many contacts is ready two round trips after it has started, a dial
// and a probe, though its bootstrap peer is gone; and it has most of them soon, though a
// fifth is gone.
func TestRestart(t *testing.T) { bubble(t, testRestart) }

func testRestart(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: link})
	others := joined(n, 150, kad.Config{})
	cfg := kad.Config{Dir: t.TempDir(), Bootstrap: []peer.AddrInfo{others[0].Info()}}
	d := n.Add(1, with(cfg))[0]
	time.Sleep(time.Minute)
	kept := d.DHT.Stats().Contacts
	if kept < len(others)/4 {
		t.Fatalf("it has %d contacts before", kept)
	}
	n.Kill(d)
	gone := others[:len(others)/5]
	n.Unplug(gone...)
	n.Kill(gone...)
	time.Sleep(time.Minute)

	start := time.Now()
	n.Restart(d)
	if err := d.DHT.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if spent := time.Since(start); spent > 2*2*link {
		t.Errorf("ready after %v, want two round trips of %v", spent, 2*link)
	}
	time.Sleep(time.Second)
	if got := d.DHT.Stats().Contacts; got < kept/2 {
		t.Errorf("%d contacts of %d", got, kept)
	}
}

// What a node held when it was stopped is replicated in the first round after it is
// started.
func TestFirstRoundAfterRestart(t *testing.T) { bubble(t, testFirstRoundAfterRestart) }

func testFirstRoundAfterRestart(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: link})
	cfg := kad.Config{K: 4, RepublishInterval: -1}
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
	joined(n, 12, cfg)
	cfg.Store = records
	d := n.Add(1, with(cfg))[0]
	time.Sleep(time.Hour + time.Minute)
	if got := d.DHT.Stats().Replicated; got != values {
		t.Errorf("%d of %d values were replicated in the first hour", got, values)
	}
}

// Replication keeps a record alive that its publisher, which is gone, does not publish
// again, and that no node gets.
func TestKeptAliveWithoutPublisher(t *testing.T) { bubble(t, testKeptAlive) }

func testKeptAlive(t *testing.T) {
	const hours = 36
	n := kadtest.New(t, kadtest.Config{Latency: link})
	cfg := kad.Config{K: 8, RepublishInterval: -1, RefreshInterval: 6 * time.Hour}
	nodes := joined(n, 50, cfg)
	publish(t, nodes[0], 2)
	n.Kill(nodes[0])
	n.Churn(hours*time.Hour, 5*hours, with(cfg))
	for i := range 2 {
		if value, _, err := get(t, n.Pick(1)[0], i); value != "1" || err != nil {
			t.Errorf("value %d after %d hours: %q, %v", i, hours, value, err)
		}
	}
}
