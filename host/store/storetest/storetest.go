// Package storetest is the contract of [store.Store] as a test suite. An
// implementation passes it by calling [Run] from a test of its own; one with
// limits also calls [RunLimits], and one that outlives the process [RunDurable].
//
// No test waits: the time is an argument of every method that cares.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kad/kad/host/store"
)

// start is when every test begins.
func start() time.Time { return time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC) }

// at returns the time s seconds after the start.
func at(s int) time.Time { return start().Add(time.Duration(s) * time.Second) }

// keys returns keys that an implementation may mistake for each other, or for
// something else.
func keys() [][]byte {
	keys := make([][]byte, 0, 20)
	for _, key := range []string{
		"a", "A", "a/", "/a", "a/b", "a//b", "a/../b", "b", ".", "..", "/", " ", "a\x00", "\x00", "\xff", "\xff\xfe", "%2F", "*",
		strings.Repeat("\x12\x20", 256),
	} {
		keys = append(keys, []byte(key))
	}
	return keys
}

// Run checks that the stores which open returns keep the contract. Each subtest
// opens a store of its own, which is to be empty and large enough for a thousand
// entries; Run closes it.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	tests := []struct {
		name string
		test func(t *testing.T, s store.Store)
	}{
		{"value/missing", testValueMissing},
		{"value/any key", testValueKeys},
		{"value/no data", testValueNoData},
		{"value/expiry", testValueExpiry},
		{"value/delete", testValueDelete},
		{"value/publisher", testPublisher},
		{"value/batches", testValues},
		{"value/batches of large ones", testValuesLarge},
		{"update/sees current", testUpdateSeesCurrent},
		{"update/error changes nothing", testUpdateError},
		{"update/expired counts as none", testUpdateExpired},
		{"update/newest of concurrent puts wins", testUpdateConcurrent},
		{"update/none is lost", testUpdateCounter},
		{"provider/missing", testProvidersMissing},
		{"provider/any key", testProviderKeys},
		{"provider/freshest first", testProvidersOrder},
		{"provider/limit", testProvidersLimit},
		{"provider/freshest of many", testProvidersMany},
		{"provider/same ID replaces and renews", testProviderRenewed},
		{"provider/by ID", testProvider},
		{"provider/expiry", testProviderExpiry},
		{"provider/remove", testProviderRemove},
		{"provider/concurrent", testProvidersConcurrent},
		{"provider/batches of keys", testProviderKeysBatches},
		{"batches in the order of the key space", testOrder},
		{"batches while the store changes", testBatchesChange},
		{"shed/farthest first", testShed},
		{"shed/not what is as near, or never expires", testShedNot},
		{"shed/one of several announcements", testShedAnnouncement},
		{"publications", testPublications},
		{"values and providers are apart", testApart},
		{"expire/says when the next one is due", testExpireNext},
		{"expire/at most limit", testExpireLimit},
		{"expire/never one that was replaced", testExpireReplaced},
		{"expire/not at the zero time", testExpireZero},
		{"expire/with concurrent puts", testExpireConcurrent},
		{"copies in and out", testCopies},
		{"times", testTimes},
		{"context", testContext},
		{"close", testClose},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close() = %v", err)
				}
			})
			tt.test(t, s)
		})
	}
}

// The helpers below stop the test if the store reports an error.

func put(t *testing.T, s store.Store, key string, v store.Value) {
	t.Helper()
	if err := update(t.Context(), s, key, v); err != nil {
		t.Fatalf("UpdateValue(%q) = %v", key, err)
	}
}

// update stores v whatever was there.
func update(ctx context.Context, s store.Store, key string, v store.Value) error {
	return s.UpdateValue(ctx, []byte(key), v.Received, func(store.Value, bool) (store.Value, error) { return v, nil })
}

func announce(t *testing.T, s store.Store, key string, p store.Provider) {
	t.Helper()
	if err := s.AddProvider(t.Context(), []byte(key), p); err != nil {
		t.Fatalf("AddProvider(%q, %q) = %v", key, p.ID, err)
	}
}

// wantValue checks what key holds at now.
func wantValue(t *testing.T, s store.Store, key string, now time.Time, want string) {
	t.Helper()
	if v, err := s.Value(t.Context(), []byte(key), now); err != nil || string(v.Data) != want {
		t.Errorf("Value(%q) = %q, %v; want %q", key, v.Data, err, want)
	}
}

// wantNoValue checks that key holds nothing at now.
func wantNoValue(t *testing.T, s store.Store, key string, now time.Time) {
	t.Helper()
	if v, err := s.Value(t.Context(), []byte(key), now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Value(%q) = %q, %v; want ErrNotFound", key, v.Data, err)
	}
}

// wantProviders checks the IDs that Providers returns, in order.
func wantProviders(t *testing.T, s store.Store, key string, now time.Time, limit int, want ...string) {
	t.Helper()
	got, err := s.Providers(t.Context(), []byte(key), now, limit)
	if err != nil {
		t.Fatalf("Providers(%q) = %v", key, err)
	}
	var ids []string
	for _, p := range got {
		ids = append(ids, p.ID)
	}
	if !slices.Equal(ids, want) {
		t.Errorf("Providers(%q, limit %d) = %q, want %q", key, limit, ids, want)
	}
}

