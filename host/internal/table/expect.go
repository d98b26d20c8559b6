package table

import (
	"time"

	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

// Expect sets what is to be expected of contacts if a lookup asks them now: whether they
// are in doubt, their round trips, and whether they are connected.
func (t *Table) Expect(contacts []routing.Contact) {
	tasks.Locked(&t.mu, func(now time.Time) {
		t.doubts.Mark(now, t.contacts, t.live, contacts)
		t.paces.Expect(contacts)
	})
	for i, c := range contacts {
		contacts[i].Connected = t.Connected(c.ID)
	}
}

// Found takes in the result of a lookup of a key, which may show the size of the network:
// see [routing.Paces.Learn].
func (t *Table) Found(recalled time.Time, key routing.Key, r routing.Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.paces.Learn(recalled, key, r)
}

// Tune returns the settings of a lookup with the estimated size of the network, and the
// share of requests that fail. With fewer than k contacts, the neighbours say nothing of
// the size: they may be all that there are, or all that this node knows.
func (t *Table) Tune(cfg routing.LookupConfig) routing.LookupConfig {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.paces.Tune(cfg, t.self, t.neighbours(cfg.K))
}

// Patience returns how long a dial and an answer together are expected to take at most.
func (t *Table) Patience() time.Duration {
	t.mu.Lock()
	expect := t.paces.Strangers()
	t.mu.Unlock()
	if expect == 0 { // no peer has answered yet
		expect = t.cfg.SlowAfter
	}
	return min(t.cfg.SlowAfter, 2*expect)
}

// LookedUp records that a key was looked up: its bucket needs no refresh for a while.
func (t *Table) LookedUp(key routing.Key) {
	tasks.Locked(&t.mu, func(now time.Time) { t.contacts.Refreshed(now, t.self.CPL(key)) })
}

// Due returns up to n contacts to check, and when to ask again.
func (t *Table) Due(now time.Time, n int) (check []routing.Contact, next time.Time) {
	t.change(func(time.Time) bool { check, next = t.contacts.Due(now, n); return false })
	return check, next
}

// Stale returns the CPL of a bucket that was not looked up for that long, if there is
// one, and how many of the closest to find there: see [routing.Table.Stale]. It marks the
// bucket as looked up: a failed refresh is not repeated at once.
func (t *Table) Stale(now time.Time, age time.Duration) (cpl, k int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if cpl, k, ok = t.contacts.Stale(now, age); ok {
		t.contacts.Refreshed(now, cpl)
	}
	return cpl, k, ok
}

// LoneCPLs returns the CPLs to look up beside our own key: see [routing.Table.LoneCPLs].
func (t *Table) LoneCPLs() []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.contacts.LoneCPLs()
}

// A Fill hands out the requests that fill buckets. It belongs to one goroutine.
type Fill struct {
	table *Table
	fill  *routing.Fill
}

// Fill begins to fill the buckets that have room. They need no refresh for a while.
func (t *Table) Fill() *Fill {
	f := &Fill{table: t}
	tasks.Locked(&t.mu, func(now time.Time) {
		f.fill = t.contacts.Fill()
		for _, cpl := range f.fill.CPLs() {
			t.contacts.Refreshed(now, cpl)
		}
	})
	return f
}

// Next returns the next request; false if there is none at present.
func (f *Fill) Next() (routing.FillRequest, bool) {
	f.table.mu.Lock()
	defer f.table.mu.Unlock()
	return f.fill.Next(f.table.contacts)
}

// Ended records the contacts that a peer named in answer to a request.
func (f *Fill) Ended(req routing.FillRequest, named []routing.Contact) { f.fill.Ended(req, named) }
