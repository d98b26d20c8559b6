package routing

import (
	"slices"
	"time"
)

// An Outcome is what [Table.Seen] did with a contact.
type Outcome uint8

// The outcomes of [Table.Seen].
const (
	Rejected  Outcome = iota // not held: it is ourselves, or its Group or Network is at a limit
	Added                    // new in a bucket, for which another one may have to wait
	Refreshed                // held before, now the most recently seen of its bucket
	Pending                  // its bucket is full: it waits for a place
)

// String returns the name of o in lower case.
func (o Outcome) String() string {
	switch o {
	case Rejected:
		return "rejected"
	case Added:
		return "added"
	case Refreshed:
		return "refreshed"
	case Pending:
		return "pending"
	}
	return "invalid"
}

// A TableConfig configures a [Table]. The zero value of a field means its
// default, so TableConfig{} is a working configuration.
type TableConfig struct {
	// K is the number of contacts per bucket. If zero, 20.
	//
	// Spec: libp2p kad-dht, "Replication parameter (k)".
	K int

	// ProbeAfter is how long a contact may be silent before it is probed, and up to
	// half of that more, so that contacts seen at once are probed apart. If zero, 10m.
	// If negative, silence alone is no reason to probe. The interval of one contact
	// doubles with each probe that it answers, up to 8 times ProbeAfter, and is
	// ProbeAfter again when its addresses change.
	ProbeAfter time.Duration

	// CheckTimeout is how long a probed contact has to answer before it counts
	// as failed. If zero, 60s.
	CheckTimeout time.Duration

	// MaxPerGroup is the number of contacts of one Group per bucket, so that no
	// bucket is filled from one network. If zero, 2. If negative, unlimited. Of one Network,
	// a bucket has twice that, or up to 10 times where contacts are of one or two Networks.
	MaxPerGroup int

	// MaxPerGroupTotal is the number of contacts of one Group in the table, if all are of
	// one or two Groups. It falls to MaxPerGroup where they are of many, so that the groups
	// that have more places have twice this number together. If
	// zero, 10. If negative, unlimited. Of one Network, a table has twice MaxPerGroup, or up
	// to 8 times this number where contacts are of one or two Networks.
	MaxPerGroupTotal int
}

// withDefaults returns c with every zero field set to its default.
func (c TableConfig) withDefaults() TableConfig {
	setDefault(&c.K, 20)
	setDefault(&c.ProbeAfter, 10*time.Minute)
	setDefault(&c.CheckTimeout, time.Minute)
	setDefault(&c.MaxPerGroup, 2)
	setDefault(&c.MaxPerGroupTotal, 10)
	return c
}

// setDefault sets a field that is zero to its default.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// A Table is a routing table: the contacts that have answered us, in buckets by
// the length of the prefix they share with our key. Only the last bucket, which
// holds that prefix length and all above, splits.
//
// Only [Table.Seen] adds a contact, so that every contact in it has answered us. A
// contact that does not answer any more loses its score, and then its place, while
// others answer. If no other answers, we may be offline ourselves. A Table is not safe
// for concurrent use. Times given to it must not go back.
//
// Source: Kademlia paper, sections 2.2, 2.4 and 4.1.
type Table struct {
	self    Key
	cfg     TableConfig
	buckets []*bucket // by CPL; the last one also holds all CPLs above its own
	bounds  [2]bound  // of the contacts in buckets, by Group and by Network
	size    int       // contacts in buckets
	audit   audit
	agenda
	refreshes [MaxRefreshCPL + 1]refresh // by CPL
	changes   []Change                   // of the last call
}

// NewTable returns the empty table of the node with the key self. It panics if
// K or CheckTimeout is negative.
func NewTable(self Key, cfg TableConfig) *Table {
	if cfg.K < 0 || cfg.CheckTimeout < 0 {
		panic("routing: negative K or CheckTimeout")
	}
	cfg = cfg.withDefaults()
	return &Table{self: self, cfg: cfg, buckets: []*bucket{{}}, bounds: boundsOf(cfg)}
}

// Seen records that c answered us at now. A contact that is held becomes the
// most recently seen of its bucket; a new one is added, or waits if the bucket
// is full: then it challenges the head of the bucket, and [Table.Due] names the head.
//
// A nil Wire leaves the addresses as they are known. A held contact that has
// moved to a Group at its limit is removed and Rejected.
func (t *Table) Seen(now time.Time, c Contact) Outcome {
	t.begin()
	if c.Key == t.self {
		return Rejected
	}
	cpl := t.self.CPL(c.Key)
	// With this answer, a contact that has missed may lose its place, and c may take it.
	enters := t.audit.missed > 0 && t.bucket(cpl).find(c.Key) == nil
	t.heard(now, c.Key)
	b := t.bucket(cpl)
	if e := b.find(c.Key); e != nil {
		if out := t.refresh(now, b, e, c); out != Refreshed || !enters {
			return out
		}
		return Added
	}
	e := b.findPending(c.Key)
	if e == nil {
		e = &entry{Contact: c, cpl: cpl, claim: true}
		e.Doubtful = false // it has just answered
	} else {
		t.unqueue(b, e)
		t.adopt(b, e, c)
	}
	e.interval = t.cfg.ProbeAfter
	e.touch(now)
	return t.place(e)
}

