package host

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// heldValues returns the values that we hold under a key, the best one first; none
// is no error. At the zero time, nothing has expired.
func (d *DHT) heldValues(ctx context.Context, key []byte, now time.Time) ([]store.Value, error) {
	packed, err := d.store.Value(ctx, key, now)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return d.validators.unpack(key, packed, now), nil
}

// storedRecords returns the records that we hold under a key, the best one first.
// A single value can become invalid while we hold it, so it is validated again. A
// set is not: that would be a check of every value for every request, and whoever
// asked does it anyway.
func (d *DHT) storedRecords(ctx context.Context, key []byte) ([]protocol.Record, error) {
	now := time.Now()
	held, err := d.heldValues(ctx, key, now)
	if err != nil {
		return nil, err
	}
	if len(held) != 1 || d.validators.check(key, held[0].Data) == nil {
		return recordsOf(key, held, now), nil
	}
	return nil, nil
}

// transit is how long a record is on its way at most, as a rule: it is taken off the
// lifetime that is sent with it, so that nobody keeps it for longer than the sender.
const transit = time.Second

// recordsOf returns values that are held as the records that are sent: each with
// the time that is left to it. What has less than two seconds is over.
func recordsOf(key []byte, held []store.Value, now time.Time) []protocol.Record {
	records := make([]protocol.Record, 0, len(held))
	for _, v := range held {
		rec := protocol.Record{Key: key, Value: v.Data, TimeReceived: v.Received, Publisher: v.Publisher}
		if !v.Expires.IsZero() {
			if rec.TTL = v.Expires.Sub(now) - transit; rec.TTL < time.Second {
				continue
			}
		}
		records = append(records, rec)
	}
	return records
}

// putOf returns the request that stores records of one key, the best one first.
func putOf(records []protocol.Record) protocol.PutValue {
	return protocol.PutValue{Record: records[0], More: records[1:]}
}

// storeRecords keeps records of one key that pass their validator, unless better
// ones are held. They came from a peer, or from ourselves. If the store is full,
// what is farther from us makes room.
func (d *DHT) storeRecords(ctx context.Context, from peer.ID, records ...protocol.Record) error {
	key := records[0].Key
	if len(records) > d.cfg.MaxValues { // before their signatures are checked
		return errTooMany
	}
	now := time.Now()
	arrived := make([]store.Value, len(records))
	size := len(key)
	for i, rec := range records {
		if err := d.validators.check(key, rec.Value); err != nil {
			return err
		}
		size += len(rec.Value)
		arrived[i] = store.Value{
			Data: rec.Value, Publisher: rec.Publisher, Received: now,
			Expires: d.expiry(now, key, from, rec.TTL),
		}
	}
	added := 0
	err := d.makingRoom(ctx, store.KindValue, key, func() error {
		return d.store.UpdateValue(ctx, key, now, func(current store.Value, ok bool) (store.Value, error) {
			var held []store.Value
			if ok {
				held = d.validators.unpack(key, current, now)
			}
			next, err := d.validators.mergeHeld(key, held, arrived)
			if err != nil {
				return store.Value{}, err
			}
			if err := d.cfg.bounded(next); err != nil {
				return store.Value{}, err
			}
			packed := d.validators.pack(key, next)
			if added = size; ok {
				added = len(packed.Data) - len(current.Data)
			}
			return packed, d.allows(now, from, added)
		})
	})
	if err == nil && from != d.self {
		d.quota.charge(now, from, added)
	}
	return err
}

// allows returns an error if a peer has used up its share of the store.
func (d *DHT) allows(now time.Time, from peer.ID, bytes int) error {
	if from == d.self {
		return nil
	}
	return d.quota.allows(now, from, bytes)
}

// expiry is when something that arrives now is to be forgotten; the zero time
// means never. It came from a peer that keeps it for ttl from now on, or does not
// say, if that is 0. What is nearer to many others than to us is kept for less.
func (d *DHT) expiry(now time.Time, key []byte, from peer.ID, ttl time.Duration) time.Time {
	age := d.cfg.RecordAge
	if from != d.self && !d.cfg.DisableCaching {
		age = routing.CacheLifetime(age, d.peers.countCloser(routing.KeyOf(key)), d.cfg.K)
	}
	if ttl > 0 && (age < 0 || ttl < age) {
		age = ttl
	}
	if age < 0 {
		return time.Time{}
	}
	return now.Add(age)
}

// maxShed bounds what one write takes from others.
const maxShed = 64

// makingRoom runs a write, and if the store is full, drops what is farthest from us
// and tries again, as long as that is farther than key.
func (d *DHT) makingRoom(ctx context.Context, kind store.Kind, key []byte, write func() error) error {
	for range maxShed {
		err := write()
		if !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrKeyFull) {
			return err
		}
		shed, shedErr := d.store.Shed(ctx, kind, d.peers.self, key)
		if shedErr != nil || !shed {
			return errors.Join(err, shedErr)
		}
		d.stats.shed.Add(1)
	}
	return write()
}
