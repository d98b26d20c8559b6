package table

import (
	"slices"
	"sync"
	"time"

	logging "github.com/ipfs/go-log/v2"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// maxLate bounds for how much longer too few answers may come on a machine that is late itself
// until the node is offline: a request has no more time either.
const maxLate = 50 * time.Second

// maxEntered bounds the contacts that wait for Entered.
const maxEntered = 1024

// A Config has the settings of a Table.
type Config struct {
	Host        lhost.Host
	Protocol    lprotocol.ID
	Tasks       *tasks.Group
	K           int
	ProbeAfter  time.Duration // the age at which a silent contact is checked
	MaxPerGroup int           // contacts of one network in a bucket; negative: no bound
	SlowAfter   time.Duration
	Dir         string // where contacts are saved; "": nowhere
	Bootstrap   int    // how many bootstrap peers are configured; NoteBootstrap changes it
	Wake        func() // wakes the background loop; does not block
	Observer    *observe.Observer
	Pulse       *tasks.Pulse

	// Accept, if not nil, reports whether a peer may be a contact, be asked, and be told of.
	Accept func(peer.AddrInfo) bool
}

// A Table is the routing table as the goroutines of a node share it, with what their
// requests have shown of its contacts. It is safe for concurrent use.
type Table struct {
	cfg  Config
	self routing.Key

	mu       sync.Mutex // held for one call, never over IO or a callback
	contacts *routing.Table
	paces    routing.Paces
	doubts   routing.Doubts
	departed routing.Departed
	entered  []routing.Contact         // since Entered was called last; or wait for a place
	changed  uint64                    // how many contacts have entered or left
	near     []routing.Contact         // the memory of neighbours
	named    map[peer.ID]announce.Wire // identified peers, where they said that they are

	live   bool          // there is a contact, and we are not offline
	filled chan struct{} // closed while live
	cutOff bool          // it is not live, since we are offline
	back   time.Time     // when we were offline for the last time
	joined chan struct{} // closed at the end of the first join; nil if there is none to wait for
	single single

	settled time.Time // see Unsettled

	notes   notes
	crowded sync.Once // to log that not all addresses of this node are told
}

// New returns a table without contacts. It has read the contacts of an earlier run from
// Config.Dir: see Departed.
func New(cfg Config) *Table {
	perTable := 0 // the default of routing.Table
	if cfg.MaxPerGroup < 0 {
		perTable = -1 // no bound there either
	}
	self := routing.KeyOf([]byte(cfg.Host.ID()))
	t := &Table{
		cfg: cfg, self: self, filled: make(chan struct{}), single: single{is: make(chan struct{})},
		notes: notes{bootstrap: cfg.Bootstrap}, named: make(map[peer.ID]announce.Wire),
		contacts: routing.NewTable(self, routing.TableConfig{
			K:                cfg.K,
			ProbeAfter:       cfg.ProbeAfter,
			MaxPerGroup:      cfg.MaxPerGroup,
			MaxPerGroupTotal: perTable,
		}),
	}
	saved := readContacts(cfg.Dir)
	tasks.Locked(&t.mu, func(now time.Time) { t.restore(now, saved) })
	return t
}

// change runs a call that may add or remove contacts, and follows what it changed: the
// call has to change contacts with one method that [routing.Table.Changes] names. change
// wakes the background loop if that has something to do, or if the call returns true.
func (t *Table) change(call func(now time.Time) (wake bool)) {
	wake := false
	var told []events.What
	tasks.Locked(&t.mu, func(now time.Time) {
		wasLive := t.live
		t.contacts.Late(now, t.cfg.Pulse.More(maxLate))
		wake = call(now)
		for _, c := range t.contacts.Changes() {
			t.changed++
			switch c.Kind {
			case routing.Entered:
				if t.cfg.Observer.Watched() {
					told = append(told, events.ContactAdded{Peer: c.Contact.ID})
				}
				t.departed.Remove(c.Contact.ID)
				t.arrived(c.Contact)
				wake = true
			case routing.Left:
				if t.cfg.Observer.Watched() {
					told = append(told, events.ContactRemoved{Peer: c.Contact.ID})
				}
				t.departed.Add(now, c.Contact)
			}
		}
		offline, wasSingle := t.cutOff, t.single.yes
		wake = t.turn(now) || wake
		if t.turnSingle(now); t.single.yes && !wasSingle {
			told = append(told, events.Single{})
		}
		switch {
		case wasLive && t.cutOff:
			told = append(told, t.offline(now))
		case offline && t.live:
			told = append(told, events.Back{})
		}
	})
	for _, what := range told {
		t.cfg.Observer.Tell(what)
	}
	if wake {
		t.cfg.Wake()
	}
}

// offline says that we are offline, with the reason if it is known. The caller holds the lock.
func (t *Table) offline(now time.Time) events.Offline {
	e := events.Offline{Contacts: t.contacts.Len()}
	if err := t.notes.hinderedNow(now); err != nil {
		e.Hindered = err.Error()
	}
	return e
}

// arrived has Entered name a contact. The caller holds the lock.
func (t *Table) arrived(c routing.Contact) {
	if len(t.entered) < maxEntered {
		t.entered = append(t.entered, c)
	}
}

// turn follows whether there are contacts to ask, and reports whether that has changed.
// The caller holds the lock.
func (t *Table) turn(now time.Time) bool {
	live := t.contacts.Live(now)
	if live == t.live {
		return false
	}
	t.live = live
	if !live {
		t.cutOff = t.contacts.Len() > 0
		t.filled = make(chan struct{})
		return true
	}
	t.doubts.Clear() // our own connection was at fault
	if t.cutOff {
		t.cutOff, t.back = false, now
	}
	close(t.filled)
	return true
}

// Self returns the key of this node.
func (t *Table) Self() routing.Key { return t.self }

// Has reports whether a peer is in the table.
func (t *Table) Has(id peer.ID) bool {
	_, ok := t.held(routing.KeyOf([]byte(id)))
	return ok
}

// held returns the contact of a key.
func (t *Table) held(key routing.Key) (routing.Contact, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.contacts.Contact(key)
}

// Seeds returns up to n contacts to start a lookup from, the closest to target first,
// and suspects last.
func (t *Table) Seeds(target routing.Key, n int) []routing.Contact {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.contacts.Seeds(target, n)
}

// Closest returns up to n contacts that can be given to other peers, the closest to
// target first. Suspects are not among them.
func (t *Table) Closest(target routing.Key, n int) []routing.Contact {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.contacts.Closest(target, n)
}

// FillClosest is Closest for as many contacts as dst has capacity, which it overwrites.
func (t *Table) FillClosest(dst []routing.Contact, target routing.Key) []routing.Contact {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.contacts.FillClosest(dst, target)
}

// Neighbours returns up to n contacts closest to this node, suspects among them.
func (t *Table) Neighbours(n int) []routing.Contact {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.contacts.Neighbours(n)
}

// Departed returns up to n contacts that have left the table, or were saved by an earlier
// run: all of them, or some at random. The ones that Config.Accept refuses are left out.
func (t *Table) Departed(n int) (drawn []routing.Contact) {
	tasks.Locked(&t.mu, func(now time.Time) { drawn = t.departed.Draw(now, n, tasks.NewRNG()) })
	return slices.DeleteFunc(drawn, func(c routing.Contact) bool {
		if t.cfg.Accept == nil {
			return false
		}
		p, _ := announce.Wire(c.Wire).Peer() // without addresses if there is none
		return !t.MayAsk(c, p.Addrs)
	})
}

// HasDeparted reports whether there are contacts for Departed.
func (t *Table) HasDeparted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.departed.Len() > 0
}

