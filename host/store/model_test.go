package store_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/go-kad/kad/host/store"
)

// A model is a store as one would write it without caring for time: it looks at
// every entry for everything. Its slices are in order of arrival.
type model struct {
	limits    store.Limits
	values    []modelEntry
	providers []modelEntry
}

type modelEntry struct {
	key, id, data     string
	received, expires time.Time
	origin            uint64
}

func (e modelEntry) expired(now time.Time) bool { return !e.expires.IsZero() && !e.expires.After(now) }

func (e modelEntry) size() int { return len(e.key) + len(e.id) + len(e.data) }

// expiresBefore is the order in which entries expire; never is last.
func (e modelEntry) expiresBefore(o modelEntry) bool {
	return !e.expires.IsZero() && (o.expires.IsZero() || e.expires.Before(o.expires))
}

// add returns list with e in the place of the entry at i, or at the end if i is
// negative. What has expired goes first, soonest first, if there is no room else.
func add(list []modelEntry, e modelEntry, yields func([]modelEntry) (int, error), now time.Time, count, bytes int) ([]modelEntry, error) {
	for {
		i, err := yields(list)
		if err != nil {
			return list, err
		}
		next := slices.Clone(list)
		if i >= 0 {
			next = slices.Delete(next, i, i+1)
		}
		next = append(next, e)
		size := 0
		for _, e := range next {
			size += e.size()
		}
		if len(next) <= count && size <= bytes {
			return next, nil
		}
		soonest := -1
		for j, e := range list {
			if e.expired(now) && (soonest < 0 || e.expires.Before(list[soonest].expires)) {
				soonest = j
			}
		}
		if soonest < 0 {
			return list, store.ErrFull
		}
		list = slices.Delete(slices.Clone(list), soonest, soonest+1)
	}
}

func (m *model) put(e modelEntry, now time.Time) (err error) {
	same := func(list []modelEntry) (int, error) {
		return slices.IndexFunc(list, func(o modelEntry) bool { return o.key == e.key }), nil
	}
	m.values, err = add(m.values, e, same, now, m.limits.Values, m.limits.ValueBytes)
	return err
}

func (m *model) announce(e modelEntry) (err error) {
	yields := func(list []modelEntry) (int, error) {
		of := map[uint64]int{e.origin: 1} // announcements of the key, by origin
		n := 0
		for i, o := range list {
			if o.key != e.key {
				continue
			}
			if o.id == e.id {
				return i, nil
			}
			n++
			of[o.origin]++
		}
		if n < m.limits.ProvidersPerKey {
			return -1, nil
		}
		of[0] = 1
		first := -1
		for i, o := range list {
			switch {
			case o.key != e.key:
			case first < 0, of[o.origin] > of[list[first].origin]:
				first = i
			case of[o.origin] < of[list[first].origin]:
			case o.expiresBefore(list[first]), o.expires.Equal(list[first].expires) && o.received.Before(list[first].received):
				first = i
			}
		}
		goes := list[first]
		if goes.expires.IsZero() || of[e.origin] >= of[goes.origin] && e.expiresBefore(goes) {
			return -1, store.ErrFull
		}
		return first, nil
	}
	m.providers, err = add(m.providers, e, yields, e.received, m.limits.Providers, m.limits.ProviderBytes)
	return err
}

// shed removes the entry of a kind that is farthest from self, if it is farther than
// key.
func (m *model) shed(kind store.Kind, self [32]byte, key string) bool {
	list := &m.providers
	if kind == store.KindValue {
		list = &m.values
	}
	distance := func(key string) uint64 {
		hash := sha256.Sum256([]byte(key))
		return binary.BigEndian.Uint64(hash[:]) ^ binary.BigEndian.Uint64(self[:])
	}
	far := -1
	for i, e := range *list {
		if e.expires.IsZero() || distance(e.key) <= distance(key) {
			continue
		}
		if far < 0 || distance(e.key) > distance((*list)[far].key) || e.key == (*list)[far].key && e.expiresBefore((*list)[far]) {
			far = i
		}
	}
	if far < 0 {
		return false
	}
	*list = slices.Delete(slices.Clone(*list), far, far+1)
	return true
}

