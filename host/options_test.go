package host

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
)

// What has expired is neither served nor returned; with the option Expired, what
// we hold ourselves is.
func TestExpired(t *testing.T) { synctest.Test(t, testExpired) }

func testExpired(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(3, Config{RecordAge: 30 * time.Second, RepublishInterval: -1})
	if err := nodes[0].PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(31 * time.Second) // over, and not swept yet
	resp, err := ask(t, nodes[2].host, nodes[1], protocol.GetValue{Key: []byte("/v/key")})
	if err != nil || resp.Record != nil {
		t.Errorf("served %v, %v; want nothing", resp.Record, err)
	}
	if _, err := nodes[0].GetValue(t.Context(), "/v/key"); !errors.Is(err, ErrNotFound) {
		t.Errorf("GetValue() = %v, want ErrNotFound", err)
	}
	got, err := nodes[0].GetValue(t.Context(), "/v/key", lrouting.Expired, lrouting.Offline)
	if err != nil || !bytes.Equal(got, []byte("1")) {
		t.Errorf("GetValue() = %q, %v with Expired; want our own", got, err)
	}
	time.Sleep(time.Hour + 5*time.Minute) // until the clock is believed, and a sweep
	if values, _ := nodes[0].store.Len(); values != 0 {
		t.Errorf("%d values after the sweep, want none", values)
	}
}

// Offline, a put stores with us alone, and a get returns what we hold, also
// while the table is empty.
func TestOffline(t *testing.T) { synctest.Test(t, testOffline) }

func testOffline(t *testing.T) {
	d := newTestNet(t).node(Config{})
	spent := roomtest.Took(func() {
		if _, err := d.GetValue(t.Context(), "/v/key", lrouting.Offline); !errors.Is(err, ErrNotFound) {
			t.Errorf("GetValue() = %v, want ErrNotFound", err)
		}
		if err := d.PutValue(t.Context(), "/v/key", []byte("1"), lrouting.Offline); err != nil {
			t.Error(err)
		}
		if got, err := d.GetValue(t.Context(), "/v/key", lrouting.Offline); err != nil || string(got) != "1" {
			t.Errorf("GetValue() = %q, %v", got, err)
		}
		values, err := d.SearchValue(t.Context(), "/v/key", lrouting.Offline)
		if err != nil {
			t.Fatal(err)
		}
		if got := <-values; string(got) != "1" {
			t.Errorf("SearchValue() yielded %q", got)
		}
	})
	if spent != 0 {
		t.Errorf("took %v, want no wait", spent)
	}
}

// An operation has as many paths as its option says; a number that cannot be is refused.
func TestPathsOfOneOperation(t *testing.T) { synctest.Test(t, testPathsOfOneOperation) }

func testPathsOfOneOperation(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{Alpha: 4})
	for range 4 {
		meet(t, d, n.puppet(gives("1")))
	}
	for paths, want := range map[int]int{0: 1, 1: 1, 4: 4} {
		ctx, trace := WithTrace(t.Context())
		if _, err := d.GetValue(ctx, "/v/key", Quorum(1), Paths(paths)); err != nil {
			t.Error(err)
		}
		if got := trace.Stats().Answered; got != want {
			t.Errorf("%d paths: %d answers, want %d, one for each", paths, got, want)
		}
	}
	for _, paths := range []int{-1, 5} {
		if err := d.PutValue(t.Context(), "/v/key", []byte("1"), Paths(paths)); err == nil {
			t.Errorf("Paths(%d) is accepted", paths)
		}
	}
}
