package routing

import "time"

// This file tells contacts that are gone from a connection of our own that is down:
// both show as requests without an answer.

const (
	// maxScore is what the answers of a contact can earn it. A miss takes a third,
	// rounded up, so that it survives four misses in a row, and not the fifth.
	//
	// Source: Kademlia paper, section 4.1, for the five.
	maxScore = 8

	// retryAfter is when a contact that did not answer is probed again; it doubles
	// with each miss in a row, up to maxRetries times.
	retryAfter = 10 * time.Second
	maxRetries = 6

	// outageMisses is how many contacts have to miss before it may be our own connection;
	// all, if there are fewer.
	outageMisses = 8

	// missesPerAnswer is for how many misses one contact that answers speaks: if more than
	// four fifths of all contacts fail at once, that is more likely to be our connection.
	// A connection to a neighbour, or on the same machine, outlives all others.
	missesPerAnswer = 4

	// outageDoubt is how long contacts that answer may be too few for the misses: after it,
	// they are believed.
	outageDoubt = time.Minute

	// outageAfter is how long too few answers may come after that before we are offline:
	// the time that witnesses have.
	outageAfter = 3 * time.Second

	// witnesses is how many contacts are probed at a time to find out whether our
	// connection is down.
	witnesses = 3

	// minWitnessAfter and maxWitnessAfter bound the wait between such probes. It
	// is outageShare of the time that the outage has lasted.
	minWitnessAfter = 2 * time.Second
	maxWitnessAfter = 30 * time.Second
	outageShare     = 150
)

// An audit counts the contacts that did not answer, and what speaks for our connection.
type audit struct {
	suspects int              // contacts that have missed since they last answered
	missed   int              // contacts with a miss that has not counted yet
	hindered int              // of them, the ones to which a request failed here
	answered map[Key]struct{} // peers that have answered since the first such miss
	heard    time.Time        // when the first of them did
	since    time.Time        // when so many had missed that it may be us; zero if not
	witness  time.Time        // when to probe the next witnesses
	late     time.Duration    // see Table.Late
}

// speaksFor reports whether enough contacts have answered for so many misses.
func (a *audit) speaksFor(misses int) bool {
	return len(a.answered) >= max(1, misses/missesPerAnswer)
}

// forget begins anew: no miss waits for an answer.
func (a *audit) forget() { a.answered, a.heard, a.since = nil, time.Time{}, time.Time{} }

// Offline reports whether we are offline at now: 8 contacts missed, or all, or requests to
// them failed here, and for 3s fewer than a quarter as many have answered. While it is true,
// no contact is removed. The answers that are missing end it: the misses do not count then,
// and all contacts are due for a probe. Fewer answers, as from a single neighbour, are
// believed after 1m, unless most requests failed here: then the misses count.
func (t *Table) Offline(now time.Time) bool {
	return !t.audit.since.IsZero() && now.Sub(t.audit.since) >= outageAfter+t.audit.late
}

// Late has Offline wait for answers for so much longer than 3s, until it is called again: on
// a machine whose own timers fire late, all answers come late. While we are offline, nothing
// but answers ends that, however late the machine becomes.
func (t *Table) Late(now time.Time, by time.Duration) {
	if !t.Offline(now) {
		t.audit.late = by
	}
}

// Live reports whether t has contacts to ask, and we are not offline.
func (t *Table) Live(now time.Time) bool { return t.size > 0 && !t.Offline(now) }

// Hindered records that a request to c failed here: a file descriptor was lacking, or a way
// to any peer. That costs c nothing. It shows an outage as a miss does.
func (t *Table) Hindered(now time.Time, c Contact) {
	t.begin()
	e := t.bucket(t.self.CPL(c.Key)).find(c.Key)
	if e == nil || e.missed {
		return
	}
	e.missed, e.hindered = true, true
	t.audit.missed++
	t.audit.hindered++
	t.suspectOutage(now)
}

// miss records that e, which is held, did not answer. It counts when enough contacts have
// answered.
func (t *Table) miss(now time.Time, e *entry) {
	e.deadline = time.Time{}
	e.due = now.Add(retryAfter << e.misses)
	e.misses = min(e.misses+1, maxRetries)
	t.scanned = false
	if e.blind { // it was asked while we were offline
		e.blind = false
		if t.audit.since.IsZero() {
			e.due = now
			return
		}
	}
	if !e.suspect {
		e.suspect = true
		t.audit.suspects++
		t.changed(Suspected, e.Contact)
	}
	if !e.missed {
		e.missed = true
		t.audit.missed++
	}
	t.clearHindered(e)
	t.suspectOutage(now)
}

