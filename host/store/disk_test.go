package store_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/host/store/storetest"
)

// open opens the store in dir, and closes it when the test ends.
func open(tb testing.TB, dir string, l store.Limits) *store.Disk {
	tb.Helper()
	d, err := store.Open(dir, l)
	if err != nil {
		tb.Fatalf("Open() = %v", err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Errorf("Close() = %v", err)
		}
	})
	return d
}

func TestDisk(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir(), store.Limits{}) })
}

func TestDiskLimits(t *testing.T) {
	storetest.RunLimits(t, func(t *testing.T, l store.Limits) store.Store { return open(t, t.TempDir(), l) })
}

func TestDiskAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		testAgainstModel(rt, func(l store.Limits) store.Store { return open(t, t.TempDir(), l) })
	})
}

func TestDiskDurable(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T) func(store.Limits) store.Store {
		dir := filepath.Join(t.TempDir(), "made", "by Open")
		return func(l store.Limits) store.Store { return open(t, dir, l) }
	})
}

// damage changes rows of a bucket of a closed store.
func damage(t *testing.T, dir, bucket string, f func(b *bbolt.Bucket) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "records.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return f(tx.Bucket([]byte(bucket))) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// Rows that are damaged, in what is kept or in their keys, do not keep others
// from being shed.
func TestDiskShedDamaged(t *testing.T) {
	const n = 10
	for _, bucket := range []string{"values", "providers"} {
		dir := filled(t, n)
		damage(t, dir, bucket, func(b *bbolt.Bucket) error {
			var rows [][]byte
			err := b.ForEach(func(row, _ []byte) error {
				rows = append(rows, bytes.Clone(row))
				return nil
			})
			for _, row := range [][]byte{rows[0], rows[n/2], rows[n-1], {0, 1}, {0xff, 0xff, 0xff}, []byte("key without an end")} {
				err = errors.Join(err, b.Put(row, []byte("damaged")))
			}
			return err
		})
		d := open(t, dir, store.Limits{})
		var err error
		self, kind := sha256.Sum256([]byte("self")), store.KindValue
		if bucket == "providers" {
			kind = store.KindProvider
		}
		// What is damaged goes, unless its row key is too short to have a
		// place. The values that are intact never expire.
		times, want := 0, 4
		if kind == store.KindProvider {
			want = n + 1
		}
		for shed := true; shed; times++ {
			if shed, err = d.Shed(t.Context(), kind, self, []byte("self")); err != nil {
				t.Fatalf("Shed() = %v, %v", shed, err)
			}
		}
		if times-1 != want {
			t.Errorf("%d %s were shed, want %d", times-1, bucket, want)
		}
		values, err := d.Values(t.Context(), epoch, nil, 0)
		if bucket == "values" && (err != nil || len(values) != n-3) { // they never expire
			t.Errorf("Values() = %d, %v; want those that are intact", len(values), err)
		}
		keys, err := d.ProviderKeys(t.Context(), epoch, nil, 0)
		if bucket == "providers" && (err != nil || len(keys) != 0) {
			t.Errorf("ProviderKeys() = %d, %v; want none", len(keys), err)
		}
	}
}

// A row that is damaged is not an announcement, and does not take the place of one.
func TestDiskProvidersDamaged(t *testing.T) {
	dir, key, ctx := t.TempDir(), []byte("key"), t.Context()
	limits := store.Limits{ProvidersPerKey: 3}
	announce := func(d *store.Disk, id string, later time.Duration) {
		t.Helper()
		p := store.Provider{ID: id, Received: epoch.Add(later), Expires: epoch.Add(time.Hour + later)}
		if err := d.AddProvider(ctx, key, p); err != nil {
			t.Errorf("AddProvider(%s) = %v", id, err)
		}
	}
	d, err := store.Open(dir, limits)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"ann", "bob", "cat"} {
		announce(d, id, time.Duration(i))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, dir, "providers", func(b *bbolt.Bucket) error {
		row, raw := b.Cursor().Last() // of cat
		raw = bytes.Clone(raw)
		raw[len(raw)-1] ^= 1
		return b.Put(row, raw)
	})
	d = open(t, dir, limits)
	want := func(limit int, want ...string) {
		t.Helper()
		ps, err := d.Providers(ctx, key, epoch, limit)
		var ids []string
		for _, p := range ps {
			ids = append(ids, p.ID)
		}
		if err != nil || !slices.Equal(ids, want) {
			t.Errorf("Providers(limit %d) = %q, %v; want %q", limit, ids, err, want)
		}
	}
	want(0, "bob", "ann")
	want(1, "bob")
	announce(d, "dan", 3)
	want(0, "dan", "bob", "ann")
	announce(d, "eve", 4) // now one yields
	want(0, "eve", "dan", "bob")
	announce(d, "cat", 5) // takes the place of the damaged one
	want(2, "cat", "eve")
}

