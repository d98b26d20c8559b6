package host

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/go-kad/kad/routing"
)

// peers is the routing table as the goroutines of a DHT share it. The table
// itself is single-threaded; peers is where its lock lives, and the only place.
type peers struct {
	self routing.Key
	wake chan<- struct{} // buffered, length 1: tells maintain to look at due

	mu     sync.Mutex // held for one call of table: never across IO or a callback
	table  *routing.Table
	live   bool          // the table is not empty, and we are not offline
	filled chan struct{} // closed while live
	cutOff bool          // it is not live, for we are offline
	back   time.Time     // when we were offline for the last time
	doubts routing.Doubts
	former routing.Departed

	watchers map[chan TableChange]struct{}

	entered []routing.Contact // who came into the table since takeEntered
}

func newPeers(self routing.Key, cfg Config, wake chan<- struct{}) *peers {
	perTable := 0 // the default of the table
	if cfg.MaxPerGroup < 0 {
		perTable = -1 // no bound there either
	}
	return &peers{
		self: self,
		wake: wake,
		table: routing.NewTable(self, routing.TableConfig{
			K:                cfg.K,
			ProbeAfter:       cfg.RefreshInterval,
			MaxPerGroup:      cfg.MaxPerGroup,
			MaxPerGroupTotal: perTable,
		}),
		filled: make(chan struct{}),
	}
}

// change runs one call of the table that may add or remove contacts.
func (p *peers) change(call func(t *routing.Table)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	call(p.table)
	for _, c := range p.table.Changes() {
		p.tell(c)
		switch c.Kind {
		case routing.Entered:
			p.former.Remove(c.Contact.ID)
		case routing.Left:
			p.former.Add(time.Now(), c.Contact)
		}
		if c.Kind == routing.Entered && len(p.entered) < maxNewcomers {
			p.entered = append(p.entered, c.Contact)
			poke(p.wake)
		}
	}
	switch live := p.table.Live(time.Now()); {
	case live && !p.live:
		p.doubts.Clear() // it was our own connection
		if p.cutOff {
			p.cutOff, p.back = false, time.Now()
		}
		p.live = true
		close(p.filled)
		poke(p.wake)
	case !live && p.live:
		p.live = false
		p.cutOff = p.table.Len() > 0
		p.filled = make(chan struct{})
		poke(p.wake)
	}
}

// seen records that c answered a request.
func (p *peers) seen(c routing.Contact) (outcome routing.Outcome) {
	p.change(func(t *routing.Table) {
		p.doubts.Remove(c.ID)
		outcome = t.Seen(time.Now(), c)
	})
	if outcome == routing.Pending {
		poke(p.wake) // the head of its bucket is to be probed
	}
	return outcome
}

// failed records that c did not answer.
func (p *peers) failed(c routing.Contact) {
	p.change(func(t *routing.Table) {
		p.doubts.Add(time.Now(), c.ID)
		t.Failed(time.Now(), c)
	})
	poke(p.wake) // it is to be probed, or others are
}

// removed records that c does not serve any more.
func (p *peers) removed(c routing.Contact) {
	p.change(func(t *routing.Table) { t.Remove(c) })
}

// doubt records that the connection to c ended, or that its answer is late. A
// contact is then probed, and until it has answered, lookups wait less for it.
// One that is late is in doubt even if it is not in the table.
func (p *peers) doubt(c routing.Contact, late bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	probe := p.table.Doubt(now, c)
	if probe || late {
		p.doubts.Add(now, c.ID)
	}
	if probe {
		poke(p.wake)
	}
}

// doubted reports whether c lately did not answer. Nobody is in doubt while we
// have nobody, or are offline: then we cannot be choosy.
func (p *peers) doubted(c routing.Contact) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live && p.doubts.Has(time.Now(), c.ID)
}

// judge marks those of contacts that are in doubt.
func (p *peers) judge(contacts []routing.Contact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubts.Mark(time.Now(), p.table, p.live, contacts)
}

// checked records the outcome of a probe that due asked for.
func (p *peers) checked(c routing.Contact, alive bool) {
	p.change(func(t *routing.Table) {
		if alive {
			p.doubts.Remove(c.ID)
		} else {
			p.doubts.Add(time.Now(), c.ID)
		}
		t.Checked(time.Now(), c, alive)
	})
}

