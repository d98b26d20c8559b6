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

// A bound limits how many contacts of a table may be of one network of addresses: of one
// Group, or of one Network.
type bound struct {
	of              func(*Contact) string
	most, least     int // in the table; negative: any number
	perMost, perMin int // in a bucket; negative: any number
	count           map[string]int
}

const (
	// groupsInNetwork is how many Groups may have all of their places in a bucket, if they are
	// in one Network, and networkPlaces how many may have all of their places in a table. Where
	// contacts come from many networks, it is 2 Groups.
	groupsInNetwork = 10
	networkPlaces   = 8
)

// boundsOf returns the bounds of a table.
func boundsOf(cfg TableConfig) [2]bound {
	perGroup, total := cfg.MaxPerGroup, cfg.MaxPerGroupTotal
	least := total
	if perGroup > 0 {
		least = min(total, perGroup)
	}
	return [2]bound{
		{
			of: func(c *Contact) string { return c.Group }, count: make(map[string]int),
			most: total, least: least, perMost: perGroup, perMin: perGroup,
		},
		{
			of: func(c *Contact) string { return c.Network }, count: make(map[string]int),
			most: networkPlaces * total, least: 2 * least, perMost: groupsInNetwork * perGroup, perMin: 2 * perGroup,
		},
	}
}

// shared returns the limit where contacts come from so many networks: the most for one or
// two, the least for many. All that are at their limit have twice the most together, or each
// has the least. A node among peers of one network needs them all, and one among peers of
// many loses nothing without those of an attacker that has some.
func shared(most, least, networks int) int { return min(most, max(least, 2*most/max(1, networks))) }

// admits reports whether the bounds leave room for c at a CPL, in a table with its last bucket
// at the index last.
func (t *Table) admits(c *Contact, cpl, last int) bool {
	for _, b := range t.bounds {
		name := b.of(c)
		if name == "" {
			continue
		}
		networks := len(b.count)
		if b.count[name] == 0 {
			networks++
		}
		if b.most >= 0 && b.count[name] >= shared(b.most, b.least, networks) {
			return false
		}
		if b.perMost < 0 {
			continue
		}
		beside := 0
		for _, e := range t.bucket(cpl).entries {
			if b.of(&e.Contact) == name && min(e.cpl, last) == min(cpl, last) {
				beside++
			}
		}
		if beside >= shared(b.perMost, b.perMin, networks) {
			return false
		}
	}
	return true
}

// unqueue takes e out of the pending. A head that it has challenged may be due no more.
func (t *Table) unqueue(b *bucket, e *entry) {
	b.pending = without(b.pending, e)
	t.scanned = false
}

// yieldPending makes room for c among the pending: with it, bucket and pending together hold
// at most MaxPerGroup of its Group, and twice that of its Network, unless the bucket has
// them already. Otherwise one network could hold all places in the queue.
func (t *Table) yieldPending(b *bucket, c *Contact) {
	for _, bound := range t.bounds {
		name := bound.of(c)
		if name == "" || bound.perMin < 0 {
			continue
		}
		same := func(e *entry) bool { return bound.of(&e.Contact) == name }
		n := 0
		for _, entries := range [][]*entry{b.entries, b.pending} {
			for _, e := range entries {
				if same(e) {
					n++
				}
			}
		}
		if n < bound.perMin {
			continue
		}
		for i, e := range slices.Backward(b.pending) {
			if same(e) {
				b.pending = slices.Delete(b.pending, i, i+1)
				break
			}
		}
	}
}

// enter adds e to b, which has room.
func (t *Table) enter(b *bucket, e *entry) {
	e.claim = false
	b.insert(e)
	t.count(&e.Contact, +1)
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
	t.count(&e.Contact, -1)
	t.size--
	t.changed(Left, e.Contact)
	t.moved(e.cpl)
	e.suspect, e.near, e.deadline = false, false, time.Time{}
}

// promote fills the room in b with pending contacts, newest first, or one that is clearly
// nearer. One whose Group or Network is at its limit stays pending.
func (t *Table) promote(b *bucket) {
	for len(b.entries) < t.cfg.K {
		e := t.successor(b)
		if e == nil {
			return
		}
		t.unqueue(b, e)
		t.enter(b, e)
	}
}

// count adds n to the numbers of contacts of the networks of c.
func (t *Table) count(c *Contact, n int) {
	for _, b := range t.bounds {
		name := b.of(c)
		if name == "" {
			continue
		}
		if b.count[name] += n; b.count[name] == 0 {
			delete(b.count, name)
		}
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