// Failed records that c did not answer. A pending contact goes at once. One that
// is held becomes suspect: it is not handed to others, and is probed again. When
// another contact answers, it loses a third of the score that its answers have earned
// it, and with the last of it its place, which the newest pending contact takes.
// Failed reports whether c was there.
func (t *Table) Failed(now time.Time, c Contact) bool {
	t.begin()
	b := t.bucket(t.self.CPL(c.Key))
	if e := b.find(c.Key); e != nil {
		t.miss(now, e)
		return true
	}
	if e := b.findPending(c.Key); e != nil {
		t.unqueue(b, e)
		return true
	}
	return false
}

// Remove takes c out of the table: it does not serve any more. The newest pending
// contact takes its place. Remove reports whether c was there.
func (t *Table) Remove(c Contact) bool {
	t.begin()
	b := t.bucket(t.self.CPL(c.Key))
	if e := b.find(c.Key); e != nil {
		t.remove(b, e)
		return true
	}
	if e := b.findPending(c.Key); e != nil {
		t.unqueue(b, e)
		return true
	}
	return false
}

// Checked records the outcome of a probe that [Table.Due] asked for. It is like Seen
// or Failed, and has no effect if the probe is not awaited any more: a contact that was
// removed meanwhile stays out, and one that answered another request stays in. Checked
// reports whether the probe was awaited.
func (t *Table) Checked(now time.Time, c Contact, alive bool) bool {
	t.begin()
	b := t.bucket(t.self.CPL(c.Key))
	e := b.find(c.Key)
	if e == nil || !e.checking() {
		return false
	}
	if !alive {
		t.miss(now, e)
		return true
	}
	t.heard(now, c.Key)
	b = t.bucket(e.cpl) // with that answer, others may have gone
	t.refresh(now, b, e, c)
	return true
}

// Update records new addresses, and with them the Group, of a contact that is
// held or pending. If they differ from what was known, it is due for a probe at
// once, and its interval is ProbeAfter again. Update reports whether c is known. A
// contact that moved to a Group at its limit is removed, and not known any more.
func (t *Table) Update(now time.Time, c Contact) bool {
	t.begin()
	b := t.bucket(t.self.CPL(c.Key))
	e := b.find(c.Key)
	held := e != nil
	if !held {
		if e = b.findPending(c.Key); e == nil {
			return false
		}
	}
	if e.moves(c) {
		e.interval = t.cfg.ProbeAfter
		e.due = now
		t.scanned = false
	}
	if !t.adopt(b, e, c) {
		t.remove(b, e)
		return false
	}
	return true
}

// Wants reports whether c, which has not answered us yet, is worth a probe: it is
// another node than ourselves, unknown, within the limits of its Group, and its bucket
// has room for it or for another replacement.
func (t *Table) Wants(c Contact) bool {
	if c.Key == t.self {
		return false
	}
	cpl := t.self.CPL(c.Key)
	b := t.bucket(cpl)
	if b.find(c.Key) != nil || b.findPending(c.Key) != nil {
		return false
	}
	last := t.lastFor(cpl)
	if last == len(t.buckets)-1 && len(b.entries) == t.cfg.K && len(b.pending) == maxPending {
		return false
	}
	return t.admits(&c, cpl, last)
}

// bucket returns the bucket for contacts of that CPL.
func (t *Table) bucket(cpl int) *bucket {
	return t.buckets[min(cpl, len(t.buckets)-1)]
}

// place puts e in its bucket, which may split for it, or among the pending.
func (t *Table) place(e *entry) Outcome {
	last := t.lastFor(e.cpl)
	if !t.admits(&e.Contact, e.cpl, last) {
		return Rejected
	}
	for len(t.buckets)-1 < last {
		t.split()
	}
	b := t.bucket(e.cpl)
	t.scanned = false
	if len(b.entries) < t.cfg.K {
		t.enter(b, e)
		return Added
	}
	t.yieldPending(b, &e.Contact)
	b.queue(e)
	return Pending
}

// refresh records that e, which is in b, answered as c.
func (t *Table) refresh(now time.Time, b *bucket, e *entry, c Contact) Outcome {
	switch {
	case e.moves(c):
		e.interval = t.cfg.ProbeAfter
	case e.checking():
		e.interval = min(2*e.interval, maxBackoff*t.cfg.ProbeAfter)
	}
	if !t.adopt(b, e, c) {
		t.remove(b, e)
		return Rejected
	}
	if b.entries[0] == e {
		b.refuseClaims()
	}
	t.clearMiss(e)
	t.clear(e)
	t.replan(e, func() { e.touch(now) })
	b.remove(e)
	b.entries = append(b.entries, e)
	return Refreshed
}

// adopt takes the addresses and the Group of c over to e, and reports whether e may
// stay where it is. It must go if it is in b and its new Group is at its limit: else
// nodes could enter from many networks and then gather in one.
func (t *Table) adopt(b *bucket, e *entry, c Contact) bool {
	group, network := c.Group, c.Network
	if group == "" && c.Wire == nil {
		group, network = e.Group, e.Network // nothing is known of its addresses: it has not left
	}
	if c.Wire != nil {
		e.Wire = c.Wire
	}
	if c.RoundTrip > 0 {
		e.RoundTrip = c.RoundTrip
	}
	if group == e.Group && network == e.Network {
		return true
	}
	place := slices.Index(b.entries, e)
	if place < 0 {
		e.Group, e.Network = group, network
		return true
	}
	t.count(&e.Contact, -1)
	b.remove(e) // it does not count beside itself
	e.Group, e.Network = group, network
	fits := t.admits(&e.Contact, e.cpl, len(t.buckets)-1)
	b.entries = slices.Insert(b.entries, place, e)
	t.count(&e.Contact, +1)
	return fits
}
