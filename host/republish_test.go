package host_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	record "github.com/libp2p/go-libp2p-record"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multihash"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/host/store"
)

// anyValue is a validator: of two values, the later in the alphabet is the better one.
type anyValue struct{}

func (anyValue) Validate(string, []byte) error { return nil }

func (anyValue) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i, v := range values {
		if string(v) > string(values[best]) {
			best = i
		}
	}
	return best, nil
}

// pair returns two nodes that know each other, the first of them with cfg, and what the
// other one holds. Their hosts are those of kadtest: in virtual time, a day of a libp2p
// host costs half a second.
func pair(t *testing.T, cfg kad.Config) (n *kadtest.Network, d, other *kadtest.Node, held *store.Memory) {
	t.Helper()
	held = store.NewMemory(store.Limits{})
	rest := kad.Config{RefreshInterval: 6 * time.Hour, Store: held, Validators: map[string]record.Validator{"v": anyValue{}}}
	cfg.RefreshInterval, cfg.Validators = rest.RefreshInterval, rest.Validators
	n = kadtest.New(t, kadtest.Config{})
	d, other = n.Add(1, cfg)[0], n.Add(1, rest)[0]
	n.Settle()
	return n, d, other, held
}

func someContent(t *testing.T) cid.Cid {
	t.Helper()
	hash, err := multihash.Sum([]byte("content"), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, hash)
}

// holds reports whether a node, which has a store of the test, holds the value and the
// announcement of the test.
func holds(t *testing.T, d *kadtest.Node, held *store.Memory) (value, provider bool) {
	t.Helper()
	_, err := d.DHT.GetValue(t.Context(), "/v/key", lrouting.Offline)
	if err != nil && !errors.Is(err, kad.ErrNotFound) {
		t.Error(err)
	}
	providers, listErr := held.Providers(t.Context(), someContent(t).Hash(), time.Now(), 0)
	if listErr != nil {
		t.Error(listErr)
	}
	return err == nil, len(providers) > 0
}

// What a node published lives as long as the node: it is published again before it
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
	_, d, other, held := pair(t, kad.Config{RepublishInterval: interval})
	if err := d.DHT.PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.DHT.Announce(t.Context(), someContent(t)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * 24 * time.Hour)
	if value, provider := holds(t, other, held); value != lives || provider != lives {
		t.Errorf("after five days: value %v, announcement %v; want %v", value, provider, lives)
	}
	if !lives {
		return
	}
	if got := d.DHT.Stats(); got.Publications != 2 || got.Published != got.Republished+2 || got.Republished < 2*5 || got.Republished > 2*6 {
		t.Errorf("%d publications, published again %d times in five days", got.Publications, got.Republished)
	}

	if err := d.DHT.StopProviding(t.Context(), someContent(t)); err != nil {
		t.Fatal(err)
	}
	if err := d.DHT.StopPublishing(t.Context(), "/v/key"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * 24 * time.Hour)
	if value, provider := holds(t, other, held); value || provider {
		t.Errorf("three days after both were withdrawn: value %v, announcement %v", value, provider)
	}
}

// A node that was restarted still publishes again what it published, when that is due.
func TestRepublishAfterRestart(t *testing.T) { synctest.Test(t, testRepublishAfterRestart) }

func testRepublishAfterRestart(t *testing.T) {
	n, d, _, _ := pair(t, kad.Config{Dir: t.TempDir()})
	if err := d.DHT.PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Minute)
	n.Restart(d)
	time.Sleep(10 * time.Minute) // 20 of at least 26
	if got := d.DHT.Stats(); got.Publications != 1 || got.Republished != 0 {
		t.Errorf("%d publications, published again %d times; want it to be due later", got.Publications, got.Republished)
	}
	time.Sleep(22 * time.Hour)
	if got := d.DHT.Stats(); got.Republished != 1 {
		t.Errorf("published again %d times after 22 h, want once", got.Republished)
	}
}

// A node does not publish its value again when it has learnt of a better one.
func TestSupersededIsNotRepublished(t *testing.T) { synctest.Test(t, testSupersededIsNotRepublished) }

func testSupersededIsNotRepublished(t *testing.T) {
	_, d, other, _ := pair(t, kad.Config{})
	if err := d.DHT.PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Hour)
	if err := other.DHT.PutValue(t.Context(), "/v/key", []byte("2")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(24 * time.Hour)
	if got := d.DHT.Stats(); got.Publications != 0 || got.Republished != 0 {
		t.Errorf("%d publications, published again %d times; want none", got.Publications, got.Republished)
	}
}
