package routing

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A Contact is a peer as a table or a lookup holds it. Its Key is its identity:
// two contacts with one Key are the same peer.
type Contact struct {
	// ID names the peer.
	ID peer.ID

	// Key is KeyOf of the bytes of ID. [ContactOf] computes it; it is never taken from
	// a message.
	Key Key

	// Group names the network the peer is in, for the limits MaxPerGroup and
	// MaxPerGroupTotal. If empty, they do not apply: loopback and private
	// addresses, or addresses that are unknown.
	Group string

	// Network names the wider network that has the Group, for limits of its own: see
	// [TableConfig]. If empty, they do not apply.
	Network string

	// Wire is the encoded announcement of the peer and its addresses. This
	// package compares it, to see that a peer has moved, and otherwise only
	// hands it out. It is nil if the addresses are unknown. It must not be
	// changed once it is in a Contact, and should be canonical: the same
	// addresses give the same bytes.
	Wire []byte

	// Doubtful is set of a contact that lately did not answer: a lookup asks it, and
	// waits less. A table ignores it.
	Doubtful bool

	// Recent is set of a contact that answered a lookup of a key near the target some
	// minutes ago. If 2 of the closest such seeds answer, of 3 that are asked, and
	// name no new one among the K closest, the others are taken to be there still.
	Recent bool

	// Connected is set of a contact that can be asked without a dial. Among contacts
	// that are equally near the target, a lookup asks connected ones first. A table
	// ignores it, as it does Expect.
	Connected bool

	// RoundTrip is how long it takes to answer; among equals, the quicker is asked
	// first. If zero or less, it is unknown, and the contact is asked after the others.
	RoundTrip time.Duration

	// Namer is the peer that named a contact which a lookup asks, the one of several that it
	// trusts most. It is empty for a seed. A table ignores it.
	Namer peer.ID

	// Expect is how long its answer is expected to take at most, and before that
	// the dial if one is needed: each is given that time, if the lookup is told
	// with [Lookup.Connected]. If zero or less, or more than that, the SlowAfter of
	// the lookup.
	Expect time.Duration
}

// ContactOf returns the contact of a peer whose addresses are unknown.
func ContactOf(id peer.ID) Contact {
	return Contact{ID: id, Key: KeyOf([]byte(id))}
}

// SortByDistance sorts contacts by their distance to target, closest first.
func SortByDistance(target Key, contacts []Contact) {
	slices.SortFunc(contacts, func(a, b Contact) int {
		return target.Compare(a.Key, b.Key)
	})
}
