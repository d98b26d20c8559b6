package routing

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// MaxDeparted is how many contacts a Departed holds at most.
	MaxDeparted = 256

	// departedAge is how long a contact stays in a Departed. An outage or a partition
	// is over by then; a peer that was away for longer comes back by itself.
	departedAge = 24 * time.Hour
)

// Departed are the contacts that have left the table, the last one first. Nodes that
// were cut off together find the rest of the network through them. The zero value is
// empty. Departed are not safe for concurrent use.
type Departed struct {
	contacts []departedContact
}

// A departedContact is a contact, and when it left.
type departedContact struct {
	Contact
	left time.Time
}

// Add puts a contact that has left in front of the others. One without Wire is not
// added: without addresses it cannot be dialled.
func (d *Departed) Add(now time.Time, c Contact) {
	if c.Wire == nil {
		return
	}
	d.Remove(c.ID)
	d.contacts = slices.Insert(d.contacts, 0, departedContact{c, now})
	d.contacts = d.contacts[:min(len(d.contacts), MaxDeparted)]
}

// Remove takes out a peer that is in the table again.
func (d *Departed) Remove(id peer.ID) {
	d.contacts = slices.DeleteFunc(d.contacts, func(c departedContact) bool { return c.ID == id })
}

// Len returns how many contacts there are.
func (d *Departed) Len() int { return len(d.contacts) }

// Draw returns up to n contacts: all of them in order, or n at random, drawn with rng.
func (d *Departed) Draw(now time.Time, n int, rng *rand.Rand) []Contact {
	d.contacts = slices.DeleteFunc(d.contacts, func(c departedContact) bool { return now.Sub(c.left) > departedAge })
	drawn := make([]Contact, len(d.contacts))
	for i, c := range d.contacts {
		drawn[i] = c.Contact
	}
	if n < len(drawn) {
		rng.Shuffle(len(drawn), func(i, j int) { drawn[i], drawn[j] = drawn[j], drawn[i] })
		drawn = drawn[:n]
	}
	return drawn
}
