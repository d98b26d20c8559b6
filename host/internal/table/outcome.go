package table

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/tasks"
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

	// OwnFailure says that no stream, memory or file descriptor was left here, that there
	// was no way to any peer, or that the host is closed. It says nothing about the peer.
	OwnFailure
)

// String returns the name of an outcome in lower case, with underscores.
func (o Outcome) String() string {
	switch o {
	case Answered:
		return "answered"
	case Refused:
		return "refused"
	case Silent:
		return "silent"
	case Late:
		return "late"
	case Unsent:
		return "not_sent"
	case OwnFailure:
		return "own_failure"
	}
	return "invalid"
}

// Heard records what became of a request to c. A peer that answered enters the table,
// if there is room. took is how long the answer took on an open connection; 0 if that is
// not to be measured.
func (t *Table) Heard(c routing.Contact, o Outcome, took time.Duration) {
	switch o {
	case Answered:
		t.answered(c.ID, took)
	case Silent:
		t.change(func(now time.Time) bool {
			t.paces.Failed()
			t.doubts.Add(now, c.ID)
			t.contacts.Failed(now, c)
			return true // it is to be checked, or other contacts are
		})
	case Late:
		t.change(func(now time.Time) bool {
			t.paces.Failed()
			t.doubts.Add(now, c.ID)
			return t.contacts.Doubt(now, c)
		})
	case Refused, Unsent, OwnFailure:
	}
}

// Hindered records that an attempt to send a request to c failed here, and why; it may be
// made again. That is said in the log, once a minute at most.
func (t *Table) Hindered(c routing.Contact, err error) {
	say := false
	t.change(func(now time.Time) bool {
		n := &t.notes
		if say = n.hinderedSaid.IsZero() || now.Sub(n.hinderedSaid) >= time.Minute; say {
			n.hinderedSaid = now
		}
		n.hindered, n.hinderedAt = err, now
		t.contacts.Hindered(now, c)
		return false
	})
	if say {
		log.Warnw("requests fail here, and are tried again", "why", err)
	}
}

// answered records that a peer answered, which proves that it serves, unless it has
// announced meanwhile that it stops. A peer that Config.Accept refuses is no contact.
//
// The table keeps what it knows of a contact: the peer that named it to a lookup may have
// lied about its addresses.
func (t *Table) answered(id peer.ID, took time.Duration) {
	known, err := t.cfg.Host.Peerstore().GetProtocols(id)
	stopped := err == nil && len(known) > 0 && !t.Speaks(id)
	if took > 0 {
		tasks.Locked(&t.mu, func(time.Time) { t.paces.Answered(id, took) })
	}
	if stopped || !t.accepts(id) {
		return
	}
	c := routing.ContactOf(id)
	if !t.Has(id) {
		c = t.contact(id)
	}
	isNew := false
	var outcome routing.Outcome
	t.change(func(now time.Time) bool {
		t.doubts.Remove(id)
		isNew = t.contacts.Wants(c)
		outcome = t.contacts.Seen(now, c)
		if isNew && outcome == routing.Pending {
			t.arrived(c)
		}
		return outcome == routing.Pending || !t.live // the head of its bucket is to be checked, or others are
	})
	if isNew {
		t.update(t.contact(id)) // it may have been identified meanwhile, before it was a contact
	}
	if outcome == routing.Rejected && id != t.cfg.Host.ID() {
		t.noteFiltered(id, "Config.MaxPerGroup: there are enough contacts in its network "+c.Group)
	}
}

// Checked records what became of a check that Due asked for. A refusal proves that the
// contact is alive; after a request that was not sent, the check is due again. A contact that
// Config.Accept refuses by now leaves the table.
func (t *Table) Checked(c routing.Contact, o Outcome, took time.Duration) {
	if (o == Answered || o == Refused) && !t.accepts(c.ID) {
		return
	}
	t.change(func(now time.Time) bool {
		if took > 0 {
			t.paces.Answered(c.ID, took)
		}
		switch o {
		case Answered, Refused:
			t.doubts.Remove(c.ID)
			t.contacts.Checked(now, c, true)
			return !t.live // others are to be checked
		case Silent:
			t.doubts.Add(now, c.ID)
			t.contacts.Checked(now, c, false)
		case Late, Unsent, OwnFailure:
			t.contacts.Postponed(now, c)
		}
		return false
	})
}
