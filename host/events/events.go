package events

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// An Event is something that has happened in a DHT.
type Event struct {
	At     time.Time
	Missed uint64 // events just before it that the reader has lost, since it was too slow
	What   What
}

// What is what has happened: one of the types of this package that have a method Type.
//
//sumtype:decl
type What interface {
	// Type returns the name of the type in lower case, with underscores.
	Type() string

	event()
}

// LookupBegan says that a lookup begins. Lookup is its number, which its other events
// have too.
type LookupBegan struct {
	Lookup uint64
	Target string // the key that is looked up, in hexadecimal
}

// LookupAsked says that a lookup asks a peer.
type LookupAsked struct {
	Lookup uint64
	Peer   peer.ID
}

// LookupAnswered says that a peer has answered a lookup, and which peers it has named.
type LookupAnswered struct {
	Lookup uint64
	Peer   peer.ID
	Closer []peer.ID // the peers that it named as closer to the key, except those that cannot be dialled
}

// LookupFailed says that a peer has not answered a lookup, and why.
type LookupFailed struct {
	Lookup uint64
	Peer   peer.ID
	Reason string
}

// LookupEnded says that a lookup has ended.
type LookupEnded struct {
	Lookup     uint64
	End        string    // why it ended: converged, exhausted, stopped, ...
	Closest    []peer.ID // the closest peers that have answered, closest first
	Requests   int       // peers that were asked
	Answered   int       // peers that answered in time
	Hops       int       // the longest way from a contact of this node, which counts 1, to a peer that answered
	Confidence float64   // how likely the closest peers were found, from 0 to 1; 0: unknown
	Crowded    bool      // more peers are near the target than chance brings there
}

// ContactAdded says that a peer is in the routing table now.
type ContactAdded struct{ Peer peer.ID }

// ContactRemoved says that a peer is not in the routing table any more.
type ContactRemoved struct{ Peer peer.ID }

// Published says that a value or an announcement of this node was sent to the peers closest to
// its key, for the first time or again.
type Published struct {
	Kind   string // value or announcement
	Key    string // in hexadecimal
	Stored int    // peers that have stored it, so far
	Wanted int    // how many should
	Reason string // why that is a failure; empty if it is none
}

// Type returns lookup_began.
func (LookupBegan) Type() string { return "lookup_began" }

// Type returns lookup_asked.
func (LookupAsked) Type() string { return "lookup_asked" }

// Type returns lookup_answered.
func (LookupAnswered) Type() string { return "lookup_answered" }

// Type returns lookup_failed.
func (LookupFailed) Type() string { return "lookup_failed" }

// Type returns lookup_ended.
func (LookupEnded) Type() string { return "lookup_ended" }

// Type returns contact_added.
func (ContactAdded) Type() string { return "contact_added" }

// Type returns contact_removed.
func (ContactRemoved) Type() string { return "contact_removed" }

// Type returns published.
func (Published) Type() string { return "published" }

func (Published) event()      {}
func (LookupBegan) event()    {}
func (LookupAsked) event()    {}
func (LookupAnswered) event() {}
func (LookupFailed) event()   {}
func (LookupEnded) event()    {}
func (ContactAdded) event()   {}
func (ContactRemoved) event() {}
