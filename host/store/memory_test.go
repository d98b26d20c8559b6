package store_test

import (
	"encoding/binary"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/host/store/storetest"
	"github.com/go-kad/kad/protocol"
)

// epoch is when the tests begin.
var epoch = time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.NewMemory(store.Limits{}) })
}

func TestMemoryLimits(t *testing.T) {
	storetest.RunLimits(t, func(_ *testing.T, l store.Limits) store.Store { return store.NewMemory(l) })
}

func TestMemoryDefaultLimits(t *testing.T) {
	m := store.NewMemory(store.Limits{})
	for i := range 1001 {
		p := store.Provider{ID: strconv.Itoa(i), Received: epoch.Add(time.Duration(i)), Expires: epoch.Add(time.Hour)}
		if err := m.AddProvider(t.Context(), []byte("key"), p); err != nil {
			t.Fatalf("AddProvider() = %v", err)
		}
	}
	if _, providers := m.Len(); providers != 1000 {
		t.Errorf("Len() = %d providers, want 1000 for one key", providers)
	}
	// What the protocol lets through, the store takes: another byte, it does not.
	key := strings.Repeat("k", protocol.MaxKey)
	set(t, m, key, store.Value{Data: make([]byte, protocol.MaxValue), Publisher: make([]byte, 64)})
	p := store.Provider{ID: "l", Addrs: make([]byte, protocol.MaxKey+protocol.MaxValue+64)}
	if err := m.AddProvider(t.Context(), nil, p); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("AddProvider() = %v, want ErrTooLarge", err)
	}
}

// A callback that updates the same key would deadlock under a lock; here it is
// an update that comes in between, after which the callback runs again.
func TestMemoryUpdateStartsOver(t *testing.T) {
	m := store.NewMemory(store.Limits{})
	var seen []string
	err := m.UpdateValue(t.Context(), []byte("key"), epoch, func(current store.Value, _ bool) (store.Value, error) {
		seen = append(seen, string(current.Data))
		if len(seen) == 1 {
			set(t, m, "key", store.Value{Data: []byte("between")})
		}
		return store.Value{Data: []byte("last")}, nil
	})
	if err != nil || len(seen) != 2 || seen[0] != "" || seen[1] != "between" {
		t.Errorf("UpdateValue() = %v after %q, want nothing and then what came in between", err, seen)
	}
	if v, err := m.Value(t.Context(), []byte("key"), epoch); err != nil || string(v.Data) != "last" {
		t.Errorf("Value() = %q, %v", v.Data, err)
	}
}

// set stores v whatever was there.
func set(tb testing.TB, s store.Store, key string, v store.Value) {
	tb.Helper()
	err := s.UpdateValue(tb.Context(), []byte(key), epoch, func(store.Value, bool) (store.Value, error) { return v, nil })
	if err != nil {
		tb.Fatalf("UpdateValue(%q) = %v", key, err)
	}
}

// roomy are the default limits, but for what a benchmark puts in.
var roomy = store.Limits{Values: -1, ValueBytes: -1, Providers: -1, ProviderBytes: -1}

// million is how many entries the benchmarks have.
const million = 1_000_000

// benchKey returns the i-th key, 34 bytes like a multihash, in buf.
func benchKey(buf []byte, i int) []byte {
	return binary.BigEndian.AppendUint64(append(buf[:0], "\x12\x20abcdefghijklmnopqrstuvwx"...), uint64(i))
}

func BenchmarkMemoryPut(b *testing.B) {
	m := store.NewMemory(roomy)
	v := store.Value{Data: make([]byte, 300), Received: epoch, Expires: epoch.Add(48 * time.Hour)}
	key, i := make([]byte, 0, 34), 0
	b.ReportAllocs()
	for b.Loop() {
		key = benchKey(key, i%100_000)
		i++
		v.Expires = v.Expires.Add(time.Millisecond)
		err := m.UpdateValue(b.Context(), key, epoch, func(store.Value, bool) (store.Value, error) { return v, nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMemoryGet(b *testing.B) {
	m := store.NewMemory(roomy)
	key := make([]byte, 0, 34)
	for i := range 100_000 {
		set(b, m, string(benchKey(key, i)), store.Value{Data: make([]byte, 300), Received: epoch})
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		key := make([]byte, 0, 34)
		for i := 0; pb.Next(); i++ {
			if _, err := m.Value(b.Context(), benchKey(key, i%100_000), epoch); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// heap returns the bytes that are in use.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// fill returns a store with a million announcements for as many keys, and one
// key with 256. A thousand expire in each second from the epoch on.
func fill(b *testing.B) *store.Memory {
	before := heap()
	m := store.NewMemory(roomy)
	key, addrs := make([]byte, 0, 34), make([]byte, 80)
	add := func(key []byte, id string, i int) {
		p := store.Provider{ID: id, Addrs: addrs, Received: epoch, Expires: epoch.Add(time.Duration(i/1000) * time.Second)}
		if err := m.AddProvider(b.Context(), key, p); err != nil {
			b.Fatal(err)
		}
	}
	for i := range million {
		add(benchKey(key, i), "0123456789012345678901234567890123456789"[:38], i)
	}
	for i := range 256 {
		add([]byte("popular"), "popular"+strconv.Itoa(i), million)
	}
	_, n := m.Len()
	b.ReportMetric(float64(n), "entries")
	b.ReportMetric((heap()-before)/float64(n), "B/entry")
	return m
}

func BenchmarkMemoryProviders(b *testing.B) {
	m := fill(b)
	b.Run("miss", func(b *testing.B) { // no allocation, whatever the store holds
		b.ReportAllocs()
		key := []byte("\x12\x20nobody has announced this one ..")
		for b.Loop() {
			if ps, err := m.Providers(b.Context(), key, epoch, 20); err != nil || ps != nil {
				b.Fatal(ps, err)
			}
		}
	})
	b.Run("hit-20-of-256", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if ps, err := m.Providers(b.Context(), []byte("popular"), epoch, 20); err != nil || len(ps) != 20 {
				b.Fatal(len(ps), err)
			}
		}
	})
}

func BenchmarkMemoryAddProvider(b *testing.B) {
	m := fill(b)
	key, i := make([]byte, 0, 34), 0
	p := store.Provider{ID: "0123456789012345678901234567890123456789"[:38], Addrs: make([]byte, 80), Received: epoch}
	b.Run("renew", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			key = benchKey(key, i%million)
			i++
			p.Expires = epoch.Add(1000*time.Second + time.Duration(i))
			if err := m.AddProvider(b.Context(), key, p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("flooded-key", func(b *testing.B) { // 256 providers, and each time a new one
		b.ReportAllocs()
		for b.Loop() {
			i++
			p.ID = strconv.Itoa(i)
			p.Expires = epoch.Add(2000*time.Second + time.Duration(i))
			if err := m.AddProvider(b.Context(), []byte("popular"), p); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Sweeps of a thousand entries out of a million: how long others wait.
func BenchmarkMemoryExpire1000(b *testing.B) {
	m := fill(b)
	now := epoch
	for b.Loop() {
		n, _, err := m.Expire(b.Context(), now, 1000)
		if err != nil {
			b.Fatal(err)
		}
		if now = now.Add(time.Second); n == 0 {
			b.StopTimer()
			m, now = fill(b), epoch
			b.StartTimer()
		}
	}
}
