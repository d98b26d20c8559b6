package routing

import "time"

// The bounds of [RTT.Timeout]. Below the floor, what a garbage collection
// or a busy peer takes would look like silence; above the ceiling nobody who
// asks is still waiting.
const (
	minTimeout = 100 * time.Millisecond
	maxTimeout = 10 * time.Second
)

// An RTT estimates how long answers take: a mean and a variation, both
// smoothed. One is kept for each peer, and one for all together, by which those
// are judged who have not answered yet. The zero value has seen nothing.
//
// Source: RFC 6298, section 2.
type RTT struct {
	// Memory is how many samples the mean goes back, roughly. If zero or less,
	// 8, as TCP's. One that many peers share needs more, or it follows whoever
	// answered last.
	Memory int

	mean      time.Duration
	variation time.Duration
	seen      bool
}

// Observe takes in how long one answer took. A time below 0 counts as 0.
func (r *RTT) Observe(took time.Duration) {
	took = max(took, 0)
	if !r.seen {
		r.mean, r.variation, r.seen = took, took/2, true
		return
	}
	memory := time.Duration(8)
	if r.Memory > 0 {
		memory = time.Duration(r.Memory)
	}
	off := took - r.mean
	r.mean += off / memory
	r.variation += (max(off, -off) - r.variation) * 2 / max(memory, 2)
}

// Mean returns the smoothed round trip; 0 if nothing was seen.
func (r *RTT) Mean() time.Duration { return r.mean }

// Timeout returns how long an answer is expected to take at most: the mean and
// four times the variation, at least 100 ms and at most 10 s. It is 0 if nothing
// was seen.
func (r *RTT) Timeout() time.Duration {
	if !r.seen {
		return 0
	}
	return min(max(r.mean+4*r.variation, minTimeout), maxTimeout)
}
