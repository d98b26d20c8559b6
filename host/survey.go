package host

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/go-kad/kad/routing"
)

const (
	// surveyAge is for how long a survey is believed: peers come and go.
	surveyAge = 5 * time.Minute

	// surveyLookups bounds the lookups for one key of a survey. If they do not tell,
	// the key itself is looked up.
	surveyLookups = 4
)

// A survey finds the k peers closest to many keys with fewer lookups than keys:
// what lookups have shown of a part of the key space holds for all keys in it.
type survey struct {
	dht  *DHT
	turn chan struct{} // full while somebody looks something up: others wait, and share it

	region *routing.Region
	since  time.Time
}

func newSurvey(d *DHT) *survey { return &survey{dht: d, turn: make(chan struct{}, 1)} }

// closest is a [closestFunc]. Nobody is certain before it returns.
func (s *survey) closest(ctx context.Context, preimage []byte, _ *delivery) ([]routing.Contact, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-s.turn }()
	if s.old() {
		s.region, s.since = routing.NewRegion(s.dht.cfg.K), time.Now()
		return s.look(ctx, preimage)
	}
	key := routing.KeyOf(preimage)
	for range surveyLookups {
		found, prefix, bits, ok := s.region.Closest(key)
		if ok {
			return found, nil
		}
		if key.CPL(prefix) >= bits {
			break // a lookup of the key tells as much as any other
		}
		rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
		if _, err := s.look(ctx, routing.PreimageOf(prefix, bits, rng)); err != nil {
			return nil, err
		}
	}
	return s.look(ctx, preimage)
}

// known reports whether closest needs no lookup for a preimage. It waits for lookups
// that are under way.
func (s *survey) known(preimage []byte) bool {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.old() {
		return false
	}
	_, _, _, ok := s.region.Closest(routing.KeyOf(preimage))
	return ok
}

// old reports whether the survey is to begin anew.
func (s *survey) old() bool { return s.region == nil || time.Since(s.since) >= surveyAge }

// look looks a preimage up. What the lookup shows of others holds only if it found
// all that are closest: if somebody failed, there may be more.
func (s *survey) look(ctx context.Context, preimage []byte) ([]routing.Contact, error) {
	result, err := s.dht.lookup(ctx, preimage, plan{recall: true})
	if err != nil {
		return nil, err
	}
	if result.End == routing.Converged || result.End == routing.Exhausted && result.Failed+result.Late == 0 {
		s.region.Add(routing.KeyOf(preimage), result.Closest)
	}
	return answeredBy(result)
}
