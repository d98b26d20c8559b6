package storetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-kad/kad/host/store"
)

// allValues iterates over the values in batches of limit, and returns their keys,
// sorted. It fails if a key comes twice or out of order, or a batch is too long.
func allValues(t *testing.T, s store.Store, now time.Time, limit int) []string {
	t.Helper()
	return slices.Sorted(slices.Values(valuesFrom(t, s, now, nil, limit)))
}

// valuesFrom is allValues from a place on, in the order in which they come.
func valuesFrom(t *testing.T, s store.Store, now time.Time, from []byte, limit int) []string {
	t.Helper()
	return inOrder(t, from, all(t, limit, func(after []byte) (keys [][]byte) {
		batch, err := s.Values(t.Context(), now, goOn(from, after), limit)
		if err != nil {
			t.Fatalf("Values() = %v", err)
		}
		for _, v := range batch {
			keys = append(keys, v.Key)
		}
		return keys
	}))
}

func allProviderKeys(t *testing.T, s store.Store, now time.Time, limit int) []string {
	t.Helper()
	return slices.Sorted(slices.Values(providerKeysFrom(t, s, now, nil, limit)))
}

func providerKeysFrom(t *testing.T, s store.Store, now time.Time, from []byte, limit int) []string {
	t.Helper()
	return inOrder(t, from, all(t, limit, func(after []byte) [][]byte {
		keys, err := s.ProviderKeys(t.Context(), now, goOn(from, after), limit)
		if err != nil {
			t.Fatalf("ProviderKeys() = %v", err)
		}
		return keys
	}))
}

// goOn returns where an iteration goes on that has begun at from.
func goOn(from, after []byte) []byte {
	if after == nil {
		return from
	}
	return store.After(after)
}

// inOrder returns keys, and fails unless they are in the order of the key
// space, and none is before from.
func inOrder(t *testing.T, from []byte, keys []string) []string {
	t.Helper()
	for _, key := range keys {
		place := store.Place([]byte(key))
		if bytes.Compare(place, from) < 0 {
			t.Fatalf("%q comes at %x, which is before %x", key, place, from)
		}
		from = append(place, 0)
	}
	return keys
}

func allPublications(t *testing.T, s store.Store, kind store.Kind, limit int) []string {
	t.Helper()
	return slices.Sorted(slices.Values(all(t, limit, func(after []byte) (keys [][]byte) {
		batch, err := s.Publications(t.Context(), kind, after, limit)
		if err != nil {
			t.Fatalf("Publications() = %v", err)
		}
		for _, p := range batch {
			if p.Kind != kind {
				t.Errorf("Publications(%d) returns one of kind %d", kind, p.Kind)
			}
			keys = append(keys, p.Key)
		}
		return keys
	})))
}

// all calls next until it returns no keys, with the last key before, and
// returns all keys as they come.
func all(t *testing.T, limit int, next func(after []byte) [][]byte) []string {
	t.Helper()
	var keys []string
	var after []byte
	for {
		batch := next(after)
		if len(batch) == 0 {
			break
		}
		if limit > 0 && len(batch) > limit {
			t.Fatalf("a batch has %d entries, want %d at most", len(batch), limit)
		}
		for _, key := range batch {
			keys = append(keys, string(key))
		}
		if after = batch[len(batch)-1]; after == nil {
			t.Fatal("a key is nil, where it should be empty")
		}
		if len(keys) > 10_000 {
			t.Fatal("the iteration does not end")
		}
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(keys)))); n != len(keys) {
		t.Fatalf("%d of %d keys came more than once", len(keys)-n, len(keys))
	}
	return keys
}

// wantKeys checks what an iteration returned.
func wantKeys(t *testing.T, got, want []string) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("the iteration returned %q, want %q", got, want)
	}
}

// odd are the keys of which there are more than one may think, as strings.
func odd() []string {
	found := []string{""}
	for _, key := range keys() {
		found = append(found, string(key))
	}
	return found
}

func testPublisher(t *testing.T, s store.Store) {
	id := []byte("the publisher")
	put(t, s, "key", store.Value{Data: []byte("v"), Publisher: id, Received: at(0)})
	id[0] = 'X'
	for range 2 {
		v, err := s.Value(t.Context(), []byte("key"), at(0))
		if err != nil || string(v.Publisher) != "the publisher" || string(v.Data) != "v" {
			t.Fatalf("Value() = %v, %v; want it with its publisher", v, err)
		}
		v.Publisher[0] = 'Y'
	}
	put(t, s, "key", store.Value{Data: []byte("v"), Received: at(0)})
	if v, err := s.Value(t.Context(), []byte("key"), at(0)); err != nil || len(v.Publisher) != 0 {
		t.Errorf("Value() = %v, %v; want it without publisher", v, err)
	}
}

