package sim

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"
)

// mix returns 64 bits that depend on all of words, and look random: the draws
// that belong to a node or a link, which are the same whenever they are asked
// for, and in whatever order.
//
// Source: SplitMix64, Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
// Generators".
func mix(words ...uint64) uint64 {
	var h uint64
	for _, w := range words {
		h += w + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// word returns a number that is 0 or more as one to mix.
func word(i int) uint64 { return uint64(max(i, 0)) }

// unit maps 64 random bits to [0, 1).
func unit(draw uint64) float64 { return float64(draw>>11) / (1 << 53) }

// What a draw is for, so that two draws of one node are independent.
const (
	forRole uint64 = iota + 1
	forLink
	forView
	forSession
	forInvention
	forRegion
	forRun
	forCut
	forPast
)

// newRNG returns the generator of a seed.
func newRNG(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

// randomBytes returns 32 bytes of rng: the preimage of a key to look up.
func randomBytes(rng *rand.Rand) []byte {
	var b []byte
	for range 4 {
		b = binary.BigEndian.AppendUint64(b, rng.Uint64())
	}
	return b
}

// quantile returns the length of time that the share u of a Weibull distribution
// does not reach.
func quantile(u, scale, shape float64) time.Duration {
	return time.Duration(scale * math.Pow(-math.Log(1-u), 1/shape))
}
