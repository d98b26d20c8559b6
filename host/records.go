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
	return recordsOf(key, d.stillGood(key, held), now), nil
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

// recordsIn returns the records that a request stores, as putOf was given them.
func recordsIn(put protocol.PutValue) []protocol.Record {
	return append([]protocol.Record{put.Record}, put.More...)
}

// copyOf returns the request that gives values that are held under a key to another
// peer; false if all of them are about to expire.
func copyOf(key []byte, held []store.Value, now time.Time) (protocol.PutValue, bool) {
	records := recordsOf(key, held, now)
	if len(records) == 0 {
		return protocol.PutValue{}, false
	}
	return putOf(records), true
}

// storeRecords keeps those records of one key that pass their validator, unless better
// ones are held. They came from a peer, or from ourselves. If the store is full,
// what is farther from us makes room.
func (d *DHT) storeRecords(ctx context.Context, from peer.ID, records ...protocol.Record) error {
	key := records[0].Key
	now := time.Now()
	arrived, err := d.arrived(now, from, records)
	if err != nil {
		return err
	}
	taken := 0 // of the share of the peer
	err = d.makingRoom(ctx, store.KindValue, key, func() error {
		return d.store.UpdateValue(ctx, key, now, func(current store.Value, ok bool) (store.Value, error) {
			d.give(now, from, taken)
			taken = 0
			var held []store.Value
			if ok {
				held = d.stillGood(key, d.validators.unpack(key, current, now))
			}
			next, err := d.validators.mergeHeld(key, held, arrived)
			if err != nil {
				return store.Value{}, err
			}
			if err := d.cfg.bounded(next); err != nil {
				return store.Value{}, err
			}
			packed := d.validators.pack(key, next)
			added := len(packed.Data) + len(packed.Publisher) - len(current.Data) - len(current.Publisher)
			if !ok {
				added += len(key)
			}
			if err := d.take(now, from, added); err != nil {
				return store.Value{}, err
			}
			taken = added
			return packed, nil
		})
	})
	if err != nil && !errors.Is(err, errInVain) {
		d.give(now, from, taken)
	}
	return err
}

// arrived returns records as they are to be held, those that are valid. It is an error
// if none is, or if there are more than the key may hold, which is seen before their
// signatures are.
func (d *DHT) arrived(now time.Time, from peer.ID, records []protocol.Record) ([]store.Value, error) {
	key := records[0].Key
	limit := 1
	if d.validators.reducer(key) != nil {
		limit = d.cfg.MaxValues
	}
	if len(records) > limit {
		return nil, errTooMany
	}
	var arrived []store.Value
	var invalid error
	for _, rec := range records {
		if err := d.validators.check(key, rec.Value); err != nil {
			invalid = err
			continue
		}
		arrived = append(arrived, store.Value{
			Data: rec.Value, Publisher: rec.Publisher, Received: now,
			Expires: d.expiry(now, key, from, rec.TTL),
		})
	}
	if len(arrived) == 0 {
		return nil, invalid
	}
	return arrived, nil
}

// stillGood returns what is held without a single value that has become invalid
// meanwhile: it is not to keep others out. The values of a set are not validated
// once more for each that arrives.
func (d *DHT) stillGood(key []byte, held []store.Value) []store.Value {
	if len(held) == 1 && d.validators.check(key, held[0].Data) != nil {
		return nil
	}
	return held
}

// take makes what a peer is about to add count against its share of the store; give
// takes that back.
func (d *DHT) take(now time.Time, from peer.ID, bytes int) error {
	if from == d.self {
		return nil
	}
	return d.quota.take(now, from, bytes)
}

func (d *DHT) give(now time.Time, from peer.ID, bytes int) {
	if from != d.self {
		d.quota.give(now, from, bytes)
	}
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

// errInVain marks a write that was refused although others made room for it: it counts
// against the share of the peer all the same, so that nobody empties the store with
// what does not fit.
var errInVain = errors.New("kad: too large for the room that others made")

// makingRoom runs a write, and if the store is full, drops what is farthest from us
// and tries again, as long as that is farther than key.
func (d *DHT) makingRoom(ctx context.Context, kind store.Kind, key []byte, write func() error) error {
	for shed := 0; ; shed++ {
		err := write()
		if !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrKeyFull) {
			return err
		}
		made := false
		var shedErr error
		if shed < maxShed {
			made, shedErr = d.store.Shed(ctx, kind, d.peers.self, key)
		}
		if !made {
			if shed > 0 {
				err = errors.Join(err, errInVain)
			}
			return errors.Join(err, shedErr)
		}
		d.stats.shed.Add(1)
	}
}
