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
	// Allow says who may write; nil means everybody. Then strangers can fill the
	// set up to the limits of the DHT, and keep others out of it: a key costs
	// nothing. It is called by Validate, from several goroutines at once, and should not
	// block. Peers of one network should agree on it: an entry that one holder does not allow
	// is on fewer of them.
	Allow func(owner peer.ID) bool
}

// Validate says why a value may not stand under a key: it is not what [Sign]
// makes for this key, or Allow refuses who signed it.
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
// number, whoever it is of. Of two with the same one, the greater bytes win. It is
// for those who ask for one value only. All values are valid; it fails on one that cannot
// be read, and without values.
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
