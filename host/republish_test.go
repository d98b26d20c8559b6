package host

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// The earliest come first; what was dropped or moved does not come when it was
// due before; what is under way comes back only if it was not dropped.
func TestAgenda(t *testing.T) {
	var a agenda
	at := func(h int) time.Time { return time.Unix(0, 0).Add(time.Duration(h) * time.Hour) }
	id := func(key string) publicationID { return publicationID{store.KindValue, key} }
	for key, h := range map[string]int{"a": 3, "b": 1, "c": 2, "d": 9} {
		a.add(id(key), at(h))
	}
	a.add(id("b"), at(4))
	a.drop(id("c"))
	if due, next := a.due(at(2), 10); len(due) != 0 || !next.Equal(at(3)) {
		t.Errorf("due at 2: %v, then %v", due, next)
	}
	first, next := a.due(at(5), 1)
	if len(first) != 1 || first[0].publicationID != id("a") || !next.IsZero() {
		t.Fatalf("due at 5: %v, then %v; want a, and more when there is room", first, next)
	}
	second, next := a.due(at(5), 10)
	if len(second) != 1 || second[0].publicationID != id("b") || !next.Equal(at(9)) {
		t.Fatalf("due at 5: %v, then %v; want b", second, next)
	}
	a.drop(id("a"))
	if a.current(first[0]) || !a.current(second[0]) || a.len() != 2 {
		t.Error("a ticket is good for what was dropped, or not for what is under way")
	}
	a.add(id("b"), at(6))
	if a.current(second[0]) {
		t.Error("a ticket is good for what was added again")
	}
	for range 10_000 {
		a.add(id("b"), at(6))
	}
	if len(a.heap) > 2*a.len()+minStale {
		t.Errorf("%d entries for %d publications", len(a.heap), a.len())
	}
	if due, _ := a.due(at(6), 10); len(due) != 1 || due[0].publicationID != id("b") {
		t.Errorf("due at 6: %v, want b", due)
	}
}

// holds reports whether a node holds the value and the announcement of the test.
func holds(t *testing.T, d *DHT) (value, provider bool) {
	t.Helper()
	_, err := d.GetValue(t.Context(), "/v/key", lrouting.Offline)
	if err != nil && !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	key, keyErr := providerKey(testCID("content"))
	providers, listErr := d.store.Providers(t.Context(), key, time.Now(), 0)
	if keyErr != nil || listErr != nil {
		t.Error(keyErr, listErr)
	}
	return err == nil, len(providers) > 0
}

// What we published lives for as long as we do: it is published again before it
// expires, until it is withdrawn. Without that, it is gone after its age.
func TestRepublish(t *testing.T) {
	for _, tt := range []struct {
		name     string
		interval time.Duration
		lives    bool
	}{
		{"by default", 0, true},
		{"off", -1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testRepublish(t, tt.interval, tt.lives) })
		})
	}
}

func testRepublish(t *testing.T, interval time.Duration, lives bool) {
	n := newTestNet(t)
	d, other := n.node(Config{RepublishInterval: interval}), n.node(Config{})
	connect(t, d, other)
	time.Sleep(time.Second)
	if err := d.PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Announce(t.Context(), testCID("content")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * 24 * time.Hour)
	if value, provider := holds(t, other); value != lives || provider != lives {
		t.Errorf("after five days: value %v, announcement %v; want %v", value, provider, lives)
	}
	if !lives {
		return
	}
	if got := d.Stats(); got.Publications != 2 || got.Republished < 2*5 || got.Republished > 2*6 {
		t.Errorf("%d publications, published again %d times in five days", got.Publications, got.Republished)
	}

	if err := d.StopProviding(t.Context(), testCID("content")); err != nil {
		t.Fatal(err)
	}
	if err := d.StopPublishing(t.Context(), "/v/key"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * 24 * time.Hour)
	if value, provider := holds(t, other); value || provider {
		t.Errorf("three days after it was withdrawn: value %v, announcement %v", value, provider)
	}
}

