package lookup

import (
	"encoding/hex"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/routing"
)

// tell makes an event for readers of events, if there are any.
func (s *Search) tell(event func() events.What) {
	if o := s.engine.cfg.Observer; o.Watched() {
		o.Tell(event())
	}
}

// tellBegan tells readers of events that the lookup begins.
func (s *Search) tellBegan() {
	s.tell(func() events.What {
		return events.LookupBegan{Lookup: s.number, Target: hex.EncodeToString(s.key[:])}
	})
}

// tellEnded tells them what the lookup has found.
func (s *Search) tellEnded(r Result) {
	s.tell(func() events.What {
		return events.LookupEnded{
			Lookup: s.number, End: r.End.String(), Closest: peersOf(r.Closest),
			Requests: r.Requests, Answered: len(r.Answered), Hops: r.Hops, Confidence: r.Confidence,
			Crowded: r.Crowded,
		}
	})
}

// peersOf returns the IDs of contacts.
func peersOf(contacts []routing.Contact) []peer.ID {
	ids := make([]peer.ID, len(contacts))
	for i, c := range contacts {
		ids[i] = c.ID
	}
	return ids
}
