package routing

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// fewLate is up to how many late answers our own connection is taken to be well,
// however few contacts are asked at a time.
const fewLate = 2

// patience returns how long a dial of c, or an answer, may take. A doubtful contact has a part
// of SlowAfter, or twice its mean round trip if that is longer: it may be back. Where most are
// late, what was expected of a contact does not count.
func (l *Lookup) patience(c *candidate, doubtful bool) time.Duration {
	patience := l.cfg.SlowAfter
	if doubtful {
		patience = min(patience, max(patience/briefPart, 2*c.RoundTrip))
	}
	if c.Expect > 0 && !l.late {
		patience = min(patience, c.Expect)
	}
	return patience
}

// await puts c, which is asked, or dialled, at now, where freeSlow finds it in
// time. With a negative SlowAfter no contact is slow, and there is nothing to find.
func (l *Lookup) await(c *candidate, now time.Time) {
	if l.cfg.SlowAfter < 0 {
		return
	}
	c.since = now
	l.expect(c)
}

// expect puts c where freeSlow finds it when its patience is over.
func (l *Lookup) expect(c *candidate) {
	c.slowAt = c.since.Add(c.patience)
	i := len(l.inFlight)
	for i > 0 && l.inFlight[i-1].slowAt.After(c.slowAt) {
		i--
	}
	l.inFlight = slices.Insert(l.inFlight, i, c)
}

// suspend takes c from where freeSlow finds it.
func (l *Lookup) suspend(c *candidate) {
	if i := slices.Index(l.inFlight, c); i >= 0 {
		l.inFlight = slices.Delete(l.inFlight, i, i+1)
	}
}

// awaited returns id if its answer is awaited and the lookup is not over; else nil.
func (l *Lookup) awaited(id peer.ID) *candidate {
	c := l.known[id]
	if s := l.againOf(id); s != nil {
		c = s
	}
	if l.end != Running || c == nil || c.state != waiting && c.state != slow {
		return nil
	}
	return c
}

// move moves c, which was asked, to the state to.
func (l *Lookup) move(c *candidate, to state) {
	if c.state == slow {
		i := slices.Index(l.overdue, c)
		l.overdue = slices.Delete(l.overdue, i, i+1)
	} else {
		l.paths[c.path].waiting--
	}
	if to == slow {
		l.overdue = append(l.overdue, c)
	}
	if to != answered {
		l.changed = true
	}
	if place := l.known[c.ID]; c.polls && to != answered && place.state == fresh {
		place.state = failed // it is not asked for the target while it may still answer
	}
	c.settleNaming(to)
	c.state = to
	l.events++
}

// lose ends the request to c, which has no answer. If c was not connected, it may be elsewhere.
func (l *Lookup) lose(c *candidate) {
	l.move(c, failed)
	l.failed++
	c.unheard = c.about == nil && !c.Connected
}

// freeSlow takes their slots from the requests that are slow by now.
func (l *Lookup) freeSlow(now time.Time) {
	for len(l.inFlight) > 0 {
		c := l.inFlight[0]
		if c.state == waiting && now.Before(c.slowAt) {
			return
		}
		l.inFlight = l.inFlight[1:]
		if c.state != waiting {
			continue
		}
		l.move(c, slow)
		switch {
		case c.patience >= l.cfg.SlowAfter:
			l.late = false // it is silent, and not late
		case len(l.overdue) > len(l.answered)+max(l.cfg.Alpha/2, fewLate):
			l.relent()
		}
	}
}

// heardLate records that a slow contact has answered.
func (l *Lookup) heardLate() {
	if l.tardy++; l.tardy > fewLate && 2*l.tardy >= len(l.answered) {
		l.relent()
	}
}

// relent gives all requests in flight, the slow ones included, SlowAfter from their beginning:
// most are late, so that our own connection is slow, or has become so, and not the contacts. A
// lookup whose round trips grow from 2 to 102 ms found 74 of 100 of the closest without that. One
// silent contact among the closest costs the lookup SlowAfter then. It does so once in a lookup.
func (l *Lookup) relent() {
	if l.relented {
		return
	}
	l.late, l.relented = true, true
	waiting := slices.DeleteFunc(l.inFlight, func(c *candidate) bool { return c.state != waiting })
	back := l.overdue
	l.inFlight, l.overdue = nil, nil
	for _, c := range back {
		l.resume(c)
	}
	for _, c := range append(waiting, back...) {
		c.patience = l.cfg.SlowAfter
		l.expect(c)
	}
}

// resume gives c, which is slow and no longer among the overdue, its slot again.
func (l *Lookup) resume(c *candidate) {
	c.settleNaming(waiting)
	c.state = waiting
	l.paths[c.path].waiting++
	l.events++
}

// patient returns until when a lookup that would be over waits for late answers, if
// most are late. Then our own connection, or machine, is slow, and the contacts that
// have answered need not be the closest.
func (l *Lookup) patient(now time.Time) (until time.Time, ok bool) {
	if l.cfg.SlowAfter < 0 || l.stopped() || len(l.overdue) <= len(l.answered) {
		return time.Time{}, false
	}
	for _, c := range l.overdue {
		if end := c.since.Add(l.cfg.SlowAfter); now.Before(end) && (!ok || end.Before(until)) {
			until, ok = end, true
		}
	}
	return until, ok
}

// wakeAt returns when the next request becomes slow.
func (l *Lookup) wakeAt(now time.Time) time.Time {
	if len(l.inFlight) == 0 {
		return now.Add(maxWait)
	}
	return l.inFlight[0].slowAt
}

// waiting returns how many requests hold a slot.
func (l *Lookup) waiting() int {
	n := 0
	for _, p := range l.paths {
		n += p.waiting
	}
	return n
}

// most returns how many requests may be in flight, slow ones included: dials of dead
// peers hang for seconds, and without a bound 39 were in flight where two fifths are
// dead.
func (l *Lookup) most() int { return 2 * max(l.cfg.Alpha, l.cfg.Paths) }

// crowdedOut returns the contact to drop before one more is asked: the one that has
// been slow for longest, or nil if there is room. While the lookup persists, the closest
// are not dropped: up to K more requests are in flight then, and up to 4 K around a crowd.
func (l *Lookup) crowdedOut() *candidate {
	if len(l.overdue) == 0 || l.waiting()+len(l.overdue) < l.most() {
		return nil
	}
	if !l.persists() {
		return l.overdue[0]
	}
	near := l.inReach()
	for _, c := range l.overdue {
		if !slices.Contains(near, c) {
			return c
		}
	}
	return nil
}