// suspectOutage follows, after a miss, whether it may be our own connection.
func (t *Table) suspectOutage(now time.Time) {
	a := &t.audit
	if a.since.IsZero() && a.missed >= min(outageMisses, t.size) && !a.speaksFor(a.missed) {
		a.since, a.witness = now, now
		t.scanned = false
	}
}

// heard records that the contact with the key by answered at now. When enough have, that
// proves that we are online, so that the misses before it count; unless we were offline.
func (t *Table) heard(now time.Time, by Key) {
	a, offline := &t.audit, t.Offline(now)
	if e := t.bucket(t.self.CPL(by)).find(by); e != nil {
		t.clearMiss(e)
	}
	if a.missed == 0 && !offline {
		t.scanned = t.scanned && a.since.IsZero()
		a.forget()
		return
	}
	if _, again := a.answered[by]; !again {
		if a.answered == nil {
			a.answered, a.heard = make(map[Key]struct{}), now
		}
		a.answered[by] = struct{}{}
		a.witness = now // others are likely to answer too
	}
	believed := now.Sub(a.heard) >= outageDoubt && 2*a.hindered < a.missed
	switch {
	case offline && a.speaksFor(a.missed):
		t.settle(now, true)
	case a.speaksFor(max(a.suspects, a.missed)) && !offline, believed:
		t.settle(now, false)
	case !a.since.IsZero() && !offline && a.speaksFor(a.missed):
		a.since = time.Time{}
		t.scanned = false
	}
}

// settle ends what the audit has seen so far. The misses count, unless they were those of an
// outage: then no contact is suspect, and all are due for a probe.
func (t *Table) settle(now time.Time, outage bool) {
	t.audit.forget()
	t.scanned = false
	var gone []*entry
	for _, b := range t.buckets {
		for _, e := range b.entries {
			counts := e.missed && !e.hindered
			if outage && !e.checking() {
				e.due = now
			}
			t.clearMiss(e)
			switch {
			case outage:
				t.clear(e)
			case counts:
				if e.score -= (e.score + 2) / 3; e.score == 0 {
					gone = append(gone, e)
				}
			}
		}
	}
	for _, e := range gone {
		t.remove(t.bucket(e.cpl), e) // buckets may have collapsed for the one before
	}
}

// clearMiss takes back the miss of e that has not counted yet.
func (t *Table) clearMiss(e *entry) {
	if e.missed {
		e.missed = false
		t.audit.missed--
	}
	t.clearHindered(e)
}

// clearHindered takes back that the miss of e was a failure here.
func (t *Table) clearHindered(e *entry) {
	if e.hindered {
		e.hindered = false
		t.audit.hindered--
	}
}

// clear makes e no suspect any more.
func (t *Table) clear(e *entry) {
	if e.suspect {
		e.suspect = false
		t.audit.suspects--
		t.changed(Cleared, e.Contact)
	}
}

// probeWitnesses returns the contacts to probe when we may be cut off, and when to
// probe the next ones. Contacts that did not miss come first, then the ones that were
// last asked the longest time ago. The more contacts have answered, the more are probed.
func (t *Table) probeWitnesses(now time.Time, n int) (probe []Contact, next time.Time) {
	if now.Before(t.audit.witness) {
		return nil, t.audit.witness
	}
	for len(probe) < min(n, witnesses*(1+len(t.audit.answered))) {
		var best *entry
		for _, b := range t.buckets {
			for _, e := range b.entries {
				if !e.checking() && (best == nil || e.witnessBefore(best)) {
					best = e
				}
			}
		}
		if best == nil {
			break
		}
		t.ask(now, best)
		best.blind = true
		probe = append(probe, best.Contact)
	}
	if n > 0 { // without room, at once when there is some
		wait := now.Sub(t.audit.since) / outageShare
		t.audit.witness = now.Add(min(max(wait, minWitnessAfter), maxWitnessAfter))
	}
	return probe, now.Add(minWitnessAfter)
}

// witnessBefore reports whether e is a better witness than other.
func (e *entry) witnessBefore(other *entry) bool {
	if e.missed != other.missed {
		return !e.missed
	}
	if !e.asked.Equal(other.asked) {
		return e.asked.Before(other.asked)
	}
	return e.seen.After(other.seen)
}

// Stats are the gauges of a [Table].
type Stats struct {
	Contacts int  // in buckets
	Suspects int  // of them, the ones that did not answer when they were last asked
	Pending  int  // newcomers that wait for a place
	Offline  bool // see [Table.Offline]
}

// Stats returns the gauges of the table.
func (t *Table) Stats(now time.Time) Stats {
	s := Stats{Contacts: t.size, Suspects: t.audit.suspects, Offline: t.Offline(now)}
	for _, b := range t.buckets {
		s.Pending += len(b.pending)
	}
	return s
}
