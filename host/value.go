package host

import (
	"context"
	"fmt"
	"time"

	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// PutValue stores a value under a key on the k peers closest to it. It is
// [DHT.Put] without the receipt: it fails if nobody stored the value.
func (d *DHT) PutValue(ctx context.Context, key string, value []byte, opts ...lrouting.Option) error {
	_, err := d.Put(ctx, key, value, opts...)
	return err
}

// Put stores a value under a key, "/namespace/rest", on the k peers closest to
// it, and with us. The receipt says who stored it, and who did not and why. The
// error is [ErrInvalidRecord] if the validator of the namespace does not accept
// the value, or there is none; [ErrOldRecord] if we hold a better one; and a
// [*PutError] if fewer stored it than [Quorum] asks for, or nobody. Without a
// Quorum, Put returns when three quarters of k have stored it, and the others had as
// long as answers take; with one, when that is reached. The rest goes on: see
// [Receipt.Wait].
//
// What somebody has stored is published again every Config.RepublishInterval,
// until it is withdrawn or superseded.
//
// With the option Offline, the value is stored with us alone.
//
// Spec: libp2p kad-dht, "Value storage and retrieval".
func (d *DHT) Put(ctx context.Context, key string, value []byte, opts ...lrouting.Option) (Receipt, error) {
	ctx, end := d.begin(ctx)
	defer end()
	o, err := d.options(opts)
	if err != nil {
		return Receipt{}, err
	}
	rec := d.ownRecord([]byte(key), value)
	if o.Offline {
		return Receipt{}, d.storeRecords(ctx, d.self, rec)
	}
	receipt, err := d.put(ctx, d.closestBy(o.paths), o.quorum, rec)
	if len(receipt.Stored) > 0 {
		d.publish(ctx, publicationID{store.KindValue, key}, value)
	}
	return receipt, err
}

// ownRecord returns a record as we publish it now.
func (d *DHT) ownRecord(key, value []byte) protocol.Record {
	return protocol.Record{
		Key: key, Value: value,
		TimeReceived: time.Now(), Publisher: []byte(d.self), TTL: max(0, d.cfg.RecordAge),
	}
}

// put stores records of ours, of one key, with the k closest peers, and, once one of
// them is found, with us.
func (d *DHT) put(ctx context.Context, closest closestFunc, quorum int, records ...protocol.Record) (Receipt, error) {
	if err := d.accepts(ctx, records); err != nil {
		return Receipt{}, err
	}
	keep := func() error { return tolerateFull(d.storeRecords(ctx, d.self, records...)) }
	receipt, err := d.deliver(ctx, putOf(records), quorum, keep, d.addTo(closest, records[0].Key))
	if err != nil {
		return receipt, err
	}
	return receipt, receipt.check(ctx, quorum)
}

// addTo returns what adds to a delivery the peers that are closest to a preimage.
func (d *DHT) addTo(closest closestFunc, preimage []byte) func(ctx context.Context, v *delivery) error {
	return func(ctx context.Context, v *delivery) error {
		to, err := closest(ctx, preimage, v)
		v.add(ctx, to...)
		return err
	}
}

// StopPublishing ends the publication of a value of ours: it is not published
// again, here and elsewhere it is kept until it expires.
func (d *DHT) StopPublishing(ctx context.Context, key string) error {
	ctx, end := d.begin(ctx)
	defer end()
	return d.unpublish(ctx, publicationID{store.KindValue, key})
}

// accepts says whether we would store records of one key ourselves.
func (d *DHT) accepts(ctx context.Context, records []protocol.Record) error {
	key := records[0].Key
	arrived := make([]store.Value, len(records))
	for i, rec := range records {
		if err := d.validators.check(key, rec.Value); err != nil {
			return err
		}
		arrived[i].Data = rec.Value
	}
	held, err := d.heldValues(ctx, key, time.Now())
	if err != nil {
		return err
	}
	merged, err := d.validators.mergeHeld(key, d.stillGood(key, held), arrived)
	if err != nil {
		return err
	}
	return d.cfg.bounded(merged)
}

// GetValue returns the best value under a key, by the order of the validator
// of its namespace. It asks the k closest peers, or stops at the [Quorum].
// Holders of a worse value, and those of the k closest that have none, are sent
// the best one afterwards, in the background, and a copy of it is left on the way:
// see Config.DisableCorrection and Config.DisableCaching.
//
// The error is [ErrNotFound] if nobody has a valid value, and the cause of ctx
// if that ends first: what was found by then may not be the best. With the
// option Offline, only what we hold counts; with Expired, also if its time is
// over.
func (d *DHT) GetValue(ctx context.Context, key string, opts ...lrouting.Option) ([]byte, error) {
	values, err := d.GetValues(ctx, key, opts...)
	if err != nil {
		return nil, err
	}
	return values[0], nil
}

// GetValues is [DHT.GetValue] for a key that holds several values, since its
// validator is a [Reducer]: it collects what the peers have and merges it. The
// first value is the one that GetValue returns. With a [Quorum], it returns as
// soon as so many peers have all of what was found.
func (d *DHT) GetValues(ctx context.Context, key string, opts ...lrouting.Option) ([][]byte, error) {
	o, err := d.options(opts)
	if err != nil {
		return nil, err
	}
	return d.getValues(ctx, key, o, func([]byte) {})
}

// SearchValue is [DHT.GetValue] with the values as they are found: each that
// the channel yields is better than the one before. It is closed at the end. Who
// reads slowly misses values in between, never the last one. It waits for
// readiness first, and fails with a [*NotReadyError].
func (d *DHT) SearchValue(ctx context.Context, key string, opts ...lrouting.Option) (<-chan []byte, error) {
	if _, err := d.validators.of([]byte(key)); err != nil {
		return nil, err
	}
	o, err := d.options(opts)
	if err != nil {
		return nil, err
	}
	if !o.Offline {
		if err := d.readyWithin(ctx); err != nil {
			return nil, err
		}
	}
	values := make(chan []byte, 1)
	started := d.tasks.run(func(context.Context) {
		defer close(values)
		_, err := d.getValues(ctx, key, o, func(value []byte) {
			select {
			case <-values: // superseded, and not read yet
			default:
			}
			values <- value // there is room: nobody else sends
		})
		if err != nil {
			log.Debugw("search value", "key", key, "error", err)
		}
	})
	if !started {
		return nil, ErrClosed
	}
	return values, nil
}

// getValues looks for the values of a key, and calls improved with each that is
// better than the ones before.
func (d *DHT) getValues(ctx context.Context, key string, o options, improved func([]byte)) ([][]byte, error) {
	ctx, end := d.begin(ctx)
	defer end()
	g := newGetter(d, []byte(key), improved)
	if _, err := d.validators.of(g.key); err != nil {
		return nil, err
	}
	if err := g.local(ctx, o.Expired); err != nil {
		return nil, err
	}
	if o.Offline || g.reached(o.quorum) {
		if len(g.values) == 0 {
			return nil, fmt.Errorf("%w: we do not hold %q ourselves", ErrNotFound, key)
		}
		return g.values, nil
	}
	s, err := d.search(ctx, g.key, protocol.GetValue{Key: g.key}, plan{paths: o.paths})
	if err != nil {
		return nil, err
	}
	s.heard = func(from routing.Contact, resp protocol.Response) {
		if resp.Record == nil {
			return
		}
		g.heard(from.ID, append([]protocol.Record{*resp.Record}, resp.More...))
		if g.reached(o.quorum) {
			for _, id := range g.agree() { // each disjoint path needs an answer of its own
				s.lookup.StopPath(id)
			}
		}
	}
	result, err := s.run(ctx)
	if err != nil {
		return nil, err
	}
	if len(g.values) == 0 {
		return nil, fmt.Errorf("%w: none of the %d closest peers that answered has %q", ErrNotFound, len(result.Closest), key)
	}
	if !o.Expired { // what is over is not to come back
		d.spread(g, result)
	}
	return g.values, nil
}
