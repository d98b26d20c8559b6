package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-kad/kad/host/store"
)

// RunLimits checks that the stores which open returns keep to the limits they
// are given.
func RunLimits(t *testing.T, open func(t *testing.T, l store.Limits) store.Store) {
	tests := []struct {
		name   string
		limits store.Limits
		test   func(t *testing.T, s store.Store)
	}{
		{"values", store.Limits{Values: 3}, testLimitValues},
		{"value bytes", store.Limits{ValueBytes: 33}, testLimitValues},
		{"value grows", store.Limits{ValueBytes: 33}, testLimitGrowth},
		{"providers", store.Limits{Providers: 3}, testLimitProviders},
		{"provider bytes", store.Limits{ProviderBytes: 33}, testLimitProviders},
		{"providers per key", store.Limits{ProvidersPerKey: 3}, testLimitPerKey},
		{"providers per key, and in total", store.Limits{ProvidersPerKey: 3, Providers: 3}, testLimitPerKey},
		{"providers of one origin", store.Limits{ProvidersPerKey: 3}, testLimitOrigins},
		{"providers that stay", store.Limits{ProvidersPerKey: 3}, testLimitStay},
		{"refused for its bytes, none yields", store.Limits{ProvidersPerKey: 3, ProviderBytes: 33}, testLimitBytesPerKey},
		{"entry bytes", store.Limits{EntryBytes: 11}, testLimitEntry},
		{"room is made by shedding", store.Limits{Values: 3, ProviderBytes: 33, ProvidersPerKey: 2}, testLimitShed},
		{"publications do not count", store.Limits{Values: 1, ValueBytes: 11, EntryBytes: 11}, testLimitPublications},
		{"none", unlimited(), testLimitNone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, tt.limits)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close() = %v", err)
				}
			})
			tt.test(t, s)
		})
	}
}

// unlimited are no limits at all.
func unlimited() store.Limits {
	return store.Limits{
		Values: -1, ValueBytes: -1, Providers: -1, ProviderBytes: -1, ProvidersPerKey: -1, EntryBytes: -1,
	}
}

// ten is a value that takes eleven bytes with a key of one.
func ten(received, expires time.Time) store.Value {
	return store.Value{Data: []byte("0123456789"), Received: received, Expires: expires}
}

// peer is an announcement that takes eleven bytes with a key of one.
func peer(id string, received, expires time.Time) store.Provider {
	return store.Provider{ID: id, Addrs: []byte("012345"), Received: received, Expires: expires}
}

// wantKeyFull checks that a key, and not the store, is full.
func wantKeyFull(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrKeyFull) || !errors.Is(err, store.ErrFull) {
		t.Errorf("error is %v, want ErrKeyFull, which is an ErrFull", err)
	}
}

func wantFull(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrKeyFull) {
		t.Errorf("error is %v, want ErrFull, and not ErrKeyFull", err)
	}
}

func testLimitValues(t *testing.T, s store.Store) {
	put(t, s, "a", ten(at(0), at(10)))
	put(t, s, "b", ten(at(0), at(20)))
	put(t, s, "c", ten(at(0), time.Time{}))
	if err := update(t.Context(), s, "d", ten(at(1), at(100))); !errors.Is(err, store.ErrFull) {
		t.Errorf("UpdateValue() = %v, want ErrFull", err)
	}
	wantLen(t, s, 3, 0)
	for _, key := range []string{"a", "b", "c"} {
		wantValue(t, s, key, at(9), "0123456789")
	}
	put(t, s, "b", ten(at(9), at(20)))   // a replacement fits
	put(t, s, "d", ten(at(10), at(100))) // so does what takes the place of an expired one
	wantNoValue(t, s, "a", time.Time{})
	put(t, s, "b", ten(at(20), at(100))) // which may be its predecessor
	announce(t, s, "a", peer("ann1", at(0), time.Time{}))
	wantLen(t, s, 3, 1)
	if err := s.DeleteValue(t.Context(), []byte("d")); err != nil {
		t.Errorf("DeleteValue() = %v", err)
	}
	put(t, s, "e", ten(at(20), at(100)))
}

