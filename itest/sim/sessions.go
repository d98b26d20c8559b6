package sim

import "time"

// A session is a time in which a node is there, or away.
type session struct {
	number int           // how many came before
	up     bool          // it is there
	until  time.Duration // when the next begins; 0 before the first was drawn
}

// session returns the session that a node is in.
//
// All of a node follow from the seed, so that nothing has to happen to those
// that nobody asks.
func (w *World) session(i int) session {
	churn := w.scenario.Churn
	if churn.Session == nil || i >= w.pop.Len() {
		return session{up: true}
	}
	s := &w.node(i).session
	if s.until == 0 {
		draw := mix(w.seed, forSession, word(i))
		s.up = true
		s.until = max(1, time.Duration(unit(mix(draw))*float64(churn.Session(draw))))
	}
	for s.until <= w.line.now {
		s.number++
		s.up = !s.up
		span := churn.Session
		if !s.up {
			span = churn.Absence
		}
		s.until += max(1, span(mix(w.seed, forSession, word(i), word(s.number))))
	}
	return *s
}

// Exponential is a span with that mean: as if a node left at any moment with the
// same likelihood.
func Exponential(mean time.Duration) Span {
	return func(draw uint64) time.Duration { return quantile(unit(draw), float64(mean), 1) }
}

// Weibull is a span with that scale and shape. With a shape below 1, nodes that
// have stayed long are likely to stay longer, as was measured in real networks
// (0.5 or so).
//
// Source: Stutzbach and Rejaie, "Understanding churn in peer-to-peer networks",
// 2006.
func Weibull(scale time.Duration, shape float64) Span {
	return func(draw uint64) time.Duration { return quantile(unit(draw), float64(scale), shape) }
}

// A cut keeps the nodes on its two sides apart for some time.
type cut struct {
	from, until time.Duration
	side        func(node int) bool
}

// partition makes the cuts of the scenario.
func (w *World) partition() {
	for n, p := range w.scenario.Partitions {
		w.cuts = append(w.cuts, cut{p.From, p.From + p.For, func(i int) bool {
			return unit(mix(w.seed, forCut, word(n), word(i))) < p.Share
		}})
	}
}

// Outage keeps a node from all others for d, from now on.
func (w *World) Outage(node int, d time.Duration) {
	w.cuts = append(w.cuts, cut{w.line.now, w.line.now + d, func(i int) bool { return i == node }})
}

// apart reports whether two nodes cannot reach each other now.
func (w *World) apart(a, b int) bool {
	for _, c := range w.cuts {
		if c.from <= w.line.now && w.line.now < c.until && c.side(a) != c.side(b) {
			return true
		}
	}
	return false
}
