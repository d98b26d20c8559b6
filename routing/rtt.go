package routing

import "time"

// leastMargin is how much later than on average an answer may come, however
// regular those before were: less is what a garbage collection takes, or a
// message that waits behind others. RFC 6298 has the granularity of the clock here.
const leastMargin = 50 * time.Millisecond

// maxTimeout is the ceiling of [RTT.Timeout]: nobody who asks waits longer.
const maxTimeout = 10 * time.Second

// An RTT estimates how long answers take: a mean and a variation, both
// smoothed. One is kept for each peer, and one for all together, by which those
// are judged who have not answered yet. The zero value has seen nothing.
//
// Source: RFC 6298, section 2.
type RTT struct {
	// Memory is how many samples the mean goes back, roughly. If zero or less,
	// 8, as TCP's. One that many peers share needs more, and only the first answer
	// of each: of many requests at once the quick ones are answered first, and it
	// would take all others for late.
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

// fewFail and manyFail are the shares of requests that fail below and above which who
// is late is more likely slow, or gone.
const (
	fewFail  = 0.02
	manyFail = 0.1
)

// Timeout returns how long an answer is expected to take at most: the mean and four
// times the variation, but at least 50 ms, and 10 s at most in all. It goes by failing,
// the share of requests that fail: where that is below 0.02, who is late is most likely
// slow, and it is six times the variation; where it is above 0.1, who is late is more
// likely gone, and it is three times. It is 0 if nothing was seen.
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