func testValues(t *testing.T, s store.Store) {
	wantKeys(t, allValues(t, s, at(0), 3), nil)
	for _, key := range odd() {
		put(t, s, key, store.Value{Data: []byte("v of " + key), Publisher: []byte("ann"), Received: at(1), Expires: at(10)})
		announce(t, s, key, store.Provider{ID: "ann", Received: at(0)})
	}
	put(t, s, "late", store.Value{Received: at(1), Expires: at(20)})
	for _, limit := range []int{1, 3, 0, -1, 100} {
		wantKeys(t, allValues(t, s, at(9), limit), append(odd(), "late"))
		wantKeys(t, allValues(t, s, at(10), limit), []string{"late"})
		wantKeys(t, allValues(t, s, at(20), limit), nil)
		wantKeys(t, allValues(t, s, time.Time{}, limit), append(odd(), "late"))
	}
	batch, err := s.Values(t.Context(), at(1), []byte{}, 100)
	if err != nil || len(batch) != len(odd())+1 {
		t.Fatalf("Values() = %d, %v", len(batch), err)
	}
	for _, v := range batch {
		if string(v.Key) == "late" {
			continue
		}
		if string(v.Data) != "v of "+string(v.Key) || string(v.Publisher) != "ann" || !v.Received.Equal(at(1)) || !v.Expires.Equal(at(10)) {
			t.Errorf("Values() has %v, want what was put in", v)
		}
		if len(v.Data) > 0 {
			v.Data[0] = 'X'
		}
	}
	wantValue(t, s, "a", at(1), "v of a")
}

func testValuesLarge(t *testing.T, s store.Store) {
	for i := range 5 {
		put(t, s, id(i), store.Value{Data: bytes.Repeat([]byte("x"), 400_000), Received: at(0)})
	}
	batch, err := s.Values(t.Context(), at(0), nil, 5)
	if err != nil || len(batch) != 3 {
		t.Errorf("Values() = %d, %v; want the three that pass 1 MiB together", len(batch), err)
	}
	if got := allValues(t, s, at(0), 0); len(got) != 5 {
		t.Errorf("the iteration returned %q, want all", got)
	}
}

func testProviderKeysBatches(t *testing.T, s store.Store) {
	wantKeys(t, allProviderKeys(t, s, at(0), 3), nil)
	for i, key := range odd() {
		announce(t, s, key, store.Provider{ID: "ann", Received: at(0), Expires: at(10)})
		announce(t, s, key, store.Provider{ID: "\xff\xff", Received: at(0), Expires: at(10)})
		if i%2 == 0 {
			announce(t, s, key, store.Provider{ID: "bob", Received: at(0), Expires: at(20)})
		}
		put(t, s, key+"!", store.Value{Received: at(0)})
	}
	var half []string
	for i, key := range odd() {
		if i%2 == 0 {
			half = append(half, key)
		}
	}
	for _, limit := range []int{1, 3, 0, 100} {
		wantKeys(t, allProviderKeys(t, s, at(9), limit), odd())
		wantKeys(t, allProviderKeys(t, s, at(10), limit), half)
		wantKeys(t, allProviderKeys(t, s, at(20), limit), nil)
		wantKeys(t, allProviderKeys(t, s, time.Time{}, limit), odd())
	}
}

// atOnce calls f with 0 to n-1, from many goroutines, so that a store that
// waits for a disk can do so for many.
func atOnce(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// Keys come in the order of the key space, from any place on.
func testOrder(t *testing.T, s store.Store) {
	const n = 300
	keys := odd()
	for i := range n {
		keys = append(keys, "key"+strconv.Itoa(i))
	}
	atOnce(len(keys), func(i int) {
		err := errors.Join(
			update(t.Context(), s, keys[i], store.Value{Received: at(0)}),
			s.AddProvider(t.Context(), []byte(keys[i]), store.Provider{ID: "ann", Received: at(0)}),
			s.AddProvider(t.Context(), []byte(keys[i]), store.Provider{ID: "bob", Received: at(0)}))
		if err != nil {
			t.Errorf("UpdateValue(), AddProvider() = %v", err)
		}
	})
	slices.SortFunc(keys, func(a, b string) int { return bytes.Compare(store.Place([]byte(a)), store.Place([]byte(b))) })
	froms := [][]byte{nil, {}, {0}, {0x80}, {0x7f, 0xff, 0xff}, bytes.Repeat([]byte{0xff}, 8), bytes.Repeat([]byte{0xff}, 100)}
	for _, key := range []string{"", "key7", "key8", "not there", keys[0], keys[len(keys)-1]} {
		hash, place := sha256.Sum256([]byte(key)), store.Place([]byte(key))
		froms = append(froms, hash[:1], hash[:2], hash[:7], hash[:8], hash[:], place, append(place, 0), append(place, 0xff))
	}
	for _, from := range froms {
		var want []string
		for _, key := range keys {
			if bytes.Compare(store.Place([]byte(key)), from) >= 0 {
				want = append(want, key)
			}
		}
		for _, limit := range []int{0, 100} {
			if got := valuesFrom(t, s, at(0), from, limit); !slices.Equal(got, want) {
				t.Errorf("from %x on, there are %d values, want %d", from, len(got), len(want))
			}
			if got := providerKeysFrom(t, s, at(0), from, limit); !slices.Equal(got, want) {
				t.Errorf("from %x on, there are %d keys with providers, want %d", from, len(got), len(want))
			}
		}
	}
}

// What is held all the time is returned, whatever comes and goes meanwhile; the
// key after which it goes on may be gone.
func testBatchesChange(t *testing.T, s store.Store) {
	const n = 100
	var stay []string
	for i := range n {
		stay = append(stay, "stay"+strconv.Itoa(i))
		put(t, s, stay[i], store.Value{Received: at(0)})
		announce(t, s, stay[i], store.Provider{ID: "ann", Received: at(0)})
		put(t, s, "goes"+strconv.Itoa(i), store.Value{Received: at(0)})
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			if err := s.DeleteValue(t.Context(), []byte("goes"+strconv.Itoa(i))); err != nil {
				t.Errorf("DeleteValue() = %v", err)
			}
			if err := update(t.Context(), s, "new"+strconv.Itoa(i), store.Value{Received: at(0)}); err != nil {
				t.Errorf("UpdateValue() = %v", err)
			}
			if err := s.AddProvider(t.Context(), []byte(stay[i]), store.Provider{ID: "bob", Received: at(0)}); err != nil {
				t.Errorf("AddProvider() = %v", err)
			}
		}
	})
	values := allValues(t, s, at(0), 7)
	providers := allProviderKeys(t, s, at(0), 7)
	wg.Wait()
	values = slices.DeleteFunc(values, func(key string) bool { return key[:4] != "stay" })
	wantKeys(t, values, stay)
	wantKeys(t, providers, stay)
}

