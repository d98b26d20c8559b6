package routing

import "math"

// A Size estimates how many nodes a network has, from how densely they lie around
// keys: of N nodes, the one of rank i is on average i/(N+1) of the key space away.
// The zero value has seen nothing.
//
// What is observed must be of parts of the key space that do not overlap, or the
// error is greater than it says.
type Size struct {
	ranks float64 // the nodes that were seen
	reach float64 // how far they reached, in key spaces
}

// sizeMemory is how many nodes a Size remembers: earlier ones fade as later ones
// come. That is an error of 7 %, and some tens of lookups in which it is seen that a
// network has changed.
const sizeMemory = 200

// maxError is the error beyond which an estimate is not used: fewer than 16 nodes
// were seen.
const maxError = 0.25

// Observe takes in the nodes closest to target, closest first, with none missing. If
// target is our own key, we must not be among them.
func (s *Size) Observe(target Key, closest []Contact) {
	if len(closest) == 0 {
		return
	}
	n := float64(len(closest))
	fade := max(0, 1-n/sizeMemory)
	s.ranks = s.ranks*fade + n
	s.reach = s.reach*fade + target.distance(closest[len(closest)-1].Key)
}

// Estimate returns what s makes of it all.
func (s *Size) Estimate() Estimate {
	if s.ranks <= 1 || s.reach <= 0 {
		return Estimate{}
	}
	return Estimate{Nodes: (s.ranks - 1) / s.reach, Error: 1 / math.Sqrt(s.ranks)}
}

// An Estimate is how many nodes a network has. The zero value is none.
type Estimate struct {
	Nodes float64 // if zero or less, unknown
	Error float64 // standard deviation, as a share of Nodes
}

// thin reports whether e is too uncertain to rely on.
func (e Estimate) thin() bool { return e.Nodes <= 0 || e.Error > maxError }

// distance returns how far k is from other, as a share of the key space, to the
// precision of a float.
func (k Key) distance(other Key) float64 {
	for i := 0; i < len(k)-8; i += 8 {
		if d := k.word(i) ^ other.word(i); d != 0 || i == len(k)-16 {
			next := k.word(i+8) ^ other.word(i+8)
			return math.Ldexp(float64(d), -8*i-64) + math.Ldexp(float64(next), -8*i-128)
		}
	}
	return 0
}
