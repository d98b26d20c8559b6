package holder

import (
	"context"
	"errors"
	"time"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/routing"
)

// aheadOf reports whether a time of an entry that has arrived shows that the clock was ahead
// then.
func aheadOf(now, received time.Time) bool { return received.After(now.Add(announce.MaxSkew)) }

// A correction corrects the times of an entry, and reports whether it did. age is the longest
// lifetime of such an entry; negative: there is none.
type correction func(age time.Duration, received, expires *time.Time) (changed bool)

// correctedAt returns the correction of entries that arrived while the clock was ahead. When
// they arrived is unknown: they get their lifetime from now on.
func correctedAt(now time.Time) correction {
	return func(age time.Duration, received, expires *time.Time) (changed bool) {
		if aheadOf(now, *received) {
			if !expires.IsZero() {
				*expires = now.Add(max(0, expires.Sub(*received)))
			}
			*received, changed = now, true
		}
		if age >= 0 && expires.After(now.Add(age+announce.MaxSkew)) {
			*expires, changed = now.Add(age), true
		}
		return changed
	}
}

// shiftedBy returns the correction of entries that arrived before the clock jumped. Without
// it, what a machine without a battery was sent before the network set its clock would have
// expired years ago.
func shiftedBy(jump tasks.Jump) correction {
	return func(_ time.Duration, received, expires *time.Time) (changed bool) {
		if received.Before(jump.From) || received.After(jump.To) {
			return false
		}
		if !expires.IsZero() {
			*expires = expires.Add(jump.By)
		}
		*received = received.Add(jump.By)
		return true
	}
}

// errAsItIs leaves an entry as it is.
var errAsItIs = errors.New("kad: nothing to correct")

const (
	// correctAgain is how long a correction waits for a store that fails.
	correctAgain = time.Minute

	// correctTries is how often it tries, for some four hours: an entry that cannot be read for
	// longer keeps its times, since nothing expires before the others are corrected.
	correctTries = 240
)

// correctTimes corrects the times of all entries. Without it, what arrived while the clock
// was years ahead would be held for years, and be passed on by no round. It waits for a store
// that fails, and nothing is removed meanwhile: an entry with a wrong time would be lost. A disk
// that is full is no failure: the entry keeps its times.
func (h *Holder) correctTimes(ctx context.Context, correct correction) error {
	return each(func(kind store.Kind, from []byte) (keys [][]byte, err error) {
		err = insist(ctx, func() (err error) {
			keys, err = h.keysAt(ctx, time.Time{}, kind, from, eachBatch)
			return err
		})
		return keys, err
	}, routing.Key{}, 0, func(kind store.Kind, key []byte) error {
		if kind == store.KindProvider {
			corrected := make(map[string]struct{})
			return passOver(ctx, insist(ctx, func() error { return h.correctProviders(ctx, correct, key, corrected) }))
		}
		return passOver(ctx, insist(ctx, func() error {
			if err := tolerateFull(h.correctValue(ctx, correct, key)); !errors.Is(err, errAsItIs) {
				return err
			}
			return nil
		}))
	})
}

// insist calls f until it does not fail, for as long as correctTries says, or until ctx ends. It
// returns the last error if that lasts.
func insist(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil {
			return nil
		}
		log.Warnw("the times of what is held cannot be corrected", "error", err) // a matter of the disk
		if try == correctTries || !tasks.Pause(ctx, correctAgain, nil) {
			return err
		}
	}
}

// passOver ends the correction of an entry: with the error if ctx has ended, or else with nil.
func passOver(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return nil
}

// correctValue corrects the times of the values of a key; errAsItIs if there is no need.
func (h *Holder) correctValue(ctx context.Context, correct correction, key []byte) error {
	return h.cfg.Store.UpdateValue(ctx, key, time.Time{}, func(current store.Value, ok bool) (store.Value, error) {
		if !ok {
			return store.Value{}, errAsItIs
		}
		held, changed := h.cfg.Rules.Unpack(key, current, time.Time{}), false
		for i := range held {
			changed = correct(h.cfg.RecordAge, &held[i].Received, &held[i].Expires) || changed
		}
		if !changed {
			return store.Value{}, errAsItIs
		}
		return h.cfg.Rules.Pack(key, held), nil
	})
}

// correctProviders corrects the times of the announcements of a key, and adds their providers to
// corrected. Ours may last for longer than others.
func (h *Holder) correctProviders(ctx context.Context, correct correction, key []byte, corrected map[string]struct{}) error {
	defer h.announcing.Lock(key).Unlock()
	held, err := h.cfg.Store.Providers(ctx, key, time.Time{}, 0)
	if err != nil {
		return err
	}
	for _, p := range held {
		if _, done := corrected[p.ID]; done {
			continue
		}
		age := h.cfg.RecordAge
		if p.ID == string(h.self) {
			age = -1
		}
		kept := announce.ParseKept(p.Addrs)
		published := correct(-1, &kept.Published, new(time.Time))
		if published {
			p.Addrs = kept.Marshal()
		}
		expires := p.Expires
		if !correct(age, &p.Received, &p.Expires) {
			continue
		}
		if len(kept.Proof) > 0 && !published {
			p.Expires = expires // by the clock of the provider, which agrees
		}
		if err := tolerateFull(h.cfg.Store.AddProvider(ctx, key, p)); err != nil {
			return err
		}
		corrected[p.ID] = struct{}{}
	}
	return nil
}