func testLimitGrowth(t *testing.T, s store.Store) {
	for _, key := range []string{"a", "b", "c"} {
		put(t, s, key, ten(at(0), at(10)))
	}
	larger := store.Value{Data: []byte("0123456789X"), Received: at(1), Expires: at(10)}
	if err := update(t.Context(), s, "a", larger); !errors.Is(err, store.ErrFull) {
		t.Errorf("UpdateValue() = %v, want ErrFull", err)
	}
	wantValue(t, s, "a", at(1), "0123456789")
	put(t, s, "b", store.Value{Received: at(1), Expires: at(10)})
	put(t, s, "a", larger)
	wantLen(t, s, 3, 0)
}

func testLimitProviders(t *testing.T, s store.Store) {
	announce(t, s, "a", peer("ann1", at(0), at(10)))
	announce(t, s, "a", peer("bob1", at(0), at(20)))
	announce(t, s, "b", peer("ann1", at(0), time.Time{}))
	for _, key := range []string{"a", "b", "c"} {
		if err := s.AddProvider(t.Context(), []byte(key), peer("cat1", at(1), at(100))); !errors.Is(err, store.ErrFull) {
			t.Errorf("AddProvider(%q) = %v, want ErrFull", key, err)
		}
	}
	wantLen(t, s, 0, 3)
	announce(t, s, "a", peer("ann1", at(1), at(10)))   // a renewal fits
	announce(t, s, "c", peer("cat1", at(10), at(100))) // so does what takes the place of an expired one
	wantProviders(t, s, "a", time.Time{}, 0, "bob1")
	put(t, s, "a", ten(at(0), time.Time{}))
	wantLen(t, s, 1, 3)
	if err := s.RemoveProvider(t.Context(), []byte("b"), "ann1"); err != nil {
		t.Errorf("RemoveProvider() = %v", err)
	}
	announce(t, s, "b", peer("dan1", at(10), at(100)))
}

func testLimitPerKey(t *testing.T, s store.Store) {
	announce(t, s, "a", peer("ann1", at(0), at(30)))
	announce(t, s, "a", peer("bob1", at(1), at(20)))
	announce(t, s, "a", peer("cat1", at(2), at(30)))
	announce(t, s, "a", peer("dan1", at(3), at(40)))
	wantProviders(t, s, "a", at(3), 0, "dan1", "cat1", "ann1") // the one that expires first has yielded
	announce(t, s, "a", peer("ann1", at(4), at(30)))           // a renewal makes nobody yield
	wantProviders(t, s, "a", at(4), 0, "ann1", "dan1", "cat1")
	announce(t, s, "a", peer("eve1", at(5), at(30))) // among equals, the one received first
	wantProviders(t, s, "a", at(5), 0, "eve1", "ann1", "dan1")
	wantLen(t, s, 0, 3)
	wantExpire(t, s, at(29), 0, 0, at(30))
}

// Of a full key, the origin with the most announcements makes room, whatever expires first.
func testLimitOrigins(t *testing.T, s store.Store) {
	of := func(origin uint64, id string, received, expires int) store.Provider {
		p := peer(id, at(received), at(expires))
		p.Origin = origin
		return p
	}
	announce(t, s, "a", of(1, "ann1", 0, 10))
	announce(t, s, "a", of(2, "bob1", 1, 90))
	announce(t, s, "a", of(2, "bob2", 2, 80))
	announce(t, s, "a", of(3, "cat1", 3, 20)) // one of origin 2 makes room, though it expires later
	wantProviders(t, s, "a", at(3), 0, "cat1", "bob1", "ann1")
	announce(t, s, "a", of(2, "bob3", 4, 95)) // origin 2 has had its share: it takes its own place
	wantProviders(t, s, "a", at(4), 0, "bob3", "cat1", "ann1")
	wantKeyFull(t, s.AddProvider(t.Context(), []byte("a"), of(2, "bob4", 5, 15)))
	announce(t, s, "a", of(0, "dan1", 6, 90)) // all are alone: the one that expires first
	wantProviders(t, s, "a", at(6), 0, "dan1", "bob3", "cat1")
	announce(t, s, "a", of(0, "eve1", 7, 90)) // an origin of its own
	wantProviders(t, s, "a", at(7), 0, "eve1", "dan1", "bob3")
	p, err := s.Provider(t.Context(), []byte("a"), "bob3", at(7))
	if err != nil || p.Origin != 2 {
		t.Errorf("Provider() has origin %d, %v", p.Origin, err)
	}
	all, err := s.Providers(t.Context(), []byte("a"), at(7), 0)
	if err != nil || all[2].Origin != 2 || all[0].Origin != 0 {
		t.Errorf("Providers() = %v, %v; want their origins", all, err)
	}
}