// Entered returns the contacts that have entered the table since it was called last, at
// most 1 024, and the newcomers that wait for a place in a full bucket: they are among the k
// closest to some keys near to this node, too, and no other node may know that.
func (t *Table) Entered() []routing.Contact {
	t.mu.Lock()
	defer t.mu.Unlock()
	entered := t.entered
	t.entered = nil
	return entered
}

// Changed returns how many contacts have entered or left the table so far.
func (t *Table) Changed() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// CountCloser returns how many contacts are closer to key than this node. Peers that crowd
// around key count as no more than there should be that close, by the size of the network:
// else they could have the other holders of a record keep it for a minute. Where the network has
// grown, and the size is that of before, fewer count than there are: a node that is no holder
// any more keeps a record for longer then.
func (t *Table) CountCloser(key routing.Key) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	count := t.contacts.CountCloser(key)
	if count < t.cfg.K {
		return count // that many are no crowd
	}
	size := t.size()
	if size.CrowdedCount(key, t.self, count) {
		return min(count, int(size.Within(key, t.self)))
	}
	return count
}

// Size returns the estimate of how many nodes serve in the network.
func (t *Table) Size() routing.Estimate {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size()
}

// size is Size with the lock held.
func (t *Table) size() routing.Estimate {
	return t.paces.Tune(routing.LookupConfig{K: t.cfg.K}, t.self, t.neighbours(t.cfg.K)).Size
}

// neighbours returns up to n contacts closest to this node, until it is called again. The
// caller holds the lock.
func (t *Table) neighbours(n int) []routing.Contact {
	if cap(t.near) != n {
		t.near = make([]routing.Contact, 0, n)
	}
	t.near = t.contacts.FillNeighbours(t.near)
	return t.near
}

// HandsOver reports whether this node is the one that hands the record of key over to a
// newcomer.
func (t *Table) HandsOver(key, newcomer routing.Key) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.contacts.HandsOver(key, newcomer)
}

// OwnPrefix returns the part of the key space in which this node may have to hand
// records over to a newcomer: the keys that share so many bits with ours.
func (t *Table) OwnPrefix(newcomer routing.Key) (self routing.Key, bits int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.self, t.contacts.OwnPrefix(newcomer)
}

// Small reports whether fewer than k contacts answer: they may be all there are, or we
// may have missed others.
func (t *Table) Small() bool {
	s := t.Stats()
	return s.Contacts-s.Suspects < t.cfg.K
}

// Stats returns the gauges of the table.
func (t *Table) Stats() (s routing.Stats) {
	tasks.Locked(&t.mu, func(now time.Time) {
		t.contacts.Late(now, t.cfg.Pulse.More(maxLate))
		s = t.contacts.Stats(now)
	})
	return s
}
