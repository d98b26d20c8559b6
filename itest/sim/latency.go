package sim

import (
	"math"
	"time"
)

// A Link is one direction between two nodes.
type Link struct {
	From, To int    // the nodes
	Draw     uint64 // random bits of this direction, the same in each call
	FromDraw uint64 // random bits of the node From, and
	ToDraw   uint64 // of the node To: where they are
}

// A Latency is how long a message takes in one direction of a link, before
// jitter and loss. It depends on nothing but the link.
type Latency func(Link) time.Duration

// Fixed is a latency that is the same on all links.
func Fixed(d time.Duration) Latency {
	return func(Link) time.Duration { return d }
}

// Uniform is a latency from low to high, each equally likely.
func Uniform(low, high time.Duration) Latency {
	return func(l Link) time.Duration {
		return low + time.Duration(unit(l.Draw)*float64(high-low))
	}
}

// LogNormal is a latency with that median, whose logarithm has the standard
// deviation sigma: most links are near the median, and some take far longer. At
// a sigma of 0.5, one in 100 takes 3.2 times the median.
func LogNormal(median time.Duration, sigma float64) Latency {
	return func(l Link) time.Duration {
		return time.Duration(float64(median) * math.Exp(sigma*normal(l.Draw)))
	}
}

// normal turns random bits into a draw from the standard normal distribution.
//
// Source: Box and Muller, 1958.
func normal(draw uint64) float64 {
	radius := math.Sqrt(-2 * math.Log(1-unit(draw)))
	return radius * math.Cos(2*math.Pi*unit(mix(draw)))
}

// Matrix puts each node in one of the regions, and takes the latency from the
// region of the sender (the row) to that of the receiver (the column). Regions
// are equally large. It panics if the matrix is not square, or empty.
func Matrix(ways [][]time.Duration) Latency {
	n := uint64(len(ways))
	for _, row := range ways {
		if len(row) != len(ways) {
			panic("sim: a latency matrix that is not square")
		}
	}
	if n == 0 {
		panic("sim: a latency matrix without regions")
	}
	return func(l Link) time.Duration {
		return ways[l.FromDraw%n][l.ToDraw%n]
	}
}
