package lookup

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A Sink takes peers that are likely among the closest while a lookup for them goes on.
type Sink struct {
	Add   func(ctx context.Context, to ...routing.Contact) // ignores the peers that it has
	Taken func(ctx context.Context) bool                   // waits, and reports whether all that were added have stored the record
}

// A Closest finds the k peers closest to a preimage. If to is not nil, something is sent to
// them, and the peers are added to it meanwhile that are most likely among them.
type Closest func(ctx context.Context, preimage []byte, to *Sink) ([]routing.Contact, error)

// Closest returns what finds the k closest peers by one lookup with so many paths; 0 is
// one path, and allows what is remembered. It is an error if no peer answers.
//
// Peers that an earlier lookup found are asked again only if something has changed. If
// something is sent to the closest, all are asked, unless a lookup found them in the last
// minute: then they are added at once, and there is a lookup if one of them does not
// store the record.
func (e *Engine) Closest(paths int) Closest {
	return func(ctx context.Context, preimage []byte, to *Sink) ([]routing.Contact, error) {
		if to != nil && paths == 0 {
			if known := e.remembered(preimage); known != nil {
				if to.Add(ctx, known...); to.Taken(ctx) {
					return known, nil
				}
			}
		}
		s, err := e.Prepare(ctx, preimage, protocol.FindNode{Target: preimage}, Plan{Paths: paths, Recall: to == nil})
		if err != nil {
			return nil, err
		}
		if to != nil {
			s.Heard = func(routing.Contact, protocol.Response) { to.Add(ctx, s.lookup.Certain()...) }
		}
		result, err := s.Run(ctx)
		if err != nil {
			return nil, err
		}
		return answeredBy(result)
	}
}

// remembered returns the closest peers of a key that was looked up in the last minute, if
// all of them are still connected; nil if not.
func (e *Engine) remembered(preimage []byte) []routing.Contact {
	known := e.recall.justFound(time.Now(), routing.KeyOf(preimage))
	e.cfg.Table.Expect(known)
	if slices.ContainsFunc(known, func(c routing.Contact) bool { return !c.Connected || c.Doubtful }) {
		return nil
	}
	return known
}

// answeredBy returns the closest peers of a result; it is an error if there are none.
func answeredBy(r Result) ([]routing.Contact, error) {
	if len(r.Closest) > 0 {
		return r.Closest, nil
	}
	if r.Unasked > 0 {
		return nil, fmt.Errorf("kad: of %d peers, %d could not be asked, and none of the others has answered", r.Requests, r.Unasked)
	}
	return nil, fmt.Errorf("kad: none of the %d peers that were asked has answered", r.Requests)
}
