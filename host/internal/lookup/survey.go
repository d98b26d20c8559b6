package lookup

import (
	"context"
	"time"

	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

const (
	// surveyAge is how long a survey is used: peers come and go.
	surveyAge = 5 * time.Minute

	// surveyLookups bounds the lookups for one key of a survey. If they do not suffice,
	// the key itself is looked up.
	surveyLookups = 4
)

// A Survey finds the k peers closest to many keys with fewer lookups than keys: what
// lookups have shown of a part of the key space holds for all keys in it. A crowded key is
// looked up itself. It is safe for concurrent use.
type Survey struct {
	engine *Engine
	turn   chan struct{} // full during a lookup: the others wait, and share its result

	region *routing.Region
	since  time.Time
}

// NewSurvey returns a survey that has found nothing yet.
func (e *Engine) NewSurvey() *Survey { return &Survey{engine: e, turn: make(chan struct{}, 1)} }

// Closest is a [Closest]. It adds no peer to the sink before the end: none is certain.
func (s *Survey) Closest(ctx context.Context, preimage []byte, to *Sink) ([]routing.Contact, error) {
	found, err := s.find(ctx, preimage)
	if err != nil {
		return nil, err
	}
	return s.engine.give(ctx, preimage, found, to)
}

// find returns the peers closest to a preimage, and the ones that were late. Of the result,
// only these are valid.
func (s *Survey) find(ctx context.Context, preimage []byte) (Result, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
	defer func() { <-s.turn }()
	if now, old := s.old(); old {
		s.region, s.since = routing.NewRegion(s.engine.cfg.K), now
		return s.look(ctx, preimage)
	}
	key := routing.KeyOf(preimage)
	for range surveyLookups {
		found, prefix, bits, ok := s.region.Closest(key)
		if ok && s.engine.cfg.Table.Tune(routing.LookupConfig{K: s.engine.cfg.K}).Size.Crowded(key, found) {
			break
		}
		if ok {
			return Result{Result: routing.Result{Closest: found}}, nil
		}
		if key.CPL(prefix) >= bits {
			break // a lookup of the key shows as much as any other
		}
		if r, err := s.look(ctx, routing.PreimageOf(prefix, bits, tasks.NewRNG())); err != nil {
			return r, err
		}
	}
	return s.look(ctx, preimage)
}

// Known reports whether Closest needs no lookup for a preimage. It waits for a lookup that
// is under way.
func (s *Survey) Known(preimage []byte) bool {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if _, old := s.old(); old {
		return false
	}
	_, _, _, ok := s.region.Closest(routing.KeyOf(preimage))
	return ok
}

// old reports whether the survey is to begin anew, now.
func (s *Survey) old() (now time.Time, old bool) {
	now = time.Now()
	return now, now.Sub(s.since) >= surveyAge
}

// look looks a preimage up. The result goes into the region only if the lookup found all of
// the closest: when a peer failed, there may be more.
func (s *Survey) look(ctx context.Context, preimage []byte) (Result, error) {
	r, err := s.engine.Find(ctx, preimage, Plan{Recall: true})
	if err == nil && r.Unasked == 0 && !r.Crowded && (r.End == routing.Converged || r.End == routing.Exhausted && r.Failed+r.Late == 0) {
		s.region.Add(routing.KeyOf(preimage), r.Closest)
	}
	return r, err
}
