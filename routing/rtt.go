package routing

import "time"

// leastMargin is how much later than on average an answer may come, however
// regular the earlier ones were. A garbage collection takes as long, or a message that
// waits behind others. RFC 6298 has the granularity of the clock here.
const leastMargin = 50 * time.Millisecond

// maxTimeout is the ceiling of [RTT.Timeout].
const maxTimeout = 10 * time.Second

// An RTT estimates how long answers take: a mean and a variation, both
// smoothed. There is one for each peer, and one for all together, for peers that have
// never answered. The zero value has seen nothing.
//
// Source: RFC 6298, section 2.
type RTT struct {
	// Memory is how many samples the mean goes back, roughly. If zero or less,
	// 8, as in TCP. One that many peers share needs more, and only the first answer
	// of each: of many requests at once the quick ones are answered first, and all
	// others would seem late.
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

// Below a share fewFail of requests that fail, a late peer is most likely slow; above
// manyFail, it is more likely gone.
const (
	fewFail  = 0.02
	manyFail = 0.1
)

// Timeout returns how long an answer is expected to take at most: the mean and four
// times the variation, with a margin of 50 ms at least, and 10 s in all at most. It is
// 0 if nothing was seen.
//
// If failing, the share of requests that fail, is below 0.02, a late peer is most
// likely slow, and the margin is six times the variation. If it is above 0.1, a late
// peer is more likely gone, and the margin is three times.
func (r *RTT) Timeout(failing float64) time.Duration {
	if !r.seen {
		return 0
	}
	margin := 4 * r.variation
	switch {
	case failing > manyFail:
		margin = 3 * r.variation
	case failing < fewFail:
		margin = 6 * r.variation
	}
	return min(r.mean+max(margin, leastMargin), maxTimeout)
}
