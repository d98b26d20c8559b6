package host

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

const (
	// maxFormer bounds the former contacts that are remembered.
	maxFormer = 256

	// formerAge is for how long they are: an outage or a partition is over by
	// then, and who was away for longer comes back by itself.
	formerAge = 24 * time.Hour
)

// former are the contacts that have left the table, the last one first, and at the
// start those of the last time. Nodes that were cut off together, and know but
// each other by now, find the others through them.
type former []formerContact

type formerContact struct {
	routing.Contact
	left time.Time
}

// add remembers a contact that has left. One whose addresses are unknown is not
// worth it.
func (f *former) add(now time.Time, c routing.Contact) {
	if c.Wire == nil {
		return
	}
	f.remove(c.ID)
	*f = slices.Insert(*f, 0, formerContact{c, now})
	*f = (*f)[:min(len(*f), maxFormer)]
}

// remove forgets a peer, for it is a contact again.
func (f *former) remove(id peer.ID) {
	*f = slices.DeleteFunc(*f, func(c formerContact) bool { return c.ID == id })
}

// draw returns up to n former contacts: all of them in order, or some at random.
func (f *former) draw(now time.Time, n int) []routing.Contact {
	*f = slices.DeleteFunc(*f, func(c formerContact) bool { return now.Sub(c.left) > formerAge })
	drawn := make([]routing.Contact, len(*f))
	for i, c := range *f {
		drawn[i] = c.Contact
	}
	if n < len(drawn) {
		rand.Shuffle(len(drawn), func(i, j int) { drawn[i], drawn[j] = drawn[j], drawn[i] })
		drawn = drawn[:n]
	}
	return drawn
}