// wantLen checks how many entries s holds.
func wantLen(t *testing.T, s store.Store, values, providers int) {
	t.Helper()
	if v, p := s.Len(); v != values || p != providers {
		t.Errorf("Len() = %d, %d; want %d, %d", v, p, values, providers)
	}
}

// wantExpire checks one sweep.
func wantExpire(t *testing.T, s store.Store, now time.Time, limit, removed int, next time.Time) {
	t.Helper()
	n, soonest, err := s.Expire(t.Context(), now, limit)
	if err != nil || n != removed || !soonest.Equal(next) {
		t.Errorf("Expire(%v, limit %d) = %d, %v, %v; want %d, %v", now, limit, n, soonest, err, removed, next)
	}
}

func testApart(t *testing.T, s store.Store) {
	put(t, s, "key", store.Value{Data: []byte("v"), Received: at(0)})
	wantProviders(t, s, "key", at(0), 0)
	announce(t, s, "key", store.Provider{ID: "ann", Received: at(0)})
	if err := s.DeleteValue(t.Context(), []byte("key")); err != nil {
		t.Errorf("DeleteValue() = %v", err)
	}
	wantNoValue(t, s, "key", at(0))
	wantProviders(t, s, "key", at(0), 0, "ann")
	wantLen(t, s, 0, 1)
}

func testExpireNext(t *testing.T, s store.Store) {
	wantExpire(t, s, at(0), 0, 0, time.Time{})
	put(t, s, "forever", store.Value{Received: at(0)})
	wantExpire(t, s, at(100), 0, 0, time.Time{})
	put(t, s, "later", store.Value{Received: at(0), Expires: at(30)})
	announce(t, s, "key", store.Provider{ID: "ann", Received: at(0), Expires: at(10)})
	announce(t, s, "key", store.Provider{ID: "bob", Received: at(0), Expires: at(20)})

	wantExpire(t, s, at(9), 0, 0, at(10))
	wantExpire(t, s, at(10), 0, 1, at(20)) // at the very instant
	wantLen(t, s, 2, 1)
	wantExpire(t, s, at(40), 0, 2, time.Time{})
	wantLen(t, s, 1, 0)
	wantValue(t, s, "forever", at(1000), "")
}

func testExpireLimit(t *testing.T, s store.Store) {
	for i := range 10 {
		put(t, s, "value"+strconv.Itoa(i), store.Value{Received: at(0), Expires: at(2*i + 1)})
		announce(t, s, "key", store.Provider{ID: strconv.Itoa(i), Received: at(0), Expires: at(2*i + 2)})
	}
	wantExpire(t, s, at(100), 15, 15, at(16))
	wantLen(t, s, 2, 3)
	wantExpire(t, s, at(100), 5, 5, time.Time{})
	wantLen(t, s, 0, 0)
}

func testExpireReplaced(t *testing.T, s store.Store) {
	put(t, s, "key", store.Value{Data: []byte("old"), Received: at(0), Expires: at(10)})
	put(t, s, "key", store.Value{Data: []byte("new"), Received: at(5), Expires: at(15)})
	put(t, s, "kept", store.Value{Data: []byte("old"), Received: at(0), Expires: at(10)})
	put(t, s, "kept", store.Value{Data: []byte("new"), Received: at(5)})
	announce(t, s, "key", store.Provider{ID: "ann", Received: at(0), Expires: at(10)})
	announce(t, s, "key", store.Provider{ID: "ann", Received: at(5), Expires: at(15)})

	wantExpire(t, s, at(12), 0, 0, at(15))
	wantValue(t, s, "key", at(12), "new")
	wantProviders(t, s, "key", at(12), 0, "ann")
	wantExpire(t, s, at(15), 0, 2, time.Time{})
	wantValue(t, s, "kept", at(15), "new")

	put(t, s, "short", store.Value{Received: at(20), Expires: at(90)})
	put(t, s, "short", store.Value{Received: at(20), Expires: at(30)}) // shortened
	wantExpire(t, s, at(29), 0, 0, at(30))
}

func testExpireZero(t *testing.T, s store.Store) {
	put(t, s, "key", store.Value{Received: at(0), Expires: at(10)})
	wantExpire(t, s, time.Time{}, 0, 0, at(10))
	wantLen(t, s, 1, 0)
}

// A sweep and a put of the same key run at once: whichever comes first, the new
// value is there in the end.
func testExpireConcurrent(t *testing.T, s store.Store) {
	const n = 200
	for i := range n {
		put(t, s, strconv.Itoa(i), store.Value{Data: []byte("old"), Received: at(0), Expires: at(10)})
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			v := store.Value{Data: []byte("new"), Received: at(10), Expires: at(100)}
			if err := update(t.Context(), s, strconv.Itoa(i), v); err != nil {
				t.Errorf("UpdateValue() = %v", err)
			}
		}
	})
	wg.Go(func() {
		for range n {
			if _, _, err := s.Expire(t.Context(), at(10), 3); err != nil {
				t.Errorf("Expire() = %v", err)
			}
		}
	})
	wg.Wait()
	for i := range n {
		wantValue(t, s, strconv.Itoa(i), at(10), "new")
	}
	wantExpire(t, s, at(10), 0, 0, at(100))
}

