package table

import (
	"time"
)

// singleAfter is how long joins must have found no other server until this node takes itself
// for the only one. The servers of a network look for one of them that has restarted every
// 30 s.
const singleAfter = 40 * time.Second

// single is whether this node is the only server of its network.
type single struct {
	served bool          // a client has asked this node for something
	since  time.Time     // when a join has found no server; zero if there was one since
	yes    bool          // all of the conditions hold
	is     chan struct{} // closed while yes
}

// Single reports whether this node is the only server of its network, as far as can be known:
// it serves a client; there is no bootstrap peer, no contact, and none of an earlier time; and
// joins have found no server for 40s. A node that has lost its network has had contacts, and
// is none.
func (t *Table) Single() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.single.yes
}

// FoundNone records that a join has found no server.
func (t *Table) FoundNone() {
	t.change(func(now time.Time) bool {
		if t.single.since.IsZero() {
			t.single.since = now
		}
		return false
	})
}

// Stopped records that this node does not serve any more.
func (t *Table) Stopped() {
	t.change(func(time.Time) bool { t.single.served = false; return false })
}

// whenSingle returns a channel that is closed while Single.
func (t *Table) whenSingle() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.single.is
}

// turnSingle follows whether this node is the only server. The caller holds the lock.
func (t *Table) turnSingle(now time.Time) {
	s := &t.single
	if t.contacts.Len() > 0 {
		s.since = time.Time{}
	}
	yes := s.served && t.notes.bootstrap == 0 && t.departed.Len() == 0 &&
		!s.since.IsZero() && now.Sub(s.since) >= singleAfter
	switch {
	case yes && !s.yes:
		close(s.is)
	case !yes && s.yes:
		s.is = make(chan struct{})
	}
	s.yes = yes
}
