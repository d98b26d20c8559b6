package host

import (
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	lrouting "github.com/libp2p/go-libp2p/core/routing"
)

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
// expires, until it is announce.Withdrawn. Without that, it is gone after its age.
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
	link(t, d, other)
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
		t.Errorf("three days after it was announce.Withdrawn: value %v, announcement %v", value, provider)
	}
}

// A restart does not forget what is to be published again, nor when.
func TestRepublishAfterRestart(t *testing.T) { synctest.Test(t, testRepublishAfterRestart) }

func testRepublishAfterRestart(t *testing.T) {
	n := newTestNet(t)
	cfg := Config{Dir: filepath.Join(t.TempDir(), "dir")}
	d, other := n.node(cfg), n.node(Config{})
	link(t, d, other)
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
	link(t, d, other)
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
