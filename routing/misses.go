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

	// outageMisses is how many contacts have to miss, with no answer in between, before
	// it may be our own connection; all, if there are fewer.
	outageMisses = 8

	// outageAfter is how long no answer may come after that before we are offline: the
	// time that witnesses have.
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

// An audit counts the contacts that did not answer.
type audit struct {
	suspects int       // contacts that have missed since they last answered
	missed   int       // of them, the ones that missed since the last answer of any contact
	since    time.Time // when so many had missed that it may be us; zero if not
	witness  time.Time // when to probe the next witnesses
}

// Offline reports whether we are offline at now: 8 contacts missed, or all, and for 3s
// no contact has answered. While it is true, no contact is removed. The first answer
// ends it: the misses do not count then, and all contacts are due for a probe.
func (t *Table) Offline(now time.Time) bool {
	return !t.audit.since.IsZero() && now.Sub(t.audit.since) >= outageAfter
}

// Live reports whether t has contacts to ask, and we are not offline.
func (t *Table) Live(now time.Time) bool { return t.size > 0 && !t.Offline(now) }

// miss records that e, which is held, did not answer. It counts when another contact
// answers.
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
	if t.audit.since.IsZero() && t.audit.missed >= min(outageMisses, t.size) {
		t.audit.since, t.audit.witness = now, now
	}
}

// heard records that the contact with the key by answered at now. That proves that we
// are online, so that the misses before it count; unless we were offline.
func (t *Table) heard(now time.Time, by Key) {
	offline := t.Offline(now)
	if !t.audit.since.IsZero() {
		t.audit.since = time.Time{}
		t.scanned = false
	}
	if t.audit.missed == 0 && !offline {
		return
	}
	var gone []*entry
	for _, b := range t.buckets {
		for _, e := range b.entries {
			missed := e.missed
			t.clearMiss(e)
			switch {
			case offline:
				t.clear(e)
				if !e.checking() {
					e.due = now
				}
			case missed && e.Key != by:
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

// clearMiss takes back that e has missed since the last answer.
func (t *Table) clearMiss(e *entry) {
	if e.missed {
		e.missed = false
		t.audit.missed--
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
// last asked the longest time ago.
func (t *Table) probeWitnesses(now time.Time, n int) (probe []Contact, next time.Time) {
	if now.Before(t.audit.witness) {
		return nil, t.audit.witness
	}
	for len(probe) < min(n, witnesses) {
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
