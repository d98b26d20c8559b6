package storetest

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-kad/kad/host/store"
)

// nearest is a key that is at no distance from self, the hash of it.
const nearest = "nearest"

func self() [32]byte { return sha256.Sum256([]byte(nearest)) }

// distance returns the first 8 bytes of the distance between self and a key.
func distance(key string) uint64 {
	a, b := self(), sha256.Sum256([]byte(key))
	return binary.BigEndian.Uint64(a[:]) ^ binary.BigEndian.Uint64(b[:])
}

// wantShed checks whether s sheds an entry for key.
func wantShed(t *testing.T, s store.Store, kind store.Kind, key string, want bool) {
	t.Helper()
	if shed, err := s.Shed(t.Context(), kind, self(), []byte(key)); err != nil || shed != want {
		t.Fatalf("Shed(%d, %q) = %v, %v; want %v", kind, key, shed, err, want)
	}
}

// farFirst returns n keys, the farthest from self first.
func farFirst(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "key" + strconv.Itoa(i)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(distance(b), distance(a)) })
	return keys
}

func testShed(t *testing.T, s store.Store) {
	wantShed(t, s, store.KindValue, nearest, false)
	wantShed(t, s, store.KindProvider, nearest, false)
	const n = 60
	atOnce(n, func(i int) {
		key := "key" + strconv.Itoa(i)
		err := errors.Join(
			update(t.Context(), s, key, store.Value{Received: at(0), Expires: at(10)}),
			s.AddProvider(t.Context(), []byte(key), store.Provider{ID: "ann", Received: at(0), Expires: at(10)}))
		if err != nil {
			t.Errorf("UpdateValue(), AddProvider() = %v", err)
		}
	})
	keys := farFirst(n)
	for i := range keys {
		wantShed(t, s, store.KindValue, nearest, true)
		if i%20 == 0 || i > n-5 {
			wantKeys(t, allValues(t, s, at(0), 0), keys[i+1:])
		}
	}
	wantShed(t, s, store.KindValue, nearest, false)
	wantLen(t, s, 0, n)
	for i := range keys {
		wantShed(t, s, store.KindProvider, nearest, true)
		wantProviders(t, s, keys[i], time.Time{}, 0)
		wantLen(t, s, 0, n-1-i)
	}
	wantShed(t, s, store.KindProvider, nearest, false)
	wantExpire(t, s, at(10), 0, 0, time.Time{})
}

func testShedNot(t *testing.T, s store.Store) {
	keys := farFirst(20)
	for i, key := range keys {
		v := store.Value{Received: at(0), Expires: at(10)}
		p := store.Provider{ID: "ann", Received: at(0), Expires: at(10)}
		if i == 0 || i == 7 {
			v.Expires, p.Expires = time.Time{}, time.Time{}
		}
		put(t, s, key, v)
		announce(t, s, key, p)
	}
	for i := 1; i < 10; i++ {
		if i == 7 {
			continue
		}
		for _, kind := range []store.Kind{store.KindValue, store.KindProvider} {
			wantShed(t, s, kind, keys[i-1], false) // only others are farther, or it never expires
			wantShed(t, s, kind, keys[i], false)   // it is itself
			wantShed(t, s, kind, keys[i+1], true)
		}
		wantNoValue(t, s, keys[i], time.Time{})
		wantProviders(t, s, keys[i], time.Time{}, 0)
	}
	left := append([]string{keys[0], keys[7]}, keys[10:]...)
	wantKeys(t, allValues(t, s, at(0), 0), left)
	wantKeys(t, allProviderKeys(t, s, at(0), 0), left)
	wantLen(t, s, 12, 12)
}

func testShedAnnouncement(t *testing.T, s store.Store) {
	keys := farFirst(3)
	for _, key := range keys {
		announce(t, s, key, store.Provider{ID: "self", Received: at(0)})
		announce(t, s, key, store.Provider{ID: "late", Received: at(1), Expires: at(30)})
		announce(t, s, key, store.Provider{ID: "soon", Received: at(4), Expires: at(20)})
		announce(t, s, key, store.Provider{ID: "then", Received: at(3), Expires: at(30)})
	}
	for i, ids := range [][]string{{"then", "late", "self"}, {"then", "self"}, {"self"}} {
		wantShed(t, s, store.KindProvider, nearest, true)
		wantProviders(t, s, keys[0], at(0), 0, ids...)
		wantLen(t, s, 0, 11-i)
	}
	wantShed(t, s, store.KindProvider, nearest, true)
	wantProviders(t, s, keys[1], at(0), 0, "then", "late", "self")
}

func testLimitShed(t *testing.T, s store.Store) {
	keys := []string{"a", "b", "c", "d"}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(distance(b), distance(a)) })
	for _, key := range []string{keys[2], keys[0], keys[1]} {
		put(t, s, key, ten(at(0), at(10)))
		announce(t, s, key, peer("ann1", at(0), at(10)))
	}
	wantFull(t, update(t.Context(), s, keys[3], ten(at(1), at(10))))
	wantFull(t, s.AddProvider(t.Context(), []byte(keys[3]), peer("ann1", at(1), at(10))))
	wantShed(t, s, store.KindValue, keys[3], true)
	wantShed(t, s, store.KindProvider, keys[3], true)
	put(t, s, keys[3], ten(at(1), at(10)))
	announce(t, s, keys[3], peer("ann1", at(1), at(10)))
	wantKeys(t, allValues(t, s, at(1), 0), keys[1:])
	wantKeys(t, allProviderKeys(t, s, at(1), 0), keys[1:])
	wantFull(t, update(t.Context(), s, keys[0], ten(at(1), at(10)))) // the farthest finds no room
	wantShed(t, s, store.KindValue, keys[0], false)
	wantLen(t, s, 3, 3)
}