func testLimitStay(t *testing.T, s store.Store) {
	announce(t, s, "a", peer("ann1", at(0), at(10)))
	announce(t, s, "a", peer("self", at(0), time.Time{}))
	announce(t, s, "a", peer("bob1", at(0), at(20)))
	wantKeyFull(t, s.AddProvider(t.Context(), []byte("a"), peer("cat1", at(1), at(9)))) // it would expire first
	announce(t, s, "a", peer("dan1", at(1), time.Time{}))
	announce(t, s, "a", peer("eve1", at(2), time.Time{}))
	wantProviders(t, s, "a", at(2), 2, "eve1", "dan1")
	wantKeyFull(t, s.AddProvider(t.Context(), []byte("a"), peer("fay1", at(3), time.Time{}))) // none of them expires
	announce(t, s, "b", peer("fay1", at(3), time.Time{}))                                     // another key has room
	wantProviders(t, s, "a", at(3), 0, "eve1", "dan1", "self")
}

func testLimitBytesPerKey(t *testing.T, s store.Store) {
	announce(t, s, "a", peer("ann1", at(0), at(10)))
	announce(t, s, "a", peer("bob1", at(1), at(20)))
	announce(t, s, "a", peer("cat1", at(2), at(30)))
	large := peer("dan1", at(3), at(40))
	large.Addrs = []byte("0123456")
	if err := s.AddProvider(t.Context(), []byte("a"), large); !errors.Is(err, store.ErrFull) {
		t.Errorf("AddProvider() = %v, want ErrFull", err)
	}
	wantProviders(t, s, "a", at(3), 0, "cat1", "bob1", "ann1")
	large.Received = at(10) // ann has expired, and still there is no room
	if err := s.AddProvider(t.Context(), []byte("a"), large); !errors.Is(err, store.ErrFull) {
		t.Errorf("AddProvider() = %v, want ErrFull", err)
	}
	wantProviders(t, s, "a", at(10), 0, "cat1", "bob1")
}

func testLimitEntry(t *testing.T, s store.Store) {
	put(t, s, "a", ten(at(0), time.Time{}))
	announce(t, s, "a", peer("ann1", at(0), time.Time{}))
	if err := update(t.Context(), s, "aa", ten(at(0), time.Time{})); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("UpdateValue() = %v, want ErrTooLarge", err)
	}
	if err := s.AddProvider(t.Context(), []byte("aa"), peer("ann1", at(0), time.Time{})); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("AddProvider() = %v, want ErrTooLarge", err)
	}
	if err := update(t.Context(), s, "a", store.Value{Data: []byte("0123456789X")}); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("UpdateValue() = %v, want ErrTooLarge", err)
	}
	wantValue(t, s, "a", at(0), "0123456789")
	wantLen(t, s, 1, 1)
}

func testLimitNone(t *testing.T, s store.Store) {
	for i := range 300 {
		announce(t, s, "a", store.Provider{ID: id(i), Received: at(i)})
	}
	put(t, s, "a", store.Value{Data: []byte(strings.Repeat("x", 100_000))})
	wantLen(t, s, 1, 300)
}
