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
//   - a contact that has been silent for longer than its interval,
//   - a contact whose addresses have changed, or that [Table.Doubt] named.
//
// Each of them is then awaited until [Table.Checked], Seen or Failed tells of
// it; CheckTimeout later it counts as failed, at the next call of Due. Its clock
// starts here and not with the challenge, so that nobody is removed without
// having been asked.
//
// Contacts that are due beyond n stay due, and next does not count them: call
// Due again when there is room for more probes.
//
// Source: Kademlia paper, section 2.2, and 4.1 for the delay of probes.
func (t *Table) Due(now time.Time, n int) (probe []Contact, next time.Time) {
	t.begin()
	t.expireChecks(now)
	var heads, others []*entry
	wake := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	for _, b := range t.buckets {
		challenged := len(b.entries) == t.cfg.K && b.challenged()
		for i, e := range b.entries {
			switch {
			case e.checking():
				wake(e.deadline)
			case i == 0 && challenged:
				heads = append(heads, e)
			case e.due.IsZero():
			case e.due.After(now):
				wake(e.due)
			default:
				others = append(others, e)
			}
		}
	}
	// Heads go first: somebody waits for them.
	slices.SortStableFunc(others, func(a, b *entry) int { return a.due.Compare(b.due) })
	for _, e := range append(heads, others...) {
		if len(probe) >= n {
			break
		}
		e.deadline = now.Add(t.cfg.CheckTimeout)
		wake(e.deadline)
		probe = append(probe, e.Contact)
	}
	return probe, next
}

// Doubt records that something speaks against c, and no more than that: its
// connection ended, or its answer is late. A contact is then due for a probe at
// once, but for that reason not more than once per ProbeAfter, nor more often
// than CheckTimeout: connections of peers that are well end all the time. Doubt
// reports whether it made c due.
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
	return true
}

// Postponed takes back a probe that [Table.Due] asked for and that says nothing
// about c: it was not made, or failed because we are offline. The contact stays,
// and is due again after CheckTimeout. Postponed reports whether the probe was
// awaited.
func (t *Table) Postponed(now time.Time, c Contact) bool {
	t.begin()
	e := t.bucket(t.self.CPL(c.Key)).find(c.Key)
	if e == nil || !e.checking() {
		return false
	}
	e.deadline = time.Time{}
	e.due = now.Add(t.cfg.CheckTimeout)
	return true
}

// expireChecks removes the contacts that were probed and did not answer in time.
func (t *Table) expireChecks(now time.Time) {
	var late []*entry
	for _, b := range t.buckets {
		for _, e := range b.entries {
			if e.checking() && !e.deadline.After(now) {
				late = append(late, e)
			}
		}
	}
	for _, e := range late {
		t.remove(t.bucket(e.cpl), e) // buckets may have collapsed for the one before
	}
}