// Publications that are damaged do not keep the others from being read. The error says that there
// are some.
func TestDiskPublicationsDamaged(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	d, err := store.Open(dir, store.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{"ann", "bob", "cat", "dan", "eve"}
	for _, key := range keys {
		if err := d.Publish(ctx, store.Publication{Kind: store.KindProvider, Key: []byte(key), Next: epoch}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, dir, "publications", func(b *bbolt.Bucket) error {
		var err error
		for _, key := range []string{"ann", "cat", "eve"} {
			err = errors.Join(err, b.Put(append([]byte{byte(store.KindProvider)}, key...), []byte("damaged")))
		}
		return err
	})
	d = open(t, dir, store.Limits{})
	for _, limit := range []int{0, 1, 2} {
		var after []byte
		var got []string
		corrupt := false
		for {
			batch, err := d.Publications(ctx, store.KindProvider, after, limit)
			if err != nil && !errors.Is(err, store.ErrCorrupt) {
				t.Fatal(err)
			}
			if corrupt = corrupt || err != nil; len(batch) == 0 {
				break
			}
			for _, p := range batch {
				got, after = append(got, string(p.Key)), p.Key
			}
		}
		if !slices.Equal(got, []string{"bob", "dan"}) || !corrupt {
			t.Errorf("limit %d: %q, ErrCorrupt %v; want the ones that are intact, and the error", limit, got, corrupt)
		}
	}
	if err := d.Publish(ctx, store.Publication{Kind: store.KindProvider, Key: []byte("cat"), Next: epoch}); err != nil {
		t.Errorf("Publish() in the place of a damaged one = %v", err)
	}
	if batch, _ := d.Publications(ctx, store.KindProvider, nil, 0); len(batch) != 3 {
		t.Errorf("%d publications are read, want 3", len(batch))
	}
}

// An announcement for a key that is full, for which another one yields, takes about as many
// objects as one for a key that is not, however many the key has.
func TestDiskYieldAllocations(t *testing.T) {
	const full = 500
	d := open(t, t.TempDir(), store.Limits{ProvidersPerKey: full})
	made := 0
	add := func(key string) {
		made++
		at := epoch.Add(time.Duration(made))
		p := store.Provider{ID: fmt.Sprintf("peer %09d", made), Addrs: make([]byte, 80), Received: at, Expires: at.Add(time.Hour), Origin: uint64(made%3 + 1)}
		if err := d.AddProvider(t.Context(), []byte(key), p); err != nil {
			t.Error(err)
		}
	}
	var fill sync.WaitGroup
	for i := range full {
		fill.Go(func() {
			at := epoch.Add(-time.Duration(i))
			p := store.Provider{ID: fmt.Sprintf("first %d", i), Received: at, Expires: at.Add(time.Hour), Origin: uint64(i%3 + 1)}
			if err := d.AddProvider(t.Context(), []byte("full"), p); err != nil {
				t.Error(err)
			}
		})
	}
	fill.Wait()
	others := testing.AllocsPerRun(10, func() { add("other") })
	yields := testing.AllocsPerRun(10, func() { add("full") })
	if _, providers := d.Len(); providers != full+11 {
		t.Errorf("%d announcements, want %d", providers, full+11)
	}
	if yields > others+100 {
		t.Errorf("%.0f objects for a key that is full, %.0f for another", yields, others)
	}
}