// A restart does not forget what is to be published again, nor when.
func TestRepublishAfterRestart(t *testing.T) { synctest.Test(t, testRepublishAfterRestart) }

func testRepublishAfterRestart(t *testing.T) {
	n := newTestNet(t)
	cfg := Config{Dir: filepath.Join(t.TempDir(), "dir")}
	d, other := n.node(cfg), n.node(Config{})
	connect(t, d, other)
	time.Sleep(time.Second)
	if err := d.PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(12 * time.Hour)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again := n.attach(d.host, cfg)
	time.Sleep(7 * time.Hour) // 19 of at least 19.8
	if got := again.Stats(); got.Publications != 1 || got.Republished != 0 {
		t.Errorf("%d publications, published again %d times; want it to be due later", got.Publications, got.Republished)
	}
	time.Sleep(4 * time.Hour)
	if got := again.Stats(); got.Republished != 1 {
		t.Errorf("published again %d times after 23 h, want once", got.Republished)
	}
}

// Who learns of a better value does not publish its own again.
func TestSupersededIsNotRepublished(t *testing.T) { synctest.Test(t, testSupersededIsNotRepublished) }

func testSupersededIsNotRepublished(t *testing.T) {
	n := newTestNet(t)
	d, other := n.node(Config{}), n.node(Config{})
	connect(t, d, other)
	time.Sleep(time.Second)
	if err := d.PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Hour)
	if err := other.PutValue(t.Context(), "/v/key", []byte("2")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(24 * time.Hour)
	if got := d.Stats(); got.Publications != 0 || got.Republished != 0 {
		t.Errorf("%d publications, published again %d times; want none", got.Publications, got.Republished)
	}
}

// What somebody has stored is published again, also if the caller's time was over
// before all had answered.
func TestPublicationOutlivesTheCaller(t *testing.T) {
	synctest.Test(t, testPublicationOutlivesTheCaller)
}

func testPublicationOutlivesTheCaller(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 2)
	puppets[0].will(func(s network.Stream, req protocol.Request) {
		if _, put := req.(protocol.PutValue); !put { // never answers that one
			says(protocol.Response{})(s, req)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	receipt, err := d.Put(ctx, "/v/key", []byte("1"))
	if err != nil || len(receipt.Stored) != 1 || len(receipt.Failed) != 1 {
		t.Fatalf("Put() = %+v, %v", receipt, err)
	}
	if got := d.Stats().Publications; got != 1 {
		t.Errorf("%d publications, want one", got)
	}
}

// A value that is put while the one before is being published again is the one
// that is published from then on.
func TestPutDuringRepublish(t *testing.T) { synctest.Test(t, testPutDuringRepublish) }

func testPutDuringRepublish(t *testing.T) {
	n := newTestNet(t)
	d, other := n.node(Config{RepublishInterval: time.Hour}), n.node(Config{})
	connect(t, d, other)
	time.Sleep(time.Second)
	if err := d.PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	id := publicationID{store.KindValue, "/v/key"}
	due, _ := d.agenda.due(time.Now().Add(2*time.Hour), 1)
	if len(due) != 1 {
		t.Fatal("it is not due")
	}
	if err := d.PutValue(t.Context(), "/v/key", []byte("2")); err != nil {
		t.Fatal(err)
	}
	old := store.Publication{Kind: id.kind, Key: []byte(id.key), Data: []byte("1")}
	for _, again := range []time.Duration{0, time.Hour} { // superseded, or not
		if err := d.conclude(t.Context(), due[0], old, again); err != nil {
			t.Fatal(err)
		}
	}
	if p, err := d.store.Publication(t.Context(), id.kind, []byte(id.key)); err != nil || string(p.Data) != "2" || !d.agenda.has(id) {
		t.Errorf("kept %q, %v; want the new value", p.Data, err)
	}
}