// freshest returns the IDs of the providers of key at now.
func (m *model) freshest(key string, now time.Time, limit int) []string {
	var found []modelEntry
	for _, e := range m.providers {
		if e.key == key && (now.IsZero() || !e.expired(now)) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b modelEntry) int { return b.received.Compare(a.received) })
	var ids []string
	for _, e := range found {
		if ids = append(ids, e.id+e.data); len(ids) == limit {
			break
		}
	}
	return ids
}

func TestMemoryAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		testAgainstModel(rt, func(l store.Limits) store.Store { return store.NewMemory(l) })
	})
}

func testAgainstModel(t *rapid.T, open func(l store.Limits) store.Store) {
	limits := store.Limits{
		Values:          rapid.IntRange(1, 6).Draw(t, "values"),
		ValueBytes:      rapid.IntRange(1, 30).Draw(t, "value bytes"),
		Providers:       rapid.IntRange(1, 8).Draw(t, "providers"),
		ProviderBytes:   rapid.IntRange(1, 40).Draw(t, "provider bytes"),
		ProvidersPerKey: rapid.IntRange(1, 4).Draw(t, "providers per key"),
	}
	s := open(limits)
	defer s.Close()
	ref := model{limits: limits}
	now := epoch
	keys := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	ids := rapid.SampledFrom([]string{"p", "q", "r", "s", "t"})
	draw := func(id string) modelEntry {
		// Time moves by a nanosecond at least: what is received at one instant
		// has no order.
		now = now.Add(time.Duration(rapid.IntRange(1, 3).Draw(t, "later")))
		e := modelEntry{key: keys.Draw(t, "key"), id: id, received: now}
		e.data = rapid.StringMatching("[x-z]{0,5}").Draw(t, "data")
		// Each life ends at an instant of its own: at one instant, either may be
		// the first to make room.
		if life := rapid.IntRange(0, 10).Draw(t, "life"); life > 0 {
			e.expires = now.Add(time.Duration(life * 7))
		}
		return e
	}
	t.Repeat(map[string]func(*rapid.T){
		"put": func(t *rapid.T) {
			e := draw("")
			e.expires = distinct(e.expires, ref.values)
			err := s.UpdateValue(t.Context(), []byte(e.key), now, func(store.Value, bool) (store.Value, error) {
				return store.Value{Data: []byte(e.data), Received: e.received, Expires: e.expires}, nil
			})
			if want := ref.put(e, now); !errors.Is(err, want) {
				t.Fatalf("UpdateValue() = %v, want %v", err, want)
			}
		},
		"announce": func(t *rapid.T) {
			e := draw(ids.Draw(t, "id"))
			e.expires = distinct(e.expires, ref.providers)
			e.origin = rapid.Uint64Range(0, 2).Draw(t, "origin")
			p := store.Provider{ID: e.id, Addrs: []byte(e.data), Received: e.received, Expires: e.expires, Origin: e.origin}
			err := s.AddProvider(t.Context(), []byte(e.key), p)
			if want := ref.announce(e); !errors.Is(err, want) {
				t.Fatalf("AddProvider() = %v, want %v", err, want)
			}
		},
		"delete": func(t *rapid.T) {
			key := keys.Draw(t, "key")
			if err := s.DeleteValue(t.Context(), []byte(key)); err != nil {
				t.Fatalf("DeleteValue() = %v", err)
			}
			ref.values = slices.DeleteFunc(ref.values, func(e modelEntry) bool { return e.key == key })
		},
		"remove": func(t *rapid.T) {
			key, id := keys.Draw(t, "key"), ids.Draw(t, "id")
			if err := s.RemoveProvider(t.Context(), []byte(key), id); err != nil {
				t.Fatalf("RemoveProvider() = %v", err)
			}
			ref.providers = slices.DeleteFunc(ref.providers, func(e modelEntry) bool { return e.key == key && e.id == id })
		},
		"shed": func(t *rapid.T) {
			kind := rapid.SampledFrom([]store.Kind{store.KindValue, store.KindProvider}).Draw(t, "kind")
			self, key := sha256.Sum256([]byte{rapid.Byte().Draw(t, "self")}), keys.Draw(t, "key")
			shed, err := s.Shed(t.Context(), kind, self, []byte(key))
			if want := ref.shed(kind, self, key); err != nil || shed != want {
				t.Fatalf("Shed(%d, %x, %s) = %v, %v; want %v", kind, self, key, shed, err, want)
			}
		},
		"expire": func(t *rapid.T) {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "later")))
			removed, next, err := s.Expire(t.Context(), now, 0)
			before := len(ref.values) + len(ref.providers)
			ref.values = slices.DeleteFunc(ref.values, func(e modelEntry) bool { return e.expired(now) })
			ref.providers = slices.DeleteFunc(ref.providers, func(e modelEntry) bool { return e.expired(now) })
			left := slices.Concat(ref.values, ref.providers)
			var want time.Time
			for _, e := range left {
				if !e.expires.IsZero() && (want.IsZero() || e.expires.Before(want)) {
					want = e.expires
				}
			}
			if err != nil || removed != before-len(left) || !next.Equal(want) {
				t.Fatalf("Expire() = %d, %v, %v; want %d, %v", removed, next, err, before-len(left), want)
			}
		},
		"": func(t *rapid.T) {
			if v, p := s.Len(); v != len(ref.values) || p != len(ref.providers) {
				t.Fatalf("Len() = %d, %d; want %d, %d", v, p, len(ref.values), len(ref.providers))
			}
			for _, at := range []time.Time{now, {}} {
				limit := rapid.IntRange(0, 5).Draw(t, "limit")
				for _, key := range []string{"a", "b", "c", "d"} {
					check(t, s, &ref, key, at, limit)
				}
			}
		},
	})
}

