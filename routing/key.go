package routing

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// KeyBits is the length of a [Key] in bits.
const KeyBits = 256

// A Key is a point of the key space: the SHA-256 of a preimage, which is a peer
// ID, a record key or a multihash. Bit 0 is the most significant bit of byte 0;
// buckets, order and distance all use that one bit order.
//
// The distance of two keys is their XOR, compared as a big-endian integer.
//
// Spec: libp2p kad-dht, "Distance".
type Key [KeyBits / 8]byte

// KeyOf returns the key of a preimage.
func KeyOf(preimage []byte) Key {
	return sha256.Sum256(preimage)
}

// CPL returns the common prefix length of k and other in bits, from 0 to
// [KeyBits]. It is KeyBits only for a key and itself.
func (k Key) CPL(other Key) int {
	for i := 0; i < len(k); i += 8 {
		if d := k.word(i) ^ other.word(i); d != 0 {
			return 8*i + bits.LeadingZeros64(d)
		}
	}
	return KeyBits
}

// Compare returns -1 if a is closer to k than b is, +1 if b is closer, and 0 if
// a equals b: no two keys are equally far from a third.
func (k Key) Compare(a, b Key) int {
	for i := 0; i < len(k); i += 8 {
		w := k.word(i)
		da, db := a.word(i)^w, b.word(i)^w
		switch {
		case da < db:
			return -1
		case da > db:
			return 1
		}
	}
	return 0
}

// String returns the first 8 hex digits of k: enough for a log, too few to name a key.
func (k Key) String() string {
	return hex.EncodeToString(k[:4])
}

// word returns the 64 bits of k that begin at byte i.
func (k *Key) word(i int) uint64 {
	return binary.BigEndian.Uint64(k[i : i+8])
}

// at returns bit i of k.
func (k *Key) at(i int) byte {
	return k[i/8] >> (7 - i%8) & 1
}

// flip returns k with bit i changed.
func (k Key) flip(i int) Key {
	k[i/8] ^= 1 << (7 - i%8)
	return k
}

// bit returns bit i of the distance between k and other.
func (k *Key) bit(other *Key, i int) byte {
	return (k[i/8] ^ other[i/8]) >> (7 - i%8) & 1
}

// xor returns the distance of k and other.
func (k Key) xor(other Key) Key {
	for i := range k {
		k[i] ^= other[i]
	}
	return k
}

// middle returns the mean of two distances, rounded up.
func (k Key) middle(other Key) (mean Key) {
	carry := uint64(1)
	for i := len(k) - 8; i >= 0; i -= 8 {
		var sum uint64
		sum, carry = bits.Add64(k.word(i), other.word(i), carry)
		binary.BigEndian.PutUint64(mean[i:], sum)
	}
	for i := range mean { // half of it
		bit := byte(carry)
		carry = uint64(mean[i] & 1)
		mean[i] = mean[i]>>1 | bit<<7
	}
	return mean
}
