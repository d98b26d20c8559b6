package table

import (
	"time"

	"github.com/go-kad/kad/routing"
)

// An Outcome is what became of one request. Package call decides it, once.
type Outcome uint8

const (
	// Answered says that the peer answered.
	Answered Outcome = iota

	// Refused says that the peer refused the request, so it is alive.
	Refused

	// Silent says that the peer did not answer in time, or could not be dialled.
	Silent

	// Late says that the requester gave up, after long enough to count.
	Late

	// Unsent says that the request was given up before it was sent, or too soon to
	// count. It says nothing about the peer.
	Unsent

	// OwnFailure says that no stream, memory or file descriptor was left here, or that
	// the host is closed. It says nothing about the peer.
	OwnFailure
)

// Heard records what became of a request to c. A peer that answered enters the table,
// if there is room. took is how long the answer took on an open connection; 0 if that is
// not to be measured.
func (t *Table) Heard(c routing.Contact, o Outcome, took time.Duration) {
	now := time.Now()
	switch o {
	case Answered:
		t.answered(now, c, took)
	case Silent:
		t.change(now, func() {
			t.paces.Failed()
			t.doubts.Add(now, c.ID)
			t.contacts.Failed(now, c)
		})
		t.cfg.Wake() // it is to be checked, or other contacts are
	case Late:
		t.change(now, func() {
			t.paces.Failed()
			t.doubts.Add(now, c.ID)
			t.contacts.Doubt(now, c)
		})
		t.cfg.Wake()
	case Refused, Unsent, OwnFailure:
	}
}

// answered records that a peer answered, which proves that it serves, unless it has
// announced meanwhile that it stops.
func (t *Table) answered(now time.Time, c routing.Contact, took time.Duration) {
	known, err := t.cfg.Host.Peerstore().GetProtocols(c.ID)
	stopped := err == nil && len(known) > 0 && !t.Speaks(c.ID)
	if !stopped && !t.Has(c.ID) {
		c = t.contact(c.ID)
	}
	outcome := routing.Refreshed
	t.change(now, func() {
		if took > 0 {
			t.paces.Answered(c.ID, took)
		}
		if stopped {
			return
		}
		t.doubts.Remove(c.ID)
		outcome = t.contacts.Seen(now, c)
	})
	switch {
	case outcome == routing.Pending:
		t.cfg.Wake() // the head of its bucket is to be checked
	case outcome == routing.Rejected && c.ID != t.cfg.Host.ID():
		t.NoteFiltered(c.ID, "Config.MaxPerGroup: there are enough contacts in its network "+c.Group)
	}
}

// Checked records what became of a check that Due asked for. A refusal proves that the
// contact is alive; after a request that was not sent, the check is due again.
func (t *Table) Checked(c routing.Contact, o Outcome, took time.Duration) {
	now := time.Now()
	t.change(now, func() {
		if o == Answered && took > 0 {
			t.paces.Answered(c.ID, took)
		}
		switch o {
		case Answered, Refused:
			t.doubts.Remove(c.ID)
			t.contacts.Checked(now, c, true)
		case Silent:
			t.doubts.Add(now, c.ID)
			t.contacts.Checked(now, c, false)
		case Late, Unsent, OwnFailure:
			t.contacts.Postponed(now, c)
		}
	})
}
