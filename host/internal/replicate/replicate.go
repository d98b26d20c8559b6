package replicate

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/publish"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// A Config has the rooms that a Replicator uses, and its settings.
type Config struct {
	Holder   *holder.Holder
	Table    *table.Table
	Lookup   *lookup.Engine
	Deliver  *deliver.Sender
	Find     *find.Finder
	Publish  *publish.Publisher
	K, Alpha int
	Interval time.Duration // of the rounds; negative: there are none
}

// A Replicator passes on what the node holds. Its jobs and HandOver belong to the
// goroutine of the loop.
type Replicator struct {
	cfg       Config
	round     round
	newcomers newcomers

	replicated, handedOver atomic.Uint64
}

// New returns a Replicator.
func New(cfg Config) *Replicator {
	return &Replicator{
		cfg:       cfg,
		round:     round{kind: store.KindValue},
		newcomers: newcomers{given: make(map[peer.ID]time.Time), asked: make(map[peer.ID]time.Time)},
	}
}

// Round returns the job of the rounds. Config.Interval is not negative then. It is due
// only while the node has joined.
func (r *Replicator) Round() tasks.Job { return tasks.Job{Name: "replicate", Due: r.roundDue} }

// Newcomers returns the job that hands records over to the peers of HandOver and Returned.
func (r *Replicator) Newcomers() tasks.Job {
	r.newcomers.on = true
	return tasks.Job{Name: "hand-over", Limit: handovers, Due: r.handOverDue}
}

// Stats returns how many records and announcements were replicated in rounds, and how
// many were handed over.
func (r *Replicator) Stats() (replicated, handedOver uint64) {
	return r.replicated.Load(), r.handedOver.Load()
}

// withUs returns the k closest peers without the last one, if we are closer than it: we
// are one of the k then.
func (r *Replicator) withUs(key routing.Key, closest []routing.Contact) []routing.Contact {
	last := len(closest) - 1
	if len(closest) == r.cfg.K && key.Compare(r.cfg.Table.Self(), closest[last].Key) < 0 {
		return closest[:last]
	}
	return closest
}

const (
	// roundSteps is in how many steps a round goes through the store at most, so that
	// its cost is spread over the interval.
	roundSteps = 60

	// stepKeys is how many keys are worth a step.
	stepKeys = 16

	// stepBurst bounds the keys that one step visits beyond its part, because they
	// share lookups with keys of its part.
	stepBurst = 256

	// stepBatch is how many keys are read from the store at a time, and replicating
	// how many of them are sent at a time, so that a slow peer does not delay the
	// others.
	stepBatch   = 64
	replicating = 8

	// farRounds is in which of the rounds a record is sent that k contacts are nearer to
	// than we are: every eighth, and the first one of the node, which may be the last to have
	// what it held when it was stopped. No holder sends it to us, so that each of these copies
	// costs a delivery.
	farRounds = 8
)

// A round goes through all that the node holds, once per interval, and sends the
// records that no peer has sent us meanwhile to the peers closest to them. Nodes go
// through their stores at different times, so one of the holders of a record is the
// first; the others are sent it, and leave it alone.
//
// It belongs to the goroutine of the loop, and while a step runs, to that.
type round struct {
	survey *lookup.Survey
	begins time.Time // when the next round begins
	next   time.Time // when to do the next step; zero: not decided yet
	kind   store.Kind
	from   []byte // where in the store to go on

	number  int           // of the round: 0 and up, from one of the first farRounds on
	first   bool          // it is the first one of the node
	stepped bool          // a step has ended, and next is not set yet
	ended   bool          // it was the last one of the round
	pause   time.Duration // between two steps
}

// roundDue starts the next step of the round.
func (r *Replicator) roundDue(now time.Time, start *tasks.Start) time.Time {
	if start.Room() == 0 {
		return time.Time{}
	}
	s := &r.round
	if s.next.IsZero() {
		s.survey = r.cfg.Lookup.NewSurvey()
		s.next = now.Add(rand.N(r.cfg.Interval))
		s.begins = s.next
		s.number, s.first = rand.N(farRounds), true
	}
	if s.stepped {
		s.schedule(now, r.cfg.Interval)
	}
	if now.Before(s.next) {
		return s.next
	}
	values, providers := r.cfg.Holder.Len()
	steps := min((values+providers)/stepKeys+1, roundSteps)
	part := (values+providers)/steps + 1
	s.pause = r.cfg.Interval / time.Duration(steps)
	start.Run(
		func(ctx context.Context) (err error) {
			s.ended, err = r.step(ctx, part)
			return err
		},
		func(time.Time, error) { s.stepped = true })
	return time.Time{}
}