func testPublications(t *testing.T, s store.Store) {
	wantKeys(t, allPublications(t, s, store.KindValue, 3), nil)
	publish := func(kind store.Kind, key, data string, next time.Time) {
		t.Helper()
		p := store.Publication{Kind: kind, Key: []byte(key), Data: []byte(data), Next: next}
		if err := s.Publish(t.Context(), p); err != nil {
			t.Fatalf("Publish() = %v", err)
		}
		if len(p.Data) > 0 {
			p.Data[0] = 'X'
		}
	}
	for i, key := range odd() {
		publish(store.KindValue, key, "old", at(1))
		publish(store.KindValue, key, "data", at(i)) // in its place
	}
	publish(store.KindProvider, "a", "", at(5))
	for _, limit := range []int{1, 3, 0, -1, 100} {
		wantKeys(t, allPublications(t, s, store.KindValue, limit), odd())
		wantKeys(t, allPublications(t, s, store.KindProvider, limit), []string{"a"})
	}
	batch, err := s.Publications(t.Context(), store.KindValue, nil, 100)
	if err != nil {
		t.Fatalf("Publications() = %v", err)
	}
	for _, p := range batch {
		if i := slices.Index(odd(), string(p.Key)); string(p.Data) != "data" || !p.Next.Equal(at(i)) {
			t.Errorf("Publications() has %v, want what was published last", p)
		}
	}
	p, err := s.Publication(t.Context(), store.KindValue, []byte("a"))
	if err != nil || string(p.Key) != "a" || string(p.Data) != "data" || !p.Next.Equal(at(slices.Index(odd(), "a"))) {
		t.Errorf("Publication() = %v, %v", p, err)
	}
	if p, err := s.Publication(t.Context(), store.KindProvider, []byte("none")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Publication() = %v, %v; want ErrNotFound", p, err)
	}
	wantLen(t, s, 0, 0)
	wantNoValue(t, s, "a", at(0))
	wantExpire(t, s, at(1000), 0, 0, time.Time{})
	for range 2 { // the second finds nothing
		if err := s.Unpublish(t.Context(), store.KindValue, []byte("a")); err != nil {
			t.Errorf("Unpublish() = %v", err)
		}
	}
	if err := s.Unpublish(t.Context(), store.KindProvider, []byte("none")); err != nil {
		t.Errorf("Unpublish() = %v", err)
	}
	wantKeys(t, allPublications(t, s, store.KindValue, 4), slices.DeleteFunc(odd(), func(key string) bool { return key == "a" }))
	wantKeys(t, allPublications(t, s, store.KindProvider, 4), []string{"a"})
}

func testLimitPublications(t *testing.T, s store.Store) {
	for i := range 10 {
		if err := s.Publish(t.Context(), store.Publication{Kind: store.KindValue, Key: []byte{byte(i)}, Data: []byte("0123456789")}); err != nil {
			t.Fatalf("Publish() = %v", err)
		}
	}
	put(t, s, "a", ten(at(0), time.Time{})) // has its place all the same
	if got := allPublications(t, s, store.KindValue, 0); len(got) != 10 {
		t.Errorf("there are %d publications, want 10", len(got))
	}
}
