package validator

import (
	"fmt"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

// SignedSet validates keys that hold entries of many owners, one of each: the
// one with the highest sequence number. The key is "/ns/" and any text.
//
// Make entries with [Sign] and read them with [Open].
type SignedSet struct {
	// Allow reports whether an owner may write; nil allows all. Then any peer can fill the
	// set up to its limits, and so keep other entries out: a key pair costs nothing. Allow
	// is called by Validate, from several goroutines at once, and should not block. Peers of
	// one network should agree on it: fewer peers hold an entry that some do not allow.
	Allow func(owner peer.ID) bool

	// MaxValues and MaxBytes bound what one key holds, so that a put beyond it is
	// refused. If zero, 64 values and 64 KiB. A DHT holds at most 256 values and 1 MiB.
	MaxValues, MaxBytes int
}

// Limits returns MaxValues and MaxBytes.
func (s SignedSet) Limits() (values, size int) { return s.MaxValues, s.MaxBytes }

// Validate says why a value may not stand under a key: it is not what [Sign]
// makes for this key, or Allow refuses its owner.
func (s SignedSet) Validate(key string, value []byte) error {
	entry, err := Open(key, value)
	if err != nil {
		return err
	}
	if s.Allow != nil && !s.Allow(entry.Owner) {
		return fmt.Errorf("the entry is signed by %s, who may not write here", entry.Owner)
	}
	return nil
}

// Select returns the index of one entry: the one with the highest sequence
// number, of any owner. Of two with the same number, the greater bytes win. It is for a get
// of one value only. The values have passed Validate; it fails on one that cannot be read,
// and without values.
func (SignedSet) Select(key string, values [][]byte) (int, error) {
	return newest(key, values)
}

// Reduce merges the values that a key holds, in any order, with duplicates,
// each valid, into those that it is to hold: of each owner the one with the highest
// sequence number, the greater bytes of two with the same one. They come in the order of
// the owners' IDs and share their memory with values. The result does not depend on the order
// of values, nor on whether some of them were reduced before. It fails on a
// value that cannot be read.
func (SignedSet) Reduce(key string, values [][]byte) ([][]byte, error) {
	best := make(map[peer.ID]held)
	for i, value := range values {
		entry, err := parse(key, value)
		if err != nil {
			return nil, fmt.Errorf("value %d: %w", i, err)
		}
		next := held{entry, value}
		if old, ok := best[entry.Owner]; !ok || next.newer(old) {
			best[entry.Owner] = next
		}
	}
	reduced := make([][]byte, 0, len(best))
	for _, owner := range slices.Sorted(maps.Keys(best)) {
		reduced = append(reduced, best[owner].value)
	}
	return reduced, nil
}
