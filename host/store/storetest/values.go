package storetest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-kad/kad/host/store"
)

func testValueMissing(t *testing.T, s store.Store) {
	wantNoValue(t, s, "key", at(0))
	wantNoValue(t, s, "key", time.Time{})
	wantLen(t, s, 0, 0)
}

func testValueKeys(t *testing.T, s store.Store) {
	for i, key := range keys() {
		put(t, s, string(key), store.Value{Data: []byte(strconv.Itoa(i)), Received: at(i)})
	}
	for i, key := range keys() {
		wantValue(t, s, string(key), at(0), strconv.Itoa(i))
	}
	wantLen(t, s, len(keys()), 0)
}

func testValueNoData(t *testing.T, s store.Store) {
	put(t, s, "nil", store.Value{Received: at(0)})
	put(t, s, "empty", store.Value{Data: []byte{}, Received: at(0)})
	wantValue(t, s, "nil", at(0), "")
	wantValue(t, s, "empty", at(0), "")
}

func testValueExpiry(t *testing.T, s store.Store) {
	put(t, s, "key", store.Value{Data: []byte("v"), Received: at(0), Expires: at(10)})
	put(t, s, "forever", store.Value{Data: []byte("v"), Received: at(0)})
	wantValue(t, s, "key", at(9), "v")
	wantNoValue(t, s, "key", at(10))
	wantNoValue(t, s, "key", at(1000))
	wantValue(t, s, "key", time.Time{}, "v") // not swept yet
	wantValue(t, s, "forever", at(1_000_000_000), "v")
	wantExpire(t, s, at(10), 0, 1, time.Time{})
	wantNoValue(t, s, "key", time.Time{})
}

func testValueDelete(t *testing.T, s store.Store) {
	put(t, s, "key", store.Value{Received: at(0), Expires: at(10)})
	put(t, s, "other", store.Value{Received: at(0)})
	for range 2 { // the second finds nothing
		if err := s.DeleteValue(t.Context(), []byte("key")); err != nil {
			t.Errorf("DeleteValue() = %v", err)
		}
	}
	wantNoValue(t, s, "key", at(0))
	wantValue(t, s, "other", at(0), "")
	wantExpire(t, s, at(10), 0, 0, time.Time{})
	wantLen(t, s, 1, 0)
}

func testUpdateSeesCurrent(t *testing.T, s store.Store) {
	want := store.Value{Data: []byte("one"), Received: at(1), Expires: at(10)}
	err := s.UpdateValue(t.Context(), []byte("key"), at(1), func(current store.Value, ok bool) (store.Value, error) {
		if ok || len(current.Data) != 0 || !current.Received.IsZero() || !current.Expires.IsZero() {
			t.Errorf("f was given %v, %v; want nothing", current, ok)
		}
		return want, nil
	})
	if err != nil {
		t.Fatalf("UpdateValue() = %v", err)
	}
	err = s.UpdateValue(t.Context(), []byte("key"), at(2), func(got store.Value, ok bool) (store.Value, error) {
		if !ok || string(got.Data) != "one" || !got.Received.Equal(want.Received) || !got.Expires.Equal(want.Expires) {
			t.Errorf("f was given %v, %v; want %v", got, ok, want)
		}
		return store.Value{Data: []byte("two"), Received: at(2)}, nil
	})
	if err != nil {
		t.Fatalf("UpdateValue() = %v", err)
	}
	wantValue(t, s, "key", at(100), "two")
	wantLen(t, s, 1, 0)
}

