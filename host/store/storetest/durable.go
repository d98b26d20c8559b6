package storetest

import (
	"testing"
	"time"

	"github.com/go-kad/kad/host/store"
)

// RunDurable checks that stores outlive their closing. Each call of medium returns
// a function that opens a store on one medium, which is empty the first time,
// with limits. RunDurable closes the store before it opens it again.
func RunDurable(t *testing.T, medium func(t *testing.T) (open func(l store.Limits) store.Store)) {
	tests := []struct {
		name string
		test func(t *testing.T, open func(l store.Limits) store.Store)
	}{
		{"everything is there", testDurableEverything},
		{"what is gone stays gone", testDurableGone},
		{"limits count what was there", testDurableLimits},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, medium(t)) })
	}
}

func closeStore(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close() = %v", err)
	}
}

func testDurableEverything(t *testing.T, open func(l store.Limits) store.Store) {
	s := open(store.Limits{})
	for i, key := range odd() {
		put(t, s, key, store.Value{Data: []byte("v"), Publisher: []byte("ann"), Received: at(i), Expires: at(100 + i)})
		announce(t, s, key, store.Provider{ID: "ann", Addrs: []byte("addr"), Received: at(0)})
		announce(t, s, key, store.Provider{ID: "bob", Received: at(1), Expires: at(50)})
		p := store.Publication{Kind: store.KindProvider, Key: []byte(key), Data: []byte("d"), Next: at(i)}
		if err := s.Publish(t.Context(), p); err != nil {
			t.Fatalf("Publish() = %v", err)
		}
	}
	for range 2 {
		closeStore(t, s)
		s = open(store.Limits{})
		wantLen(t, s, len(odd()), 2*len(odd()))
		for i, key := range odd() {
			v, err := s.Value(t.Context(), []byte(key), at(0))
			if err != nil || string(v.Data) != "v" || string(v.Publisher) != "ann" || !v.Received.Equal(at(i)) || !v.Expires.Equal(at(100+i)) {
				t.Errorf("Value(%q) = %v, %v; want what was put in", key, v, err)
			}
			wantProviders(t, s, key, at(0), 0, "bob", "ann")
			wantProviders(t, s, key, at(50), 0, "ann")
		}
		wantKeys(t, allPublications(t, s, store.KindProvider, 3), odd())
		ps, err := s.Publications(t.Context(), store.KindProvider, nil, 1)
		if err != nil || len(ps) != 1 || string(ps[0].Data) != "d" {
			t.Errorf("Publications() = %v, %v", ps, err)
		}
	}
	wantExpire(t, s, at(50), 0, len(odd()), at(100))
	wantLen(t, s, len(odd()), len(odd()))
	closeStore(t, s)
}

func testDurableGone(t *testing.T, open func(l store.Limits) store.Store) {
	s := open(store.Limits{})
	for _, key := range []string{"deleted", "expired", "kept"} {
		v := store.Value{Data: []byte("old"), Received: at(0), Expires: at(10)}
		put(t, s, key, v)
		announce(t, s, key, store.Provider{ID: "ann", Received: at(0), Expires: at(10)})
		if err := s.Publish(t.Context(), store.Publication{Kind: store.KindValue, Key: []byte(key)}); err != nil {
			t.Fatalf("Publish() = %v", err)
		}
	}
	put(t, s, "kept", store.Value{Data: []byte("new"), Received: at(1)})
	announce(t, s, "kept", store.Provider{ID: "ann", Received: at(1)})
	if err := s.DeleteValue(t.Context(), []byte("deleted")); err != nil {
		t.Fatalf("DeleteValue() = %v", err)
	}
	if err := s.RemoveProvider(t.Context(), []byte("deleted"), "ann"); err != nil {
		t.Fatalf("RemoveProvider() = %v", err)
	}
	if err := s.Unpublish(t.Context(), store.KindValue, []byte("deleted")); err != nil {
		t.Fatalf("Unpublish() = %v", err)
	}
	wantExpire(t, s, at(10), 0, 2, time.Time{})
	closeStore(t, s)

	s = open(store.Limits{})
	wantKeys(t, allValues(t, s, time.Time{}, 0), []string{"kept"})
	wantKeys(t, allProviderKeys(t, s, time.Time{}, 0), []string{"kept"})
	wantKeys(t, allPublications(t, s, store.KindValue, 0), []string{"expired", "kept"})
	wantValue(t, s, "kept", at(100), "new")
	wantExpire(t, s, at(1000), 0, 0, time.Time{})
	wantLen(t, s, 1, 1)
	closeStore(t, s)
}

func testDurableLimits(t *testing.T, open func(l store.Limits) store.Store) {
	limits := store.Limits{Values: 2, ProviderBytes: 22, ProvidersPerKey: 1}
	s := open(limits)
	put(t, s, "a", ten(at(0), at(10)))
	put(t, s, "b", ten(at(0), time.Time{}))
	announce(t, s, "a", peer("ann1", at(0), at(10)))
	known := peer("ann1", at(0), at(20))
	known.Origin = 1 << 40
	announce(t, s, "b", known)
	closeStore(t, s)

	s = open(limits)
	wantFull(t, update(t.Context(), s, "c", ten(at(1), time.Time{})))
	wantFull(t, s.AddProvider(t.Context(), []byte("c"), peer("ann1", at(1), at(30))))
	announce(t, s, "a", peer("bob1", at(1), at(30))) // another one yields
	put(t, s, "c", ten(at(10), time.Time{}))         // takes the place of what has expired
	wantKeys(t, allValues(t, s, time.Time{}, 0), []string{"b", "c"})
	wantProviders(t, s, "a", at(1), 0, "bob1")
	if p, err := s.Provider(t.Context(), []byte("b"), "ann1", at(1)); err != nil || p.Origin != 1<<40 {
		t.Errorf("Provider() has origin %d, %v", p.Origin, err)
	}
	closeStore(t, s)
}
