package routing

import (
	"slices"
	"time"
)

// Due returns up to n contacts that are to be probed now, and when to call it
// again; the zero time means not before something was Seen or Updated. To be
// probed are
//
//   - the head of a full bucket that a newcomer challenges, once per newcomer,
//   - a contact that has been silent for its interval, and up to half of that more by its key,
//   - a contact with new addresses, or one that [Table.Doubt] named,
//   - a contact that did not answer, 10s later, and twice as late with each miss.
//
// Each of them is then awaited until [Table.Checked], Seen or Failed records what came
// of it; CheckTimeout later it counts as failed, at the next call of Due. Its clock
// starts here and not with the challenge, so that each contact is asked before it is
// removed.
//
// If so many did not answer that we may be cut off ourselves, a few witnesses are
// probed instead, at once and then every 2s, and less often in a long outage.
//
// Contacts that are due beyond n stay due, and next does not count them: call
// Due again when there is room for more probes.
//
// Source: Kademlia paper, section 2.2, and 4.1 for the delay of probes.
func (t *Table) Due(now time.Time, n int) (probe []Contact, next time.Time) {
	t.begin()
	if t.idle(now, n) {
		return nil, t.wakeAt
	}
	t.expireChecks(now)
	if !t.audit.since.IsZero() {
		return t.probeWitnesses(now, n)
	}
	due, next := t.plan(now)
	for _, e := range due[:min(max(n, 0), len(due))] {
		t.ask(now, e)
		if next.IsZero() || e.deadline.Before(next) {
			next = e.deadline
		}
		probe = append(probe, e.Contact)
	}
	t.agenda = agenda{scanned: true, wakeAt: next, backlog: len(probe) < len(due)}
	return probe, next
}

// An agenda is what Due found when it last looked at all contacts.
type agenda struct {
	scanned bool      // nothing has changed since that could make a contact due earlier
	wakeAt  time.Time // when a contact is due, or a probe late, at the earliest; zero if never
	backlog bool      // more contacts were due than there was room for
}

// idle reports whether no contact is due, without looking at all of them.
func (t *Table) idle(now time.Time, n int) bool {
	return t.scanned && t.audit.since.IsZero() &&
		(t.wakeAt.IsZero() || now.Before(t.wakeAt)) && (n <= 0 || !t.backlog)
}

// replan changes when e is due, and keeps the agenda.
func (t *Table) replan(e *entry, change func()) {
	before := e.wakes()
	change()
	after := e.wakes()
	if before.Equal(t.wakeAt) || !after.IsZero() && (t.wakeAt.IsZero() || after.Before(t.wakeAt)) {
		t.scanned = false
	}
}

// ask records that Due names e at now.
func (t *Table) ask(now time.Time, e *entry) {
	e.asked = now
	e.deadline = now.Add(t.cfg.CheckTimeout)
}

// plan returns the contacts that are due, the most urgent first, and when the
// next one is, or a probe late.
func (t *Table) plan(now time.Time) (due []*entry, next time.Time) {
	var others []*entry
	for _, b := range t.buckets {
		challenged := len(b.entries) == t.cfg.K && b.challenged()
		for i, e := range b.entries {
			at := e.wakes()
			switch {
			case i == 0 && challenged && !e.suspect && !e.checking():
				due = append(due, e) // a head goes first: a newcomer waits for it
			case at.IsZero():
			case at.After(now):
				if next.IsZero() || at.Before(next) {
					next = at
				}
			default:
				others = append(others, e)
			}
		}
	}
	slices.SortStableFunc(others, func(a, b *entry) int { return a.due.Compare(b.due) })
	return append(due, others...), next
}

// Doubt records that the connection of c ended, or that its answer is late. The
// contact is then due for a probe at once, and Doubt reports whether it made it so.
// For this reason it is due once per ProbeAfter at most, and once per CheckTimeout:
// connections of peers that are well end all the time.
func (t *Table) Doubt(now time.Time, c Contact) bool {
	t.begin()
	e := t.bucket(t.self.CPL(c.Key)).find(c.Key)
	if e == nil || e.checking() {
		return false
	}
	if rest := max(t.cfg.ProbeAfter, t.cfg.CheckTimeout); !e.doubted.IsZero() && now.Sub(e.doubted) < rest {
		return false
	}
	e.doubted = now
	e.due = now
	t.scanned = false
	return true
}

// Asked records that c has sent a request at now. It is alive, so that there is no hurry to probe
// it: it is due when it has been silent for its interval from now on, and when it has not answered
// for two of them at the latest. A contact that is due by now, is being probed, or has not answered
// the last time is due as before.
func (t *Table) Asked(now time.Time, c Contact) {
	t.begin()
	e := t.bucket(t.self.CPL(c.Key)).find(c.Key)
	if e == nil || e.checking() || e.suspect || !e.due.After(now) {
		return
	}
	later, last := now.Add(e.silence()), e.seen.Add(2*e.silence())
	if last.Before(later) {
		later = last
	}
	if later.After(e.due) {
		t.replan(e, func() { e.due = later })
	}
}

// Postponed takes back a probe of c that [Table.Due] asked for: it was not made, or
// failed because we are offline. The contact stays, and is due again after
// CheckTimeout. Postponed reports whether the probe was awaited.
func (t *Table) Postponed(now time.Time, c Contact) bool {
	t.begin()
	e := t.bucket(t.self.CPL(c.Key)).find(c.Key)
	if e == nil || !e.checking() {
		return false
	}
	e.deadline = time.Time{}
	e.due = now.Add(t.cfg.CheckTimeout)
	t.scanned = false
	return true
}

// expireChecks records a miss of each contact that was probed and did not answer in
// time.
func (t *Table) expireChecks(now time.Time) {
	for _, b := range t.buckets {
		for _, e := range b.entries {
			if e.checking() && !e.deadline.After(now) {
				t.miss(now, e)
			}
		}
	}
}
