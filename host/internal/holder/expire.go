package holder

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/routing"
)

const (
	// expireBatch is how many expired entries of the store are removed at a time, so
	// that no request waits for long.
	expireBatch = 256

	// expireAfter is the shortest pause between two sweeps. Entries that are put
	// meanwhile may expire earlier; they are not served in any case.
	expireAfter = time.Minute

	// clockSettles is how long the clock has to have run evenly before it is believed:
	// by then the network has set the clock of a machine that has none of its own.
	clockSettles = time.Hour
)

// Expire returns the job that removes what has expired from the store, a batch at a time,
// while the clock is believed: what has expired by a wrong clock is not served, and is
// served again once the clock is right. First it corrects the times of entries that arrived
// while the clock was ahead; and at once, when the clock jumps, of entries that arrived before
// that: all of them if the clock was set, and if it is unknown whether the machine slept, the
// ones that arrived before the clock was believed.
func (h *Holder) Expire() tasks.Job {
	s := &sweep{holder: h, clock: tasks.Evenness{Slept: h.slept}}
	return tasks.Job{Name: "expire", Due: s.due}
}

// A sweep is how far the removal is. It belongs to the goroutine of the loop.
type sweep struct {
	holder *Holder
	clock  tasks.Evenness
	right  time.Time // since when the clock ran evenly when times were corrected last
	at     time.Time // not before
	ended  bool      // a batch has ended, and at is not set yet
	full   bool      // the batch was full, so there may be more
	next   time.Time // when the next entry expires
}

func (s *sweep) due(now time.Time, start *tasks.Start) time.Time {
	if start.Room() == 0 {
		return time.Time{}
	}
	since, jump := s.clock.Look(now)
	if jump.By != 0 && (jump.Set || jump.After < clockSettles) {
		start.Run(func(ctx context.Context) error { return s.holder.correctTimes(ctx, shiftedBy(jump)) }, nil)
		return time.Time{}
	}
	if settled := since.Add(clockSettles); now.Before(settled) {
		return settled
	}
	if !since.Equal(s.right) {
		s.right, s.at, s.ended = since, time.Time{}, false // what a sweep has said by the clock before is void
		start.Run(func(ctx context.Context) error { return s.holder.correctTimes(ctx, correctedAt(now)) }, nil)
		return time.Time{}
	}
	soon := now.Add(expireAfter)
	switch {
	case s.ended && s.full:
		s.at = now
	case s.ended && s.next.After(soon):
		s.at = s.next
	case s.ended:
		s.at = soon
	}
	s.ended = false
	if now.Before(s.at) {
		return s.at
	}
	var removed int
	start.Run(
		func(ctx context.Context) (err error) {
			removed, s.next, err = s.holder.cfg.Store.Expire(ctx, now, expireBatch)
			s.holder.expired.Add(uint64(max(removed, 0)))
			return err
		},
		func(_ time.Time, err error) {
			s.ended, s.full = true, err == nil && removed == expireBatch
		})
	return time.Time{}
}

// expiry returns when an entry that arrives now expires; the zero time means never. It
// came from a peer that keeps it for ttl from now on, or gives none, if that is 0. A
// holder that many others are nearer than keeps it for less.
func (h *Holder) expiry(now time.Time, key []byte, from peer.ID, ttl time.Duration) time.Time {
	age := h.cfg.RecordAge
	if from != h.self && h.cfg.Caching {
		age = routing.CacheLifetime(age, h.cfg.Table.CountCloser(routing.KeyOf(key)), h.cfg.K)
	}
	if ttl > 0 && (age < 0 || ttl < age) {
		age = ttl
	}
	if age < 0 {
		return time.Time{}
	}
	return now.Add(age)
}

// maxShed bounds how many entries one write can take from others.
const maxShed = 64

// errInVain marks a write that was refused although others made room for it. It counts
// against the share of the sender all the same, so that a peer cannot empty the store
// with records that do not fit.
var errInVain = errors.New("kad: too large for the room that others made")

// makingRoom runs a write. While the store is full, it drops the entry that is farthest
// from us and runs the write again, as long as that entry is farther than key.
func (h *Holder) makingRoom(ctx context.Context, kind store.Kind, key []byte, write func() error) error {
	for shed := 0; ; shed++ {
		err := write()
		if !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrKeyFull) {
			return err
		}
		made := false
		var shedErr error
		if shed < maxShed {
			made, shedErr = h.cfg.Store.Shed(ctx, kind, h.cfg.Table.Self(), key)
		}
		if !made {
			h.full.Add(1)
			if shed > 0 {
				err = errors.Join(err, errInVain)
			}
			return errors.Join(err, shedErr)
		}
		h.shed.Add(1)
	}
}
