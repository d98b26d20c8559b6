package routing

import (
	"iter"
	"slices"
	"time"
)

// An Outcome is what [Table.Seen] did with a contact.
type Outcome uint8

// The outcomes of [Table.Seen].
const (
	Rejected  Outcome = iota // not held: it is ourselves, or its Group is at a limit
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

	// ProbeAfter is how long a contact may be silent before it is probed. If
	// zero, 10m. If negative, silence alone is no reason to probe. The interval
	// of one contact doubles with each probe it answers, up to 8 times
	// ProbeAfter, and falls back to ProbeAfter when its addresses change.
	ProbeAfter time.Duration

	// CheckTimeout is how long a probed contact has to answer before it counts
	// as failed. If zero, 60s.
	CheckTimeout time.Duration

	// MaxPerGroup is the number of contacts of one Group per bucket, so that
	// nobody fills a bucket from one network. If zero, 2. If negative,
	// unlimited.
	MaxPerGroup int

	// MaxPerGroupTotal is the number of contacts of one Group in the table. If
	// zero, 10. If negative, unlimited.
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
// Every contact in it has answered us, for only [Table.Seen] adds one. One that
// does not answer any more goes when it has lost what its answers have earned it,
// and only when others answer: else it may be us who are offline. A Table
// is not safe for concurrent use. Times given to it must not go back.
//
// Source: Kademlia paper, sections 2.2, 2.4 and 4.1.
type Table struct {
	self    Key
	cfg     TableConfig
	buckets []*bucket      // by CPL; the last one also holds all CPLs above its own
	groups  map[string]int // contacts in buckets, by Group
	size    int            // contacts in buckets
	audit   audit
	agenda
	refreshed [MaxRefreshCPL + 1]time.Time
	changes   []Change // of the last call
}

// NewTable returns the empty table of the node whose key is self. It panics if
// K or CheckTimeout is negative.
func NewTable(self Key, cfg TableConfig) *Table {
	if cfg.K < 0 || cfg.CheckTimeout < 0 {
		panic("routing: negative K or CheckTimeout")
	}
	return &Table{
		self:    self,
		cfg:     cfg.withDefaults(),
		buckets: []*bucket{{}},
		groups:  make(map[string]int),
	}
}

// Seen records that c answered us at now. A contact that is held becomes the
// most recently seen of its bucket; a new one is added, or waits if the bucket
// is full. A contact whose bucket is full challenges the head of the bucket,
// which [Table.Due] names for it.
//
// A nil Wire leaves the addresses as they are known. A held contact that has
// moved to a Group at its limit is removed and Rejected.
func (t *Table) Seen(now time.Time, c Contact) Outcome {
	t.begin()
	if c.Key == t.self {
		return Rejected
	}
	t.heard(now, c.Key)
	cpl := t.self.CPL(c.Key)
	b := t.bucket(cpl)
	if e := b.find(c.Key); e != nil {
		return t.refresh(now, b, e, c)
	}
	e := b.findPending(c.Key)
	if e == nil {
		e = &entry{Contact: c, cpl: cpl, claim: true}
		e.Doubtful = false // it has just answered
	} else {
		b.unqueue(e)
		t.adopt(b, e, c)
	}
	e.interval = t.cfg.ProbeAfter
	e.touch(now)
	return t.place(e)
}

// Failed records that c did not answer. A pending contact goes at once. One that
// is held becomes suspect: it is not handed to others, and is probed again. When
// somebody else answers, it loses a third of the score that its answers have
// earned it, and with the last of it its place, which the newest pending contact
// takes. Failed reports whether c was there.
func (t *Table) Failed(now time.Time, c Contact) bool {
	t.begin()
	b := t.bucket(t.self.CPL(c.Key))
	if e := b.find(c.Key); e != nil {
		t.miss(now, e)
		return true
	}
	if e := b.findPending(c.Key); e != nil {
		b.unqueue(e)
		return true
	}
	return false
}

// Remove takes c out of the table, for it has said that it does not serve any
// more. The newest pending contact takes its place. Remove reports whether c was
// there.
func (t *Table) Remove(c Contact) bool {
	t.begin()
	b := t.bucket(t.self.CPL(c.Key))
	if e := b.find(c.Key); e != nil {
		t.remove(b, e)
		return true
	}
	if e := b.findPending(c.Key); e != nil {
		b.unqueue(e)
		return true
	}
	return false
}

// Checked records the outcome of a probe that [Table.Due] asked for: like Seen
// or Failed, but only for a contact whose probe is still awaited. One that was
// removed meanwhile is not resurrected, and one that answered something else
// meanwhile is not removed. Checked reports whether the probe was awaited.
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
	b = t.bucket(e.cpl) // others may have gone for that answer
	t.refresh(now, b, e, c)
	return true
}

// Update records new addresses, and with them the Group, of a contact that is
// held or pending. If they differ from what was known, it is due for a probe at
// once, and its interval is ProbeAfter again. Update reports whether c is known.
// One that moved to a Group at its limit is removed, and not known any more.
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

// Wants reports whether c, which has not answered us yet, is worth a probe: it
// is not ourselves, not known, would not be rejected, and would not have to
// queue behind a full bucket that has its replacements.
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
	return t.admits(c.Group, cpl, last)
}

// bucketOnStack is how many contacts of a bucket Closest ranks without an
// allocation of its own: above the K of any network we know of.
const bucketOnStack = 32

