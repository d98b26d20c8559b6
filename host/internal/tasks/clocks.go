package tasks

import "time"

// Passed reports whether a time that was set in this run has come, by either of two clocks:
// the one of the wall, which jumps when it is set, and the monotonic one, which stops while
// the machine sleeps. What peers hold grows older in both cases; to do something early does
// no harm. Both times have to be read with time.Now, or to be made from one that was.
func Passed(now, at time.Time) bool {
	return !now.Before(at) || !now.Round(0).Before(at.Round(0))
}

// Jumped returns by how much the clock of the wall went ahead of the monotonic one between two
// times: it was set, or the machine slept; less than 0 if it went back. Both times have to be
// read with time.Now.
func Jumped(from, to time.Time) time.Duration {
	return to.Round(0).Sub(from.Round(0)) - to.Sub(from)
}

// maxDrift is how far the clock of the wall may go away from the monotonic one, from one
// look to the next, without having jumped.
const maxDrift = time.Minute

// An Evenness says for how long the clock of the wall has run evenly: since it was looked at
// first, or has jumped, since it was set or the machine slept. The zero value was never
// looked at. It is not safe for concurrent use.
type Evenness struct {
	last  time.Time
	since time.Time
}

// Look looks at the clock, which shows now. It returns since when it has run evenly.
func (e *Evenness) Look(now time.Time) (since time.Time) {
	if e.last.IsZero() || Jumped(e.last, now).Abs() > maxDrift {
		e.since = now
	}
	e.last = now
	return e.since
}
