package store

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"
)

// hashBytes is how much of the SHA-256 of a key decides on its place.
const hashBytes = 8

// Place returns the place of a key in the order of the key space: the first 8
// bytes of its SHA-256, and the key itself. Iterations go through the entries
// in the order of their places, so that keys which are near each other in the
// DHT come together.
//
// Any bytes are a place to start from, for instance the beginning of a hash.
func Place(key []byte) []byte {
	b := make([]byte, 0, hashBytes+len(key)+1) // one for After
	return append(binary.BigEndian.AppendUint64(b, hashOf(key)), key...)
}

// After returns the first place that comes after that of a key: where an
// iteration goes on whose last batch ended with this key.
func After(key []byte) []byte { return append(Place(key), 0) }

// hashOf returns the first 8 bytes of the SHA-256 of a key.
func hashOf(key []byte) uint64 {
	sum := sha256.Sum256(key)
	return binary.BigEndian.Uint64(sum[:])
}

// selfHash returns the first 8 bytes of a hash.
func selfHash(self [32]byte) uint64 { return binary.BigEndian.Uint64(self[:]) }

// splitPlace returns what a place is made of. What is missing of a hash is zero.
func splitPlace(place []byte) (hash uint64, key []byte) {
	var b [hashBytes]byte
	n := copy(b[:], place)
	return binary.BigEndian.Uint64(b[:]), place[n:]
}

// farFirst yields the hashes of a set, the farthest from self first. Next
// returns the least hash of the set that is not below x, if there is one. It is
// called three times for each bit in which the set is divided, and so less than
// 200 times for the first hash, however large the set is.
func farFirst(self uint64, next func(x uint64) (least uint64, ok bool)) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		// visit yields those that agree with low in all but the last bits. It
		// reports false if that is enough.
		var visit func(low uint64, bits int) bool
		visit = func(low uint64, bits int) bool {
			least, ok := next(low)
			if !ok || (least^low)>>bits != 0 {
				return true // there is none
			}
			second, ok := next(least + 1)
			if least+1 == 0 || !ok || (second^low)>>bits != 0 {
				return yield(least) // there is one
			}
			far, near := low, low|1<<(bits-1)
			if self>>(bits-1)&1 == 0 {
				far, near = near, far
			}
			return visit(far, bits-1) && visit(near, bits-1)
		}
		visit(0, 64)
	}
}

// maxFar is how many hashes are looked at for an entry to shed, because others
// wait. More than one is only looked at if there are entries that never expire.
const maxFar = 256

// fartherThan is farFirst for those that are farther from self than a hash, at
// most maxFar of them.
func fartherThan(self, hash uint64, next func(x uint64) (least uint64, ok bool)) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		n := 0
		for far := range farFirst(self, next) {
			if n++; far^self <= hash^self || n > maxFar || !yield(far) {
				return
			}
		}
	}
}
