package sim

import (
	"slices"
	"time"
)

// Metrics are the figures of many operations.
type Metrics struct {
	Took     []time.Duration // of each, the shortest first
	Requests []int           // of each, the fewest first
	Dials    float64         // of one, on average
	Failed   float64         // requests of one that failed, on average
	Hops     float64         // on average
	Accuracy float64         // on average
	Exact    float64         // the share whose accuracy is 1
	Reached  float64         // the share that reached the closest honest node
	Filled   float64         // on average
	Rate     float64         // operations a second, of those of one world
	worlds   int
}

// add takes in the reports of one world, which began at the same time.
func (m *Metrics) add(reports []Report) {
	m.worlds++
	longest := time.Nanosecond
	for _, r := range reports {
		m.Took = append(m.Took, r.Took)
		m.Requests = append(m.Requests, r.Requests)
		m.Dials += float64(r.Dials)
		m.Failed += float64(r.Failed)
		m.Hops += float64(r.Hops)
		m.Accuracy += r.Accuracy
		if r.Accuracy == 1 {
			m.Exact++
		}
		if r.Reached {
			m.Reached++
		}
		m.Filled += r.Filled
		longest = max(longest, r.Took)
	}
	m.Rate += float64(len(reports)) / longest.Seconds()
}

// finish turns sums into averages.
func (m *Metrics) finish() {
	slices.Sort(m.Took)
	slices.Sort(m.Requests)
	for _, sum := range []*float64{&m.Dials, &m.Failed, &m.Hops, &m.Accuracy, &m.Exact, &m.Reached, &m.Filled} {
		*sum /= float64(max(1, len(m.Took)))
	}
	m.Rate /= float64(max(1, m.worlds))
}

// Time returns the time that the share q of the operations did not exceed.
func (m *Metrics) Time(q float64) time.Duration { return percentile(m.Took, q) }

// MeanRequests returns the requests of an operation, on average.
func (m *Metrics) MeanRequests() float64 {
	sum := 0
	for _, n := range m.Requests {
		sum += n
	}
	return float64(sum) / float64(max(1, len(m.Requests)))
}

// percentile returns the least of sorted that the share q of them does not
// exceed; zero if there are none.
func percentile[T any](sorted []T, q float64) T {
	var zero T
	if len(sorted) == 0 {
		return zero
	}
	// Of 100, the 99th is the least that 99 do not exceed.
	at := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(at, 0), len(sorted)-1)]
}