// distinct returns expires, put off until no entry of list expires then.
func distinct(expires time.Time, list []modelEntry) time.Time {
	for !expires.IsZero() && slices.ContainsFunc(list, func(e modelEntry) bool { return e.expires.Equal(expires) }) {
		expires = expires.Add(1)
	}
	return expires
}

// check compares what s and ref hold under key at now.
func check(t *rapid.T, s store.Store, ref *model, key string, now time.Time, limit int) {
	var want *modelEntry
	for i, e := range ref.values {
		if e.key == key && (now.IsZero() || !e.expired(now)) {
			want = &ref.values[i]
		}
	}
	got, err := s.Value(t.Context(), []byte(key), now)
	switch {
	case want == nil && !errors.Is(err, store.ErrNotFound):
		t.Fatalf("Value(%s) = %q, %v; want ErrNotFound", key, got.Data, err)
	case want != nil && (err != nil || string(got.Data) != want.data || !got.Received.Equal(want.received) || !got.Expires.Equal(want.expires)):
		t.Fatalf("Value(%s) = %v, %v; want %v", key, got, err, *want)
	}
	ps, err := s.Providers(t.Context(), []byte(key), now, limit)
	var gotIDs []string
	for _, p := range ps {
		gotIDs = append(gotIDs, p.ID+string(p.Addrs))
	}
	if wantIDs := ref.freshest(key, now, cmp.Or(limit, -1)); err != nil || !slices.Equal(gotIDs, wantIDs) {
		t.Fatalf("Providers(%s, limit %s) = %q, %v; want %q", key, strconv.Itoa(limit), gotIDs, err, wantIDs)
	}
}
