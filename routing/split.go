package routing

import (
	"slices"
	"time"
)

// In this file contacts enter and leave the buckets of a table, and buckets split and
// collapse with them.

// lastFor returns the index that the last bucket will have once it has split as
// often as a newcomer of that CPL needs to fit. If no split helps, it is the
// index it has: all contacts of a full bucket, and the newcomer, share one CPL,
// or the newcomer does not belong in the last bucket.
//
// Source: Kademlia paper, section 2.4.
func (t *Table) lastFor(cpl int) int {
	last := len(t.buckets) - 1
	entries := t.buckets[last].entries
	if cpl < last || len(entries) < t.cfg.K {
		return last
	}
	if !slices.ContainsFunc(entries, func(e *entry) bool { return e.cpl != cpl }) {
		return last
	}
	for {
		beside := 0
		for _, e := range entries {
			if min(e.cpl, last) == min(cpl, last) {
				beside++
			}
		}
		if beside < t.cfg.K {
			return last
		}
		last++
	}
}

// admits reports whether the limits leave room for one more contact of that
// Group at that CPL, in a table with its last bucket at the index last.
func (t *Table) admits(group string, cpl, last int) bool {
	if group == "" {
		return true
	}
	if limit := t.cfg.MaxPerGroupTotal; limit >= 0 && t.groups[group] >= limit {
		return false
	}
	if t.cfg.MaxPerGroup < 0 {
		return true
	}
	beside := 0
	for _, e := range t.bucket(cpl).entries {
		if e.Group == group && min(e.cpl, last) == min(cpl, last) {
			beside++
		}
	}
	return beside < t.cfg.MaxPerGroup
}

// yieldPending makes room for one more pending contact of that Group: with it,
// bucket and pending together hold at most MaxPerGroup, unless the bucket has
// them already. Otherwise one network could hold all places in the queue.
func (t *Table) yieldPending(b *bucket, group string) {
	if group == "" || t.cfg.MaxPerGroup < 0 {
		return
	}
	of := func(e *entry) bool { return e.Group == group }
	n := 0
	for _, entries := range [][]*entry{b.entries, b.pending} {
		for _, e := range entries {
			if of(e) {
				n++
			}
		}
	}
	if n < t.cfg.MaxPerGroup {
		return
	}
	for i, e := range slices.Backward(b.pending) {
		if of(e) {
			b.pending = slices.Delete(b.pending, i, i+1)
			return
		}
	}
}

// enter adds e to b, which has room.
func (t *Table) enter(b *bucket, e *entry) {
	e.claim = false
	b.insert(e)
	t.count(e.Group, +1)
	t.size++
	t.changed(Entered, e.Contact)
	t.moved(e.cpl)
}

// remove takes e out of b. The newest pending contact takes its place; if there
// is none, buckets may collapse.
func (t *Table) remove(b *bucket, e *entry) {
	t.vacate(b, e)
	t.promote(b)
	t.collapse()
	if t.size == 0 {
		t.audit = audit{} // a node without contacts is new, not offline
	}
}

// vacate takes e out of b, and leaves its place empty.
func (t *Table) vacate(b *bucket, e *entry) {
	b.remove(e)
	t.clearMiss(e)
	if e.suspect {
		t.audit.suspects--
	}
	t.scanned = false
	t.count(e.Group, -1)
	t.size--
	t.changed(Left, e.Contact)
	t.moved(e.cpl)
	e.suspect, e.near, e.deadline = false, false, time.Time{}
}

// promote fills the room in b with pending contacts, newest first. If the Group of one
// is at its limit, it stays pending.
func (t *Table) promote(b *bucket) {
	for i := 0; i < len(b.pending) && len(b.entries) < t.cfg.K; {
		e := b.pending[i]
		if !t.admits(e.Group, e.cpl, len(t.buckets)-1) {
			i++
			continue
		}
		b.pending = slices.Delete(b.pending, i, i+1)
		t.enter(b, e)
	}
}

// count adds n to the number of contacts of a Group.
func (t *Table) count(group string, n int) {
	if group == "" {
		return
	}
	if t.groups[group] += n; t.groups[group] == 0 {
		delete(t.groups, group)
	}
}

// split divides the last bucket in two: its own CPL, and all above.
func (t *Table) split() {
	last := len(t.buckets) - 1
	t.buckets = append(t.buckets, t.buckets[last].split(last))
}

// collapse merges the last two buckets while one of them is empty: a table that
// has shrunk looks like one that never grew.
func (t *Table) collapse() {
	for len(t.buckets) > 1 {
		last := len(t.buckets) - 1
		low, high := t.buckets[last-1], t.buckets[last]
		if len(low.entries) > 0 && len(high.entries) > 0 {
			return
		}
		t.buckets = slices.Delete(t.buckets, last, last+1)
		low.absorb(high)
	}
}