// schedule sets when the next step is due, after one has ended.
func (s *round) schedule(now time.Time, interval time.Duration) {
	s.stepped = false
	s.next = now.Add(s.pause)
	if !s.ended {
		return
	}
	s.number++
	s.first = false
	s.begins = s.begins.Add(tasks.Jittered(interval))
	if s.next = s.begins; s.next.Before(now) {
		s.begins = now // the round took longer than the interval
	}
}

// A held is what the node holds under a key.
type held struct {
	kind store.Kind
	key  []byte
}

// step replicates the next part of the store, so many keys. It reports whether that was
// the last one of the round.
func (r *Replicator) step(ctx context.Context, part int) (ended bool, err error) {
	var lookedUp atomic.Bool
	var failed error
	keys := func(yield func(held) bool) { ended, failed = r.walk(ctx, part, &lookedUp, yield) }
	err = tasks.Each(ctx, replicating, keys, func(ctx context.Context, h held) error {
		did, err := r.replicate(ctx, h)
		if err != nil {
			log.Debugw("not replicated", "key", h.key, "error", err)
		}
		if did {
			lookedUp.Store(true)
		}
		return nil
	})
	return ended, errors.Join(failed, err)
}

// walk yields the keys of the next part of the store, and the keys after them that
// share their lookups, once there was one. It reports whether they were the last
// ones of the round.
func (r *Replicator) walk(ctx context.Context, part int, lookedUp *atomic.Bool, yield func(held) bool) (ended bool, err error) {
	s := &r.round
	for seen := 0; ; {
		keys, err := r.cfg.Holder.Keys(ctx, s.kind, s.from, stepBatch)
		if err != nil {
			return false, err
		}
		if len(keys) == 0 {
			if s.kind == store.KindProvider {
				s.kind, s.from = store.KindValue, nil
				return true, nil
			}
			s.kind, s.from = store.KindProvider, nil
			continue
		}
		for _, key := range keys {
			if seen >= part && (!lookedUp.Load() || seen >= part+stepBurst || !s.survey.Known(key)) {
				return false, nil
			}
			seen++
			s.from = store.After(key)
			if !yield(held{s.kind, key}) {
				return false, nil
			}
		}
	}
}

// replicate sends what is held under a key to the peers that are closest to it, if no
// peer has sent it to us for an interval. It reports whether it has looked them up. Our copy stays until it
// expires, also if k others are nearer to the key and say that they have it: they may have
// dropped it.
func (r *Replicator) replicate(ctx context.Context, h held) (bool, error) {
	key := routing.KeyOf(h.key)
	turn := r.round.first || (r.round.number+int(key[len(key)-1]))%farRounds == 0
	if !turn && r.cfg.Table.CountCloser(key) >= r.cfg.K {
		return false, nil
	}
	if due, err := r.due(ctx, h); err != nil || len(due) == 0 {
		return false, err
	}
	to, err := r.round.survey.Closest(ctx, h.key, nil)
	if err != nil {
		return false, err
	}
	to = r.withUs(key, to)
	due, err := r.due(ctx, h) // another holder may have been faster than the lookup
	due = r.cfg.Holder.Genuine(ctx, due)
	if err != nil {
		return false, err
	}
	old := false
	for _, req := range due {
		receipt := r.cfg.Deliver.ToThese(ctx, to, req, (len(to)+1)/2) // the rest is sent it all the same
		for _, err := range receipt.Failed {
			old = old || errors.Is(err, kaderr.ErrOldRecord)
		}
		if len(receipt.Stored) == 0 {
			continue
		}
		r.replicated.Add(1)
		if err := r.cfg.Holder.MarkSent(ctx, req); err != nil {
			return true, err
		}
	}
	if old { // a holder has a better one: the get brings it here, and to the other holders
		_, err = r.cfg.Find.Values(ctx, h.key, find.ValuesOptions{})
	}
	return true, err
}

// due returns the requests that replicate what is held under a key and no peer has sent
// us for an interval, without a look at their proofs. A value of ours has a clock of its own,
// in the agenda.
func (r *Replicator) due(ctx context.Context, h held) ([]protocol.Request, error) {
	due, err := r.cfg.Holder.Candidates(ctx, h.kind, h.key, r.cfg.Interval)
	if err != nil || len(due) == 0 {
		return nil, err
	}
	if put, ok := due[0].(protocol.PutValue); ok && len(put.More) == 0 && r.cfg.Publish.Has(h.kind, h.key) {
		return nil, nil
	}
	return due, nil
}
