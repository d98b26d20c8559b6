package routing

import (
	"maps"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// DoubtAge is how long a peer stays in a Doubts. Other peers name a peer that has
	// gone until they have noticed it too.
	DoubtAge = time.Minute

	// MaxDoubts is how many peers a Doubts holds at most.
	MaxDoubts = 4096
)

// Doubts are the peers that did not answer within the last [DoubtAge], so that no
// lookup waits for them at full length again. The zero value is empty. Doubts are not
// safe for concurrent use.
type Doubts struct {
	until map[peer.ID]time.Time
}

// Add puts a peer in doubt until [DoubtAge] from now. When there are [MaxDoubts] others, the
// doubt that ends first makes room.
func (d *Doubts) Add(now time.Time, id peer.ID) {
	if d.until == nil {
		d.until = make(map[peer.ID]time.Time)
	}
	if len(d.until) >= MaxDoubts {
		maps.DeleteFunc(d.until, func(_ peer.ID, until time.Time) bool { return !now.Before(until) })
	}
	if _, has := d.until[id]; !has && len(d.until) >= MaxDoubts {
		var first peer.ID
		for other, until := range d.until {
			if first == "" || until.Before(d.until[first]) {
				first = other
			}
		}
		delete(d.until, first)
	}
	d.until[id] = now.Add(DoubtAge)
}

// Remove clears a peer that has answered.
func (d *Doubts) Remove(id peer.ID) { delete(d.until, id) }

// Clear clears all peers: it was our own connection that failed.
func (d *Doubts) Clear() { clear(d.until) }

// Has reports whether a peer is in doubt.
func (d *Doubts) Has(now time.Time, id peer.ID) bool {
	until, ok := d.until[id]
	return ok && now.Before(until)
}

// Mark sets Doubtful of the contacts that are in doubt, or suspect in t, and leaves it
// set of others. If t is not live, it clears Doubtful of all: a node that has no
// contact, or is offline, has no choice.
func (d *Doubts) Mark(now time.Time, t *Table, live bool, contacts []Contact) {
	for i, c := range contacts {
		contacts[i].Doubtful = live && (c.Doubtful || d.Has(now, c.ID) || t.Suspects(c))
	}
}