// Closest returns the n contacts closest to target, or all if there are fewer,
// closest first, to be handed to others: suspects are left out. It makes one allocation, for the result, if K is at most 32.
//
// It need not sort the table. Let D be the distance of our key to target. The
// contacts of CPL i share the first i bits of D and flip the next. So where bit
// i of D is 1, they are closer to target than all contacts of higher CPLs, and
// where it is 0, farther: buckets are taken in ascending order where D has a 1,
// then in descending order where it has a 0.
func (t *Table) Closest(target Key, n int) []Contact {
	n = min(n, t.size-t.audit.suspects)
	if n <= 0 {
		return nil
	}
	return t.appendClosest(make([]Contact, 0, n), target, false)
}

// Seeds returns up to n contacts to start a lookup from: those that Closest
// returns, and if they are fewer, the closest suspects after them, which are
// Doubtful.
func (t *Table) Seeds(target Key, n int) []Contact {
	n = min(n, t.size)
	if n <= 0 {
		return nil
	}
	out := t.appendClosest(make([]Contact, 0, n), target, false)
	sound := len(out)
	out = t.appendClosest(out, target, true)
	for i := range out[sound:] {
		out[sound+i].Doubtful = true
	}
	return out
}

// Neighbours returns the n contacts closest to us, suspects among them, closest first;
// all if there are fewer.
func (t *Table) Neighbours(n int) []Contact {
	all := t.Seeds(t.self, t.size)
	SortByDistance(t.self, all)
	return all[:min(n, len(all))]
}

// appendClosest appends to out the contacts that are closest to target, closest
// first, up to the capacity of out: those that are suspect, or those that are not.
func (t *Table) appendClosest(out []Contact, target Key, suspect bool) []Contact {
	n := cap(out)
	var array [bucketOnStack]ranked
	last := len(t.buckets) - 1
	for i := 0; i < last && len(out) < n; i++ {
		if t.self.bit(&target, i) == 1 {
			out = t.buckets[i].appendClosest(out, &target, suspect, array[:])
		}
	}
	if len(out) < n {
		out = t.buckets[last].appendClosest(out, &target, suspect, array[:])
	}
	for i := last - 1; i >= 0 && len(out) < n; i-- {
		if t.self.bit(&target, i) == 0 {
			out = t.buckets[i].appendClosest(out, &target, suspect, array[:])
		}
	}
	return out
}

// Contact returns the contact with that key. Pending ones are not found.
func (t *Table) Contact(key Key) (Contact, bool) {
	if e := t.bucket(t.self.CPL(key)).find(key); e != nil {
		return e.Contact, true
	}
	return Contact{}, false
}

// All returns all contacts, those that share least with our key first. Pending
// ones are not among them. The table must not be changed meanwhile.
func (t *Table) All() iter.Seq[Contact] {
	return func(yield func(Contact) bool) {
		for _, b := range t.buckets {
			for _, e := range b.entries {
				if !yield(e.Contact) {
					return
				}
			}
		}
	}
}

// Suspects reports whether c is in the table and has missed since it last answered.
func (t *Table) Suspects(c Contact) bool {
	e := t.bucket(t.self.CPL(c.Key)).find(c.Key)
	return e != nil && e.suspect
}

// Len returns the number of contacts. Pending ones do not count.
func (t *Table) Len() int { return t.size }

// A Bucket describes one bucket of a [Table].
type Bucket struct {
	CPL      int    // bits its contacts share with our key
	Last     bool   // it holds all higher CPLs too
	Contacts []Held // least recently seen first
	Pending  int    // newcomers that wait for a place
}

// A Held contact is one in a [Bucket].
type Held struct {
	Contact
	Seen    time.Time // its last answer
	Suspect bool      // it has not answered when it was last asked
}

// Buckets returns a description of the table, in order of CPL.
func (t *Table) Buckets() []Bucket {
	out := make([]Bucket, len(t.buckets))
	for i, b := range t.buckets {
		out[i] = Bucket{CPL: i, Last: i == len(t.buckets)-1, Pending: len(b.pending)}
		for _, e := range b.entries {
			out[i].Contacts = append(out[i].Contacts, Held{e.Contact, e.seen, e.suspect})
		}
	}
	return out
}

// bucket returns the bucket for contacts of that CPL.
func (t *Table) bucket(cpl int) *bucket {
	return t.buckets[min(cpl, len(t.buckets)-1)]
}

// place puts e in its bucket, which may split for it, or among the pending.
func (t *Table) place(e *entry) Outcome {
	last := t.lastFor(e.cpl)
	if !t.admits(e.Group, e.cpl, last) {
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
	if slow := t.outpaced(b, e); slow != nil {
		t.supersede(b, slow, e)
		return Added
	}
	t.yieldPending(b, e.Group)
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

// adopt takes the addresses and the Group of c over to e, and reports whether e
// may stay where it is: not if it is in b and its new Group is at its limit.
func (t *Table) adopt(b *bucket, e *entry, c Contact) bool {
	group := c.Group
	if group == "" && c.Wire == nil {
		group = e.Group // nothing is known of its addresses: it has not left
	}
	if c.Wire != nil {
		e.Wire = c.Wire
	}
	if c.RoundTrip > 0 {
		e.RoundTrip = c.RoundTrip
	}
	if group == e.Group {
		return true
	}
	if !slices.Contains(b.entries, e) {
		e.Group = group
		return true
	}
	t.count(e.Group, -1)
	fits := t.admits(group, e.cpl, len(t.buckets)-1)
	e.Group = group
	t.count(group, +1)
	return fits
}
