package holder

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// Held returns the values that are held under a key, the best one first. It is no
// error if there are none. At the zero time, nothing has expired.
func (h *Holder) Held(ctx context.Context, key []byte, now time.Time) ([]store.Value, error) {
	packed, err := h.cfg.Store.Value(ctx, key, now)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return h.cfg.Rules.Unpack(key, packed, now), nil
}

// Records returns the records that an answer has of a key, the best one first. A
// single value can become invalid while it is held, so it is validated again. A set is
// not: that would be a check of each value for each request, and the requester
// validates them anyway.
func (h *Holder) Records(ctx context.Context, key []byte, now time.Time) ([]protocol.Record, error) {
	held, err := h.Held(ctx, key, now)
	if err != nil {
		return nil, err
	}
	return RecordsOf(key, h.stillValid(key, held), now), nil
}

// Transit is how long a record is on its way at most, as a rule. It is taken off the
// lifetime that is sent with a record, so that no holder keeps it for longer than the
// sender.
const Transit = time.Second

// RecordsOf returns values that are held as the records that are sent: each with its
// remaining lifetime. A value that has less than two seconds is left out.
func RecordsOf(key []byte, held []store.Value, now time.Time) []protocol.Record {
	records := make([]protocol.Record, 0, len(held))
	for _, v := range held {
		rec := protocol.Record{Key: key, Value: v.Data, TimeReceived: v.Received, Publisher: v.Publisher}
		if !v.Expires.IsZero() {
			since := now
			if v.Received.After(now) {
				since = v.Received // the clock was ahead when it arrived
			}
			if rec.TTL = v.Expires.Sub(since) - Transit; rec.TTL < time.Second {
				continue
			}
		}
		records = append(records, rec)
	}
	return records
}

// PutOf returns the request that stores records of one key, the best one first.
func PutOf(records []protocol.Record) protocol.PutValue {
	return protocol.PutValue{Record: records[0], More: records[1:]}
}

// RecordsIn returns the records that a request stores, as PutOf was given them.
func RecordsIn(put protocol.PutValue) []protocol.Record {
	return append([]protocol.Record{put.Record}, put.More...)
}

// Store holds the records of one key that pass their validator, unless better ones are
// held. They came from a peer, or from ourselves. If the store is full, an entry that
// is farther from us makes room.
func (h *Holder) Store(ctx context.Context, now time.Time, from peer.ID, records ...protocol.Record) error {
	key := records[0].Key
	arrived, err := h.arrived(now, from, records)
	if err != nil {
		return err
	}
	put := h.isPut(from, records)
	var charged charge // to the share of the sender
	err = h.makingRoom(ctx, store.KindValue, key, func() error {
		return h.cfg.Store.UpdateValue(ctx, key, now, func(current store.Value, ok bool) (store.Value, error) {
			h.quota.refund(now, charged) // the store may call this again
			charged = charge{}
			var held []store.Value
			if ok {
				held = h.stillValid(key, h.cfg.Rules.Unpack(key, current, now))
			}
			next, err := h.cfg.Rules.MergeHeld(key, held, arrived, put)
			if err != nil {
				return store.Value{}, err
			}
			if err := h.cfg.Rules.Bounded(key, next); err != nil {
				return store.Value{}, err
			}
			packed := h.cfg.Rules.Pack(key, next)
			added := len(packed.Data) + len(packed.Publisher) - len(current.Data) - len(current.Publisher)
			if !ok {
				added += len(key) + valueCost
			}
			if charged, err = h.quota.charge(now, from, added, false); err != nil {
				return store.Value{}, err
			}
			return packed, nil
		})
	})
	if err != nil && !errors.Is(err, errInVain) {
		h.quota.refund(now, charged)
	}
	return err
}

// StoreOwn is Store for records of ours. A full store is no error, nor is a full disk.
func (h *Holder) StoreOwn(ctx context.Context, now time.Time, records ...protocol.Record) error {
	return tolerateFull(h.Store(ctx, now, h.self, records...))
}

// tolerateFull returns err unless it is that our store has no room: a store that other
// peers have filled does not keep us from publishing, nor does a full disk.
func tolerateFull(err error) error {
	if errors.Is(err, store.ErrNoSpace) {
		log.Warnw("not stored with us", "error", err) // a matter of the disk
		return nil
	}
	if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrTooLarge) {
		log.Debugw("not stored with us", "error", err)
		return nil
	}
	return err
}

// isPut reports whether records were put just now by their publisher, or by this node, and
// are no copies of another holder. Records without a publisher come from implementations
// that know no copies.
func (h *Holder) isPut(from peer.ID, records []protocol.Record) bool {
	publisher := peer.ID(records[0].Publisher)
	return from == h.self || publisher == "" || publisher == from
}

// Accepts returns nil if Store would hold records of one key that are put now, as far as
// their content decides that.
func (h *Holder) Accepts(ctx context.Context, now time.Time, records []protocol.Record) error {
	key := records[0].Key
	arrived := make([]store.Value, len(records))
	for i, rec := range records {
		if err := h.cfg.Rules.Check(key, rec.Value); err != nil {
			return err
		}
		arrived[i].Data = rec.Value
	}
	held, err := h.Held(ctx, key, now)
	if err != nil {
		return err
	}
	merged, err := h.cfg.Rules.MergeHeld(key, h.stillValid(key, held), arrived, true)
	if err != nil {
		return err
	}
	return h.cfg.Rules.Bounded(key, merged)
}

// arrived returns the valid records as they are to be held. It is an error if none is
// valid. More records than the key may hold are an error too, before any signature is
// checked.
func (h *Holder) arrived(now time.Time, from peer.ID, records []protocol.Record) ([]store.Value, error) {
	key := records[0].Key
	if most, _ := h.cfg.Rules.Limits(key); len(records) > most {
		return nil, kaderr.ErrTooMany
	}
	var arrived []store.Value
	var invalid error
	for _, rec := range records {
		if err := h.cfg.Rules.Check(key, rec.Value); err != nil {
			invalid = err
			continue
		}
		arrived = append(arrived, store.Value{
			Data: rec.Value, Publisher: rec.Publisher, Received: now,
			Expires: h.expiry(now, key, from, rec.TTL),
		})
	}
	if len(arrived) == 0 {
		return nil, invalid
	}
	return arrived, nil
}

// stillValid returns the values that are held, without a single value that has become
// invalid meanwhile: it must not keep others out. The values of a set are not validated
// again for each value that arrives.
func (h *Holder) stillValid(key []byte, held []store.Value) []store.Value {
	if len(held) == 1 && h.cfg.Rules.Check(key, held[0].Data) != nil {
		return nil
	}
	return held
}