// postponed takes back a probe that due asked for and that was not made.
func (p *peers) postponed(c routing.Contact) {
	p.change(func(t *routing.Table) { t.Postponed(time.Now(), c) })
}

// update records that a contact announces itself otherwise than before, and
// reports whether it is one.
func (p *peers) update(c routing.Contact) (known bool) {
	p.change(func(t *routing.Table) { known = t.Update(time.Now(), c) })
	if known {
		poke(p.wake) // at its new address it is to be probed
	}
	return known
}

// due returns up to n contacts to probe, and when to ask again.
func (p *peers) due(now time.Time, n int) (probe []routing.Contact, next time.Time) {
	p.change(func(t *routing.Table) { probe, next = t.Due(now, n) })
	return probe, next
}

// wants reports whether c, which has proved nothing yet, is worth a probe.
func (p *peers) wants(c routing.Contact) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.Wants(c)
}

// has reports whether c is in the table.
func (p *peers) has(c routing.Contact) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.table.Contact(c.Key)
	return ok
}

// neighbours returns up to n contacts, suspects among them, that are closest to us.
func (p *peers) neighbours(n int) []routing.Contact {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.Neighbours(n)
}

// seeds returns up to n contacts to start a lookup from, the closest to target
// first, and suspects last.
func (p *peers) seeds(target routing.Key, n int) []routing.Contact {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.Seeds(target, n)
}

// sound returns up to n contacts that can be handed to others, the closest to
// target first.
func (p *peers) sound(target routing.Key, n int) []routing.Contact {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.Closest(target, n)
}

// countCloser returns how many contacts are closer to target than we are.
func (p *peers) countCloser(target routing.Key) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.CountCloser(target)
}

// takeEntered returns who came into the table since it was called last.
func (p *peers) takeEntered() []routing.Contact {
	p.mu.Lock()
	defer p.mu.Unlock()
	entered := p.entered
	p.entered = nil
	return entered
}

// ownPrefix returns the part of the key space in which we may have to hand something
// over to a newcomer: the keys that begin with so many bits of ours.
func (p *peers) ownPrefix(newcomer routing.Key) (prefix routing.Key, bits int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.self, p.table.OwnPrefix(newcomer)
}

// handsOver reports whether it is up to us to hand what is under a key over to a
// newcomer.
func (p *peers) handsOver(key, newcomer routing.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.HandsOver(key, newcomer)
}

// remember takes in the contacts of the last time, the best one first.
func (p *peers) remember(contacts []routing.Contact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range slices.Backward(contacts) {
		if c.Key != p.self {
			p.former.Add(time.Now(), c)
		}
	}
}

// hasFormer reports whether there are former contacts.
func (p *peers) hasFormer() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.former.Len() > 0
}

// drawFormer returns up to n former contacts, at random.
func (p *peers) drawFormer(n int) []routing.Contact {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.former.Draw(time.Now(), n, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
}

// stats returns the gauges of the table.
func (p *peers) stats() routing.Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.Stats(time.Now())
}

// isLive reports whether somebody is there to be asked: the table is not empty,
// and we are not offline.
func (p *peers) isLive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live
}

// becomesLive returns a channel that is closed while isLive.
func (p *peers) becomesLive() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.filled
}

// isOffline reports whether we have contacts, and none answers.
func (p *peers) isOffline() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cutOff
}

// cameBack returns when we were offline for the last time; zero if never.
func (p *peers) cameBack() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.back
}

// stale returns the CPL that is to be looked up again, if there is one.
func (p *peers) stale(now time.Time, age time.Duration) (cpl int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.Stale(now, age)
}

// refreshed records that a key of that CPL was looked up.
func (p *peers) refreshed(now time.Time, cpl int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table.Refreshed(now, cpl)
}

// fill begins to fill the buckets that have room: they need no refresh for a while.
func (p *peers) fill() *routing.Fill {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.table.Fill()
	for _, cpl := range f.CPLs() {
		p.table.Refreshed(time.Now(), cpl)
	}
	return f
}

// nextFill returns the next request that fills a bucket.
func (p *peers) nextFill(f *routing.Fill) (routing.FillRequest, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return f.Next(p.table)
}

// buckets returns the table for introspection.
func (p *peers) buckets() []routing.Bucket {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.Buckets()
}

// poke wakes the goroutine that listens on wake, if it is not being woken.
func poke(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
