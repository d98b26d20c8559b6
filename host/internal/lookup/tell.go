package lookup

import (
	"encoding/hex"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/routing"
)

// tellBegan tells readers of events that the lookup begins.
func (s *Search) tellBegan() {
	if o := s.engine.cfg.Observer; o.Watched() {
		o.Tell(events.LookupBegan{Lookup: s.number, Target: hex.EncodeToString(s.key[:])})
	}
}

// tellAnswered tells them that a peer has answered.
func (s *Search) tellAnswered(id peer.ID, closer []routing.Contact) {
	if o := s.engine.cfg.Observer; o.Watched() {
		o.Tell(events.LookupAnswered{Lookup: s.number, Peer: id, Closer: peersOf(closer)})
	}
}

// tellEnded tells them what the lookup has found.
func (s *Search) tellEnded(r Result) {
	if o := s.engine.cfg.Observer; o.Watched() {
		o.Tell(events.LookupEnded{
			Lookup: s.number, End: r.End.String(), Closest: peersOf(r.Closest),
			Requests: r.Requests, Answered: len(r.Answered), Hops: r.Hops, Confidence: r.Confidence,
		})
	}
}

// peersOf returns the IDs of contacts.
func peersOf(contacts []routing.Contact) []peer.ID {
	ids := make([]peer.ID, len(contacts))
	for i, c := range contacts {
		ids[i] = c.ID
	}
	return ids
}
