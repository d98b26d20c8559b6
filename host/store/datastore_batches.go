package store

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Values implements [Store]. Those that are damaged are passed over.
func (d *Datastore) Values(ctx context.Context, now time.Time, from []byte, limit int) ([]KeyedValue, error) {
	for {
		var found []*entry
		if err := d.look(ctx, func(x *index) { found = x.valuesFrom(now, from, limit) }); err != nil || len(found) == 0 {
			return nil, err
		}
		var batch []KeyedValue
		for _, e := range found {
			v, err := d.Value(ctx, []byte(e.key), now)
			switch {
			case err == nil:
				batch = append(batch, KeyedValue{Key: []byte(e.key), Value: v})
			case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt):
				return nil, err
			}
		}
		if len(batch) > 0 {
			return batch, nil
		}
		from = After([]byte(found[len(found)-1].key)) // all are damaged or gone: that is not the end
	}
}

// ProviderKeys implements [Store].
func (d *Datastore) ProviderKeys(ctx context.Context, now time.Time, from []byte, limit int) (keys [][]byte, err error) {
	err = d.look(ctx, func(x *index) { keys = x.providerKeysFrom(now, from, limit) })
	return keys, err
}

// Publish implements [Store].
func (d *Datastore) Publish(ctx context.Context, p Publication) error {
	defer d.stripe(string(p.Key))()
	if err := d.look(ctx, func(*index) {}); err != nil {
		return err
	}
	p.Key, p.Data = slices.Clone(p.Key), slices.Clone(p.Data)
	e := newEntry(string(p.Key), "", p.Data, time.Time{}, p.Next)
	if err := d.put(ctx, publicationName(p.Kind, p.Key), e, nil); err != nil {
		return err
	}
	return d.change(context.WithoutCancel(ctx), func(x *index) { x.publish(p) })
}

// Unpublish implements [Store].
func (d *Datastore) Unpublish(ctx context.Context, kind Kind, key []byte) error {
	defer d.stripe(string(key))()
	if err := d.look(ctx, func(*index) {}); err != nil {
		return err
	}
	if err := d.remove(ctx, publicationName(kind, key)); err != nil {
		return err
	}
	return d.change(context.WithoutCancel(ctx), func(x *index) { x.unpublish(kind, key) })
}

// Publication implements [Store].
func (d *Datastore) Publication(ctx context.Context, kind Kind, key []byte) (p Publication, err error) {
	if lookErr := d.look(ctx, func(x *index) { p, err = x.publication(kind, key) }); lookErr != nil {
		return Publication{}, lookErr
	}
	return p, err
}

// Publications implements [Store].
func (d *Datastore) Publications(ctx context.Context, kind Kind, after []byte, limit int) (found []Publication, err error) {
	err = d.look(ctx, func(x *index) { found = x.publicationsAfter(kind, after, limit) })
	return found, err
}
