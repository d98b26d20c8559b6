package storetest

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-kad/kad/host/store"
)

func testProvidersMissing(t *testing.T, s store.Store) {
	wantProviders(t, s, "key", at(0), 0)
	wantProviders(t, s, "key", time.Time{}, 20)
}

func testProviderKeys(t *testing.T, s store.Store) {
	for _, key := range keys() {
		for i, id := range keys() { // any ID, too
			announce(t, s, string(key), store.Provider{ID: string(id), Addrs: key, Received: at(i)})
		}
	}
	for _, key := range keys() {
		got, err := s.Providers(t.Context(), key, at(0), 0)
		if err != nil || len(got) != len(keys()) {
			t.Fatalf("Providers(%q) = %d, %v; want %d", key, len(got), err, len(keys()))
		}
		for i, p := range got {
			if want := keys()[len(keys())-1-i]; p.ID != string(want) || string(p.Addrs) != string(key) {
				t.Errorf("Providers(%q)[%d] = %q, want %q", key, i, p.ID, want)
			}
		}
	}
	wantLen(t, s, 0, len(keys())*len(keys()))
}

func testProvidersOrder(t *testing.T, s store.Store) {
	for _, i := range []int{3, 1, 4, 0, 2} { // their order of arrival does not matter
		announce(t, s, "key", store.Provider{ID: id(i), Received: at(i), Expires: at(100 - i)})
	}
	wantProviders(t, s, "key", at(0), 0, id(4), id(3), id(2), id(1), id(0))
}

func testProvidersLimit(t *testing.T, s store.Store) {
	for i := range 5 {
		announce(t, s, "key", store.Provider{ID: id(i), Received: at(i), Expires: at(10)})
	}
	announce(t, s, "key", store.Provider{ID: "brief", Received: at(5), Expires: at(6)})
	wantProviders(t, s, "key", at(5), 2, "brief", id(4))
	wantProviders(t, s, "key", at(6), 2, id(4), id(3)) // the expired one takes no place
	wantProviders(t, s, "key", at(6), 1, id(4))
	wantProviders(t, s, "key", at(6), 9, id(4), id(3), id(2), id(1), id(0))
	wantProviders(t, s, "key", at(6), -1, id(4), id(3), id(2), id(1), id(0))
}

func testProvidersMany(t *testing.T, s store.Store) {
	const n = 800
	atOnce(n, func(i int) {
		// 7 and n have no common divisor: each is received at a time of its own,
		// which has nothing to do with the order of the IDs.
		p := store.Provider{ID: id(i * 7 % n), Received: at(i), Expires: at(2 * n)}
		if err := s.AddProvider(t.Context(), []byte("key"), p); err != nil {
			t.Errorf("AddProvider() = %v", err)
		}
	})
	var want []string
	for i := n - 1; i >= 0; i-- {
		want = append(want, id(i*7%n))
	}
	for _, limit := range []int{1, 3, 20, n - 1} {
		wantProviders(t, s, "key", at(n), limit, want[:limit]...)
	}
	wantProviders(t, s, "key", at(n), 0, want...)
}

func testProviderRenewed(t *testing.T, s store.Store) {
	announce(t, s, "key", store.Provider{ID: "ann", Addrs: []byte("old"), Received: at(0), Expires: at(10)})
	announce(t, s, "key", store.Provider{ID: "bob", Received: at(1), Expires: at(100)})
	announce(t, s, "other", store.Provider{ID: "ann", Addrs: []byte("other"), Received: at(0), Expires: at(10)})
	announce(t, s, "key", store.Provider{ID: "ann", Addrs: []byte("new"), Received: at(2), Expires: at(20)})
	wantProviders(t, s, "key", at(11), 0, "ann", "bob")
	wantProviders(t, s, "other", at(11), 0)
	got, err := s.Providers(t.Context(), []byte("key"), at(11), 1)
	if err != nil || len(got) != 1 || string(got[0].Addrs) != "new" || !got[0].Received.Equal(at(2)) || !got[0].Expires.Equal(at(20)) {
		t.Errorf("Providers() = %v, %v; want the new announcement", got, err)
	}
	wantLen(t, s, 0, 3)
}

func testProviderExpiry(t *testing.T, s store.Store) {
	announce(t, s, "key", store.Provider{ID: "ann", Received: at(0), Expires: at(10)})
	announce(t, s, "key", store.Provider{ID: "bob", Received: at(1)})
	wantProviders(t, s, "key", at(9), 0, "bob", "ann")
	wantProviders(t, s, "key", at(10), 0, "bob")
	wantProviders(t, s, "key", time.Time{}, 0, "bob", "ann") // not swept yet
	wantExpire(t, s, at(10), 0, 1, time.Time{})
	wantProviders(t, s, "key", time.Time{}, 0, "bob")
}

func testProviderRemove(t *testing.T, s store.Store) {
	for i := range 3 {
		announce(t, s, "key", store.Provider{ID: id(i), Received: at(i), Expires: at(10)})
	}
	announce(t, s, "other", store.Provider{ID: id(1), Received: at(0)})
	for range 2 { // the second finds nothing
		if err := s.RemoveProvider(t.Context(), []byte("key"), id(1)); err != nil {
			t.Errorf("RemoveProvider() = %v", err)
		}
	}
	if err := s.RemoveProvider(t.Context(), []byte("none"), id(1)); err != nil {
		t.Errorf("RemoveProvider() = %v", err)
	}
	wantProviders(t, s, "key", at(0), 0, id(2), id(0))
	wantProviders(t, s, "other", at(0), 0, id(1))
	wantLen(t, s, 0, 3)
}

func testProvidersConcurrent(t *testing.T, s store.Store) {
	const peers, nkeys = 8, 20
	var wg sync.WaitGroup
	for p := range peers {
		wg.Go(func() {
			for k := range nkeys {
				key := []byte(strconv.Itoa(k))
				if err := s.AddProvider(t.Context(), key, store.Provider{ID: id(p), Received: at(p), Expires: at(100)}); err != nil {
					t.Errorf("AddProvider() = %v", err)
				}
				if _, err := s.Providers(t.Context(), key, at(0), 3); err != nil {
					t.Errorf("Providers() = %v", err)
				}
				if p%2 == 1 {
					if err := s.RemoveProvider(t.Context(), key, id(p)); err != nil {
						t.Errorf("RemoveProvider() = %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	for k := range nkeys {
		wantProviders(t, s, strconv.Itoa(k), at(0), 0, id(6), id(4), id(2), id(0))
	}
	wantLen(t, s, 0, nkeys*peers/2)
}

// One announcement of several is found by its ID.
func testProvider(t *testing.T, s store.Store) {
	for i, id := range []string{"ann", "bob"} {
		announce(t, s, "key", store.Provider{ID: id, Addrs: []byte("addrs of " + id), Received: at(i), Expires: at(10 + i)})
	}
	got, err := s.Provider(t.Context(), []byte("key"), "bob", at(5))
	if err != nil || got.ID != "bob" || string(got.Addrs) != "addrs of bob" || !got.Received.Equal(at(1)) || !got.Expires.Equal(at(11)) {
		t.Errorf("Provider() = %v, %v", got, err)
	}
	for _, missing := range []struct {
		key, id string
		now     int
	}{{"key", "cat", 5}, {"key", "bo", 5}, {"other", "bob", 5}, {"key", "ann", 10}} {
		if _, err := s.Provider(t.Context(), []byte(missing.key), missing.id, at(missing.now)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Provider(%v) = %v, want ErrNotFound", missing, err)
		}
	}
}
