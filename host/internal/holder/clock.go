package holder

import (
	"context"
	"errors"
	"time"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/store"
)

// aheadOf reports whether a time of an entry that has arrived shows that the clock was ahead
// then.
func aheadOf(now, received time.Time) bool { return received.After(now.Add(announce.MaxSkew)) }

// correct corrects the times of an entry that arrived while the clock was ahead, and reports
// whether it did. When it arrived is unknown: it gets its lifetime from now on. age is the
// longest one; negative: there is none.
func correct(now time.Time, age time.Duration, received, expires *time.Time) (changed bool) {
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

// errAsItIs leaves an entry as it is.
var errAsItIs = errors.New("kad: nothing to correct")

// correctTimes corrects the times of all entries. Without it, what arrived while the clock
// was years ahead would be held for years, and be passed on by no round.
func (h *Holder) correctTimes(ctx context.Context, now time.Time) error {
	var never time.Time // nothing counts as expired
	for from := []byte(nil); ; {
		values, err := h.cfg.Store.Values(ctx, never, from, eachBatch)
		if err != nil {
			return err
		}
		for _, v := range values {
			if err := tolerateFull(h.correctValue(ctx, now, v.Key)); err != nil && !errors.Is(err, errAsItIs) {
				return err
			}
			from = store.After(v.Key)
		}
		if len(values) == 0 {
			break
		}
	}
	for from := []byte(nil); ; {
		keys, err := h.cfg.Store.ProviderKeys(ctx, never, from, eachBatch)
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, key := range keys {
			if err := h.correctProviders(ctx, now, key); err != nil {
				return err
			}
			from = store.After(key)
		}
	}
}

// correctValue corrects the times of the values of a key; errAsItIs if there is no need.
func (h *Holder) correctValue(ctx context.Context, now time.Time, key []byte) error {
	return h.cfg.Store.UpdateValue(ctx, key, time.Time{}, func(current store.Value, ok bool) (store.Value, error) {
		if !ok {
			return store.Value{}, errAsItIs
		}
		held, changed := h.cfg.Rules.Unpack(key, current, time.Time{}), false
		for i := range held {
			changed = correct(now, h.cfg.RecordAge, &held[i].Received, &held[i].Expires) || changed
		}
		if !changed {
			return store.Value{}, errAsItIs
		}
		return h.cfg.Rules.Pack(key, held), nil
	})
}

// correctProviders corrects the times of the announcements of a key. Ours may last for
// longer than others.
func (h *Holder) correctProviders(ctx context.Context, now time.Time, key []byte) error {
	defer h.announcing.lock(key).Unlock()
	held, err := h.cfg.Store.Providers(ctx, key, time.Time{}, 0)
	if err != nil {
		return err
	}
	for _, p := range held {
		age := h.cfg.RecordAge
		if p.ID == string(h.self) {
			age = -1
		}
		if !correct(now, age, &p.Received, &p.Expires) {
			continue
		}
		if kept := announce.ParseKept(p.Addrs); aheadOf(now, kept.Published) {
			kept.Published = now
			p.Addrs = kept.Marshal()
		}
		if err := tolerateFull(h.cfg.Store.AddProvider(ctx, key, p)); err != nil {
			return err
		}
	}
	return nil
}