func testCopies(t *testing.T, s store.Store) {
	data, addrs := []byte("data"), []byte("addrs")
	put(t, s, "key", store.Value{Data: data, Received: at(0)})
	announce(t, s, "key", store.Provider{ID: "ann", Addrs: addrs, Received: at(0)})
	data[0], addrs[0] = 'X', 'X'

	v, err := s.Value(t.Context(), []byte("key"), at(0))
	if err != nil || string(v.Data) != "data" {
		t.Fatalf("Value() = %q, %v; want what was put in", v.Data, err)
	}
	v.Data[0] = 'X'
	ps, err := s.Providers(t.Context(), []byte("key"), at(0), 0)
	if err != nil || len(ps) != 1 || string(ps[0].Addrs) != "addrs" {
		t.Fatalf("Providers() = %v, %v; want what was put in", ps, err)
	}
	failed := errors.New("no")
	err = s.UpdateValue(t.Context(), []byte("key"), at(0), func(current store.Value, _ bool) (store.Value, error) {
		current.Data[0] = 'X'
		return current, failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("UpdateValue() = %v, want the error of f", err)
	}

	wantValue(t, s, "key", at(0), "data")
	ps, err = s.Providers(t.Context(), []byte("key"), at(0), 0)
	if err != nil || len(ps) != 1 || string(ps[0].Addrs) != "addrs" {
		t.Errorf("Providers() = %v, %v; want them unchanged", ps, err)
	}
}

func testTimes(t *testing.T, s store.Store) {
	now := time.Now()
	received, expires := now.In(time.FixedZone("", 3600)), now.Add(time.Nanosecond)
	put(t, s, "key", store.Value{Received: received, Expires: expires})
	announce(t, s, "key", store.Provider{ID: "ann", Received: received})
	v, err := s.Value(t.Context(), []byte("key"), now)
	if err != nil || !v.Received.Equal(received) || !v.Expires.Equal(expires) {
		t.Errorf("Value() = %v, %v; want the times it was put in with", v, err)
	}
	if v.Expires.String() != v.Expires.Round(0).String() {
		t.Errorf("Expires = %v, with a monotonic reading", v.Expires)
	}
	wantNoValue(t, s, "key", expires)
	ps, err := s.Providers(t.Context(), []byte("key"), now, 0)
	if err != nil || len(ps) != 1 || !ps[0].Received.Equal(received) || !ps[0].Expires.IsZero() {
		t.Errorf("Providers() = %v, %v; want the times it was added with", ps, err)
	}
}

func testContext(t *testing.T, s store.Store) {
	put(t, s, "key", store.Value{Data: []byte("v"), Received: at(0)})
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	for name, err := range everyMethod(ctx, s) {
		if !errors.Is(err, gone) {
			t.Errorf("%s = %v, want the cause of the context", name, err)
		}
	}
	wantValue(t, s, "key", at(0), "v")
	wantLen(t, s, 1, 0)
}

func testClose(t *testing.T, s store.Store) {
	put(t, s, "key", store.Value{Received: at(0)})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}
	for name, err := range everyMethod(t.Context(), s) {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s = %v, want ErrClosed", name, err)
		}
	}
	wantLen(t, s, 0, 0)
}

// everyMethod calls each method that returns an error, and returns the errors.
func everyMethod(ctx context.Context, s store.Store) map[string]error {
	key := []byte("key")
	_, value := s.Value(ctx, key, at(0))
	_, providers := s.Providers(ctx, key, at(0), 0)
	_, _, expire := s.Expire(ctx, at(0), 0)
	_, values := s.Values(ctx, at(0), nil, 0)
	_, providerKeys := s.ProviderKeys(ctx, at(0), nil, 0)
	_, shed := s.Shed(ctx, store.KindValue, [32]byte{}, key)
	_, publications := s.Publications(ctx, store.KindValue, nil, 0)
	return map[string]error{
		"Value":          value,
		"UpdateValue":    update(ctx, s, "key", store.Value{Data: []byte("new")}),
		"DeleteValue":    s.DeleteValue(ctx, key),
		"AddProvider":    s.AddProvider(ctx, key, store.Provider{ID: "ann"}),
		"Providers":      providers,
		"RemoveProvider": s.RemoveProvider(ctx, key, "ann"),
		"Expire":         expire,
		"Values":         values,
		"ProviderKeys":   providerKeys,
		"Shed":           shed,
		"Publish":        s.Publish(ctx, store.Publication{Kind: store.KindValue, Key: key}),
		"Unpublish":      s.Unpublish(ctx, store.KindValue, key),
		"Publications":   publications,
	}
}

// id returns the i-th of many peer IDs that sort as i does.
func id(i int) string { return fmt.Sprintf("peer%04d", i) }
