package routing

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/libp2p/go-libp2p/core/peer"
)

// The lifetimes of a record of 48h, for k = 3 and 0 to 2k closer nodes, and as
// far as the floor.
func TestCacheLifetimeTable(t *testing.T) {
	const k = 3
	want := strings.TrimSpace(`
 0  48h0m0s
 1  48h0m0s
 2  48h0m0s
 3  24h0m0s
 4  12h0m0s
 5  6h0m0s
 6  3h0m0s
 7  1h30m0s
 8  45m0s
 9  22m30s
10  11m15s
11  5m37.5s
12  2m48.75s
13  1m24.375s
14  1m0s
15  1m0s`)
	var out []string
	for closer := range 16 {
		out = append(out, fmt.Sprintf("%2d  %v", closer, CacheLifetime(48*time.Hour, closer, k)))
	}
	if got := strings.TrimSpace(strings.Join(out, "\n")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCacheLifetimeLimits(t *testing.T) {
	tests := []struct {
		lifetime time.Duration
		closer   int
		want     time.Duration
	}{
		{90 * time.Second, 20, time.Minute},
		{time.Second, 20, time.Second}, // shorter than the floor already
		{time.Second, math.MaxInt, time.Second},
		{0, 0, 0},
		{0, 100, 0},
		{time.Hour, -1, time.Hour},
		{time.Hour, math.MinInt, time.Hour},
		{-1, 19, -1}, // never expires
		{-1, 20, 24 * time.Hour},
		{-1, 21, 12 * time.Hour},
		{-1, 1000, time.Minute},
		{math.MinInt64, math.MaxInt, time.Minute},
		{math.MaxInt64, 20, math.MaxInt64 / 2},
		{math.MaxInt64, 20 + 61, time.Minute},
		{math.MaxInt64, 20 + 64, time.Minute},
		{math.MaxInt64, math.MaxInt, time.Minute},
	}
	for _, tt := range tests {
		if got := CacheLifetime(tt.lifetime, tt.closer, 20); got != tt.want {
			t.Errorf("CacheLifetime(%v, %d, 20) = %v, want %v", tt.lifetime, tt.closer, got, tt.want)
		}
	}
}

// More closer nodes never mean a longer lifetime, and no number of them means
// more than the lifetime or less than the floor.
func TestCacheLifetimeIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lifetime := time.Duration(rapid.Int64Min(0).Draw(t, "lifetime"))
		k := rapid.IntRange(1, 30).Draw(t, "k")
		a := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntMin(0)).Draw(t, "closer")
		b := max(a, rapid.OneOf(rapid.IntRange(0, 100), rapid.IntMin(0)).Draw(t, "more"))
		few, many := CacheLifetime(lifetime, a, k), CacheLifetime(lifetime, b, k)
		if many > few || few > lifetime || many < min(lifetime, MinCacheLifetime) {
			t.Errorf("%v becomes %v with %d closer nodes and %v with %d", lifetime, few, a, many, b)
		}
	})
}

// drawTable draws a table with some contacts, many of them close to it.
func drawTable(t *rapid.T) *Table {
	tab := NewTable(keys().Draw(t, "self"), TableConfig{K: rapid.IntRange(1, 5).Draw(t, "k")})
	for i, k := range rapid.SliceOfN(keys(), 0, 60).Draw(t, "contacts") {
		tab.Seen(epoch, Contact{ID: peer.ID(fmt.Sprint(i)), Key: k})
	}
	return tab
}

// drawTarget draws a key, now and then our own or that of a contact.
func drawTarget(t *rapid.T, tab *Table) Key {
	of := []Key{tab.self, keys().Draw(t, "target")}
	for c := range tab.All() {
		of = append(of, c.Key)
	}
	return rapid.SampledFrom(of).Draw(t, "which")
}

// rankOf returns how many of those keys are closer to target than k is.
func rankOf(k, target Key, among []Key) int {
	n := 0
	for _, other := range among {
		if distance(target, other).Cmp(distance(target, k)) < 0 {
			n++
		}
	}
	return n
}

// heldKeys returns the keys of all contacts.
func heldKeys(tab *Table) []Key {
	var out []Key
	for c := range tab.All() {
		out = append(out, c.Key)
	}
	return out
}

func TestCountCloser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := drawTable(t)
		target := drawTarget(t, tab)
		if got, want := tab.CountCloser(target), rankOf(tab.self, target, heldKeys(tab)); got != want {
			t.Errorf("%d contacts are closer, want %d", got, want)
		}
	})
}

func TestCountCloserDoesNotAllocate(t *testing.T) {
	tab := NewTable(KeyOf([]byte("self")), TableConfig{})
	for i := range 1000 {
		tab.Seen(epoch, contact(i))
	}
	target := KeyOf([]byte("target"))
	if n := testing.AllocsPerRun(100, func() { tab.CountCloser(target) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
