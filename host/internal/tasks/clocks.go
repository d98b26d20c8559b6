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

// A Jump is one of the clock of the wall, which was set, or did not stop while the machine
// slept. The zero value is none.
type Jump struct {
	By    time.Duration // ahead; less than 0: back
	Set   bool          // it was set; else that is unknown
	After time.Duration // for how long it had run evenly before

	// From and To are when it was looked at first, or when it jumped for the last time for an
	// unknown reason, and when it jumped now, by the time that it showed before. They are times of
	// the wall alone.
	From, To time.Time
}

// An Evenness says for how long the clock of the wall has run evenly: since it was looked at
// first, or has jumped, since it was set or the machine slept. Where the system tells for how
// long that was, sleep is no jump. An Evenness whose Slept is set was never looked at. It is
// not safe for concurrent use.
type Evenness struct {
	Slept func() (time.Duration, bool) // mostly the one of this package

	last  time.Time
	since time.Time
	from  time.Time     // see Jump.From
	slept time.Duration // until last
}

// Look looks at the clock, which shows now. It returns since when it has run evenly, and the
// jump that it has made since it was looked at before.
func (e *Evenness) Look(now time.Time) (since time.Time, jump Jump) {
	slept, known := e.Slept()
	switch by := Jumped(e.last, now) - (slept - e.slept); {
	case e.last.IsZero():
		e.since, e.from = now, now.Round(0)
	case by.Abs() > maxDrift:
		jump = Jump{By: by, Set: known, After: now.Sub(e.since), From: e.from, To: now.Round(0).Add(-by)}
		e.since, e.from = now, now.Round(0)
		if known {
			e.from = jump.From.Add(by)
		}
	}
	e.last, e.slept = now, slept
	return e.since, jump
}