func testUpdateError(t *testing.T, s store.Store) {
	older := errors.New("older")
	refuse := func(store.Value, bool) (store.Value, error) {
		return store.Value{Data: []byte("refused")}, older
	}
	put(t, s, "key", store.Value{Data: []byte("v"), Received: at(0), Expires: at(10)})
	for _, key := range []string{"key", "none"} {
		//nolint:errorlint // the contract is that it is this very error
		if err := s.UpdateValue(t.Context(), []byte(key), at(0), refuse); err != older {
			t.Errorf("UpdateValue(%q) = %v, want the error of f as it is", key, err)
		}
	}
	wantValue(t, s, "key", at(0), "v")
	wantNoValue(t, s, "none", at(0))
	wantExpire(t, s, at(0), 0, 0, at(10))
	wantLen(t, s, 1, 0)
}

func testUpdateExpired(t *testing.T, s store.Store) {
	seen := func(now time.Time) (ok bool) {
		enough := errors.New("enough")
		err := s.UpdateValue(t.Context(), []byte("key"), now, func(current store.Value, found bool) (store.Value, error) {
			ok = found
			if !ok && len(current.Data) != 0 {
				t.Errorf("f was given %q, which has expired", current.Data)
			}
			return store.Value{}, enough
		})
		if !errors.Is(err, enough) {
			t.Errorf("UpdateValue() = %v", err)
		}
		return ok
	}
	put(t, s, "key", store.Value{Data: []byte("v"), Received: at(0), Expires: at(10)})
	if !seen(at(9)) || seen(at(10)) || !seen(time.Time{}) {
		t.Errorf("UpdateValue() sees the value %v, %v, %v; want only before it expires and at the zero time",
			seen(at(9)), seen(at(10)), seen(time.Time{}))
	}
	put(t, s, "key", store.Value{Data: []byte("w"), Received: at(20), Expires: at(30)})
	wantValue(t, s, "key", at(20), "w")
	wantLen(t, s, 1, 0)
}

// Writers put records with sequence numbers, each refusing to go back. In the
// end every key holds the highest, and no reader ever saw one go back.
func testUpdateConcurrent(t *testing.T, s store.Store) {
	const writers, rounds, nkeys = 4, 100, 3
	older := errors.New("older")
	putSeq := func(ctx context.Context, key string, seq int) error {
		return s.UpdateValue(ctx, []byte(key), at(0), func(current store.Value, ok bool) (store.Value, error) {
			if ok && seqOf(t, current) > seq {
				return store.Value{}, older
			}
			return store.Value{Data: []byte(strconv.Itoa(seq)), Received: at(0)}, nil
		})
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				for k := range nkeys {
					if err := putSeq(t.Context(), strconv.Itoa(k), i*writers+w); err != nil && !errors.Is(err, older) {
						t.Errorf("UpdateValue() = %v", err)
					}
				}
			}
		})
	}
	wg.Go(func() {
		last := -1
		for range rounds {
			v, err := s.Value(t.Context(), []byte("0"), at(0))
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if seq := seqOf(t, v); err != nil || seq < last {
				t.Errorf("Value() = %d, %v after %d", seq, err, last)
			} else {
				last = seq
			}
		}
	})
	wg.Wait()
	for k := range nkeys {
		wantValue(t, s, strconv.Itoa(k), at(0), strconv.Itoa(rounds*writers-1))
	}
}

// Increments of a counter: one that is lost shows.
func testUpdateCounter(t *testing.T, s store.Store) {
	const writers, rounds = 4, 100
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range rounds {
				err := s.UpdateValue(t.Context(), []byte("n"), at(0), func(current store.Value, ok bool) (store.Value, error) {
					n := 0
					if ok {
						n = seqOf(t, current)
					}
					return store.Value{Data: []byte(strconv.Itoa(n + 1)), Received: at(0)}, nil
				})
				if err != nil {
					t.Errorf("UpdateValue() = %v", err)
				}
			}
		})
	}
	wg.Wait()
	wantValue(t, s, "n", at(0), strconv.Itoa(writers*rounds))
}

// seqOf returns the number that v holds.
func seqOf(t *testing.T, v store.Value) int {
	n, err := strconv.Atoi(string(v.Data))
	if err != nil {
		t.Errorf("the value is %q, want a number", v.Data)
	}
	return n
}
