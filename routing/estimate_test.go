package routing

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

// nearest returns the 20 nodes nearest to target in a network of n, of which the
// one of rank i is on average i/n of the key space away.
func nearest(target Key, n int, rng *rand.Rand) []Contact {
	out := make([]Contact, 20)
	at := 0.0
	for i := range out {
		at += rng.ExpFloat64() / float64(n)
		word := binary.BigEndian.Uint64(target[:]) ^ uint64(math.Ldexp(min(at, 0.99), 64))
		out[i].Key = target
		binary.BigEndian.PutUint64(out[i].Key[:], word)
	}
	return out
}

func TestKeyDistance(t *testing.T) {
	for _, tt := range []struct {
		bit  int
		want float64
	}{{0, 0.5}, {1, 0.25}, {63, 0x1p-64}, {64, 0x1p-65}, {127, 0x1p-128}, {200, 0x1p-201}, {255, 0x1p-256}} {
		other := target
		other[tt.bit/8] ^= 1 << (7 - tt.bit%8)
		if got := target.distance(other); got != tt.want {
			t.Errorf("bit %d: distance is %g, want %g", tt.bit, got, tt.want)
		}
	}
	if got := target.distance(target); got != 0 {
		t.Errorf("distance to itself is %g", got)
	}
}

// The estimate is near the truth, and as far off as it says: two thirds within
// one error, nearly all within two.
func TestSizeEstimate(t *testing.T) {
	rng := seeded(t, 5)
	for _, n := range []int{200, 1000, 1_000_000} {
		for _, lookups := range []int{1, 4, 20} {
			within, mean := [3]int{}, 0.0
			const runs = 500
			for range runs {
				var s Size
				for range lookups {
					s.Observe(target, nearest(target, n, rng))
				}
				e := s.Estimate()
				mean += e.Nodes / float64(n) / runs
				for i := range within {
					if math.Abs(e.Nodes/float64(n)-1) <= float64(i+1)*e.Error {
						within[i]++
					}
				}
			}
			if within[0] < runs*60/100 || within[1] < runs*90/100 || within[2] < runs*97/100 {
				t.Errorf("%d nodes, %d lookups: within one, two, three errors: %v of %d", n, lookups, within, runs)
			}
			if mean < 0.97 || mean > 1.03 {
				t.Errorf("%d nodes, %d lookups: %.2f of the truth on average", n, lookups, mean)
			}
		}
	}
}

func TestSizeIsThin(t *testing.T) {
	var s Size
	if e := s.Estimate(); e != (Estimate{}) || !e.thin() {
		t.Errorf("estimate of nothing is %+v", e)
	}
	s.Observe(target, nil)
	s.Observe(target, ps(1))
	if e := s.Estimate(); !e.thin() {
		t.Errorf("estimate of one contact is %+v", e)
	}
	s = Size{}
	s.Observe(target, span(1, 15))
	if e := s.Estimate(); e.Nodes <= 0 || !e.thin() {
		t.Errorf("estimate of 15 contacts is %+v", e)
	}
	s = Size{}
	s.Observe(target, span(1, 16))
	if e := s.Estimate(); e.thin() {
		t.Errorf("estimate of 16 contacts is %+v", e)
	}
}

// A network that has grown is soon seen to have.
func TestSizeFollows(t *testing.T) {
	rng := seeded(t, 6)
	var s Size
	observe := func(n, times int) {
		for range times {
			s.Observe(target, nearest(target, n, rng))
		}
	}
	observe(200, 100)
	before := s.Estimate()
	observe(2000, 60)
	after := s.Estimate()
	if math.Abs(before.Nodes/200-1) > 0.2 || math.Abs(after.Nodes/2000-1) > 0.3 {
		t.Errorf("estimates are %+v and %+v", before, after)
	}
	if math.Abs(before.Error-0.07) > 0.005 {
		t.Errorf("error is %v, want 1/√%d", before.Error, sizeMemory)
	}
}
