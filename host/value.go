package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
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
// [*PutError] if fewer stored it than [Quorum] asks for, or nobody.
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
	o, err := applyOptions(opts)
	if err != nil {
		return Receipt{}, err
	}
	rec := protocol.Record{Key: []byte(key), Value: value, TimeReceived: time.Now()}
	if o.Offline {
		return Receipt{}, d.storeRecord(ctx, rec)
	}
	receipt, err := d.put(ctx, rec, o.quorum)
	if len(receipt.Stored) > 0 {
		d.publish(ctx, publicationID{store.KindValue, key}, value)
	}
	return receipt, err
}

// put stores a record with the k closest peers, and with us.
func (d *DHT) put(ctx context.Context, rec protocol.Record, quorum int) (Receipt, error) {
	if err := d.accepts(ctx, rec); err != nil {
		return Receipt{}, err
	}
	closest, err := d.closest(ctx, rec.Key)
	if err != nil {
		return Receipt{}, err
	}
	if err := tolerateFull(d.storeRecord(ctx, rec)); err != nil {
		return Receipt{}, err
	}
	receipt := d.send(ctx, closest, protocol.PutValue{Record: rec}, quorum)
	return receipt, receipt.check(ctx, quorum)
}

// StopPublishing ends the publication of a value of ours: it is not published
// again, here and elsewhere it is kept until it expires.
func (d *DHT) StopPublishing(ctx context.Context, key string) error {
	ctx, end := d.begin(ctx)
	defer end()
	return d.unpublish(ctx, publicationID{store.KindValue, key})
}

// accepts says whether we would store a record ourselves.
func (d *DHT) accepts(ctx context.Context, rec protocol.Record) error {
	if err := d.validators.check(rec.Key, rec.Value); err != nil {
		return err
	}
	held, err := d.store.Value(ctx, rec.Key, time.Now())
	if err == nil && d.validators.better(rec.Key, held.Data, rec.Value) {
		return ErrOldRecord
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// GetValue returns the best value under a key, by the order of the validator
// of its namespace. It asks the k closest peers, or stops at the [Quorum].
// Holders of a worse value, and those of the k closest that have none, are sent
// the best one afterwards, in the background.
//
// The error is [ErrNotFound] if nobody has a valid value, and the cause of ctx
// if that ends first: what was found by then may not be the best. With the
// option Offline, only what we hold counts; with Expired, also if its time is
// over.
func (d *DHT) GetValue(ctx context.Context, key string, opts ...lrouting.Option) ([]byte, error) {
	o, err := applyOptions(opts)
	if err != nil {
		return nil, err
	}
	return d.getValue(ctx, key, o, func([]byte) {})
}

// SearchValue is [DHT.GetValue] with the values as they are found: each that
// the channel yields is better than the one before. It is closed at the end. Who
// reads slowly misses values in between, never the last one. It waits for
// readiness first, and fails with a [*NotReadyError].
func (d *DHT) SearchValue(ctx context.Context, key string, opts ...lrouting.Option) (<-chan []byte, error) {
	if _, err := d.validators.of([]byte(key)); err != nil {
		return nil, err
	}
	o, err := applyOptions(opts)
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
		_, err := d.getValue(ctx, key, o, func(value []byte) {
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

// getValue looks for a value, and calls improved with each that is better than
// the ones before.
func (d *DHT) getValue(ctx context.Context, key string, o options, improved func([]byte)) ([]byte, error) {
	ctx, end := d.begin(ctx)
	defer end()
	g := &getter{dht: d, key: []byte(key), improved: improved}
	if _, err := d.validators.of(g.key); err != nil {
		return nil, err
	}
	if err := g.local(ctx, o.Expired); err != nil {
		return nil, err
	}
	if o.Offline || o.quorum > 0 && len(g.agree) >= o.quorum {
		if g.best == nil {
			return nil, fmt.Errorf("%w: we do not hold %q ourselves", ErrNotFound, key)
		}
		return g.best, nil
	}
	s, err := d.search(ctx, g.key, protocol.GetValue{Key: g.key})
	if err != nil {
		return nil, err
	}
	s.heard = func(from routing.Contact, resp protocol.Response) {
		if resp.Record == nil {
			return
		}
		g.heard(from.ID, resp.Record.Value)
		if o.quorum > 0 && len(g.agree) >= o.quorum {
			for _, id := range g.agree { // each disjoint path needs an answer of its own
				s.lookup.StopPath(id)
			}
		}
	}
	result, err := s.run(ctx)
	if err != nil {
		return nil, err
	}
	if g.best == nil {
		return nil, fmt.Errorf("%w: none of the %d closest peers that answered has %q", ErrNotFound, len(result.Closest), key)
	}
	d.correct(g, result)
	return g.best, nil
}

// A getter collects what the holders of a key have. It belongs to the goroutine
// that runs the lookup.
type getter struct {
	dht      *DHT
	key      []byte
	improved func(value []byte)

	best  []byte    // nil if there is none
	agree []peer.ID // who gave best
	worse []peer.ID // who gave another value
}

// local takes our own value into account.
func (g *getter) local(ctx context.Context, expired bool) error {
	now := time.Now()
	if expired {
		now = time.Time{}
	}
	v, err := g.dht.store.Value(ctx, g.key, now)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	g.heard(g.dht.self, v.Data)
	return nil
}

// heard takes the value of a holder into account. An invalid one is as good as
// none.
func (g *getter) heard(from peer.ID, value []byte) {
	if err := g.dht.validators.check(g.key, value); err != nil {
		log.Debugw("invalid value", "peer", from, "error", err)
		return
	}
	if value == nil {
		value = []byte{} // an empty value is one, too
	}
	switch {
	case g.best != nil && bytes.Equal(value, g.best):
		g.agree = append(g.agree, from)
	case g.best == nil || g.dht.validators.better(g.key, value, g.best):
		g.worse = append(g.worse, g.agree...)
		g.best, g.agree = value, []peer.ID{from}
		g.improved(value)
	default:
		g.worse = append(g.worse, from)
	}
}
