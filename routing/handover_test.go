package routing

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/libp2p/go-libp2p/core/peer"
)

// drawNewcomer adds a newcomer to the table, or draws one that did not enter.
func drawNewcomer(t *rapid.T, tab *Table) Key {
	newcomer := Contact{ID: peer.ID("newcomer"), Key: drawTarget(t, tab)}
	if rapid.Bool().Draw(t, "enters") {
		tab.Seen(epoch, newcomer)
	}
	return newcomer.Key
}

// A record is handed over if the newcomer is due to have it, and if we, of those
// that were there before, are the closest to it.
func TestHandsOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := drawTable(t)
		newcomer := drawNewcomer(t, tab)
		key := drawTarget(t, tab)
		others := slices.DeleteFunc(heldKeys(tab), func(k Key) bool { return k == newcomer })
		due := rankOf(newcomer, key, append(others, tab.self)) < tab.cfg.K
		ours := rankOf(tab.self, key, others) == 0
		want := due && ours && newcomer != tab.self
		if got := tab.HandsOver(key, newcomer); got != want {
			t.Errorf("handed over: %v; due to have it: %v, we are the closest: %v", got, due, ours)
		}
	})
}

// Only keys with the prefix are handed over, and it is neither shorter nor longer
// than it must be: of the keys that differ from ours in one bit, we are the closest
// to the one that differs in the bit after it, and to none that differs in it.
func TestOwnPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := drawTable(t)
		newcomer := drawNewcomer(t, tab)
		bits := tab.OwnPrefix(newcomer)
		for range 10 {
			key := drawTarget(t, tab)
			if got := tab.self.CPL(key); tab.HandsOver(key, newcomer) && got < bits {
				t.Errorf("a key with CPL %d is handed over, the prefix is %d bits", got, bits)
			}
		}
		others := slices.DeleteFunc(heldKeys(tab), func(k Key) bool { return k == newcomer })
		for i := range min(bits+1, KeyBits) {
			key := tab.self.flip(i)
			if got, want := rankOf(tab.self, key, others) == 0, i == bits; got != want {
				t.Errorf("we are the closest to our key without bit %d: %v, the prefix is %d bits", i, got, bits)
			}
		}
	})
}

// The prefix of an empty table, and of one that knows only the newcomer, is that
// of all keys.
func TestOwnPrefixTable(t *testing.T) {
	self := KeyOf([]byte("self"))
	tests := []struct {
		name     string
		held     []int
		newcomer int
		want     int
	}{
		{"nobody", nil, 0, 0},
		{"only the newcomer", []int{0}, 0, 0},
		{"no gap", []int{0, 1, 2}, 5, 3},
		{"the newcomer fills a gap", []int{0, 1, 2, 3}, 1, 1},
		{"a gap", []int{0, 1, 3}, 4, 2},
		{"gap at 0", []int{1, 2, 3}, 4, 0},
	}
	for _, tt := range tests {
		tab := tableWith(tt.held...)
		if got := tab.OwnPrefix(withCPL(self, tt.newcomer, 1)[0].Key); got != tt.want {
			t.Errorf("%s: %d bits, want %d", tt.name, got, tt.want)
		}
	}
}
