package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// errReplaced ends a write of a value that is based on one that was replaced.
var errReplaced = errors.New("replaced meanwhile")

// Value implements [Store]. A value that is damaged on the disk is [ErrCorrupt].
func (d *Disk) Value(ctx context.Context, key []byte, now time.Time) (Value, error) {
	row := rowPrefix(key)
	raw, err := d.rawValue(ctx, row)
	if err != nil {
		return Value{}, err
	}
	if raw == nil {
		return Value{}, ErrNotFound
	}
	e, err := parseRow(row, raw)
	if err != nil {
		return Value{}, d.explain(err)
	}
	if e.expired(now) {
		return Value{}, ErrNotFound
	}
	return e.value(), nil
}

// rawValue returns a copy of what is under the row key of a value, nil if there is
// nothing.
func (d *Disk) rawValue(ctx context.Context, row []byte) (raw []byte, err error) {
	err = d.view(ctx, func(tx *bbolt.Tx) error {
		raw = bytes.Clone(tx.Bucket(bucketValues()).Get(row))
		return nil
	})
	return raw, err
}

// UpdateValue implements [Store]. It calls f without holding a lock, and again if
// the value was replaced meanwhile. A value that is damaged on the disk counts as
// none.
func (d *Disk) UpdateValue(ctx context.Context, key []byte, now time.Time, f func(current Value, ok bool) (Value, error)) error {
	row, err := rowKey(key, "")
	if err != nil {
		return err
	}
	for {
		raw, err := d.rawValue(ctx, row)
		if err != nil {
			return err
		}
		var current Value
		ok := false
		if raw != nil {
			if e, err := parseRow(row, raw); err == nil && !e.expired(now) {
				current, ok = e.value(), true
			}
		}
		v, err := f(current, ok)
		if err != nil {
			return err
		}
		next, err := d.limits.entry(valueEntry(key, v))
		if err != nil {
			return err
		}
		err = d.write(ctx, func(b *batch) error {
			if !bytes.Equal(b.values.Get(row), raw) {
				return errReplaced
			}
			if err := b.room(KindValue, now, row, next); err != nil {
				return err
			}
			return b.set(KindValue, row, next)
		})
		if !errors.Is(err, errReplaced) {
			return err
		}
	}
}

// DeleteValue implements [Store].
func (d *Disk) DeleteValue(ctx context.Context, key []byte) error {
	return d.write(ctx, func(b *batch) error { return b.drop(KindValue, rowPrefix(key)) })
}

// AddProvider implements [Store].
func (d *Disk) AddProvider(ctx context.Context, key []byte, p Provider) error {
	next, err := d.limits.entry(providerEntry(key, p))
	if err != nil {
		return err
	}
	row, err := rowKey(key, p.ID)
	if err != nil {
		return err
	}
	prefix := row[:len(row)-len(p.ID)]
	return d.write(ctx, func(b *batch) error {
		gone, err := b.yields(prefix, row, next)
		if err != nil {
			return err
		}
		if err := b.room(KindProvider, p.Received, gone, next); err != nil {
			return err
		}
		if gone != nil {
			if err := b.drop(KindProvider, gone); err != nil {
				return err
			}
		}
		return b.set(KindProvider, row, next)
	})
}

// Providers implements [Store]. One that is damaged is passed over.
func (d *Disk) Providers(ctx context.Context, key []byte, now time.Time, limit int) (out []Provider, err error) {
	prefix := rowPrefix(key)
	err = d.view(ctx, func(tx *bbolt.Tx) error {
		for _, f := range freshest(tx.Bucket(bucketProviders()), prefix, now, limit) {
			e, err := parseRow(f.row, f.raw)
			if err != nil {
				continue
			}
			id := string(f.row[len(prefix):])
			out = append(out, Provider{ID: id, Addrs: bytes.Clone(e.data), Received: e.received, Expires: e.expires, Origin: e.origin})
		}
		return nil
	})
	return out, err
}

// A dated is a row and when what it keeps was received.
type dated struct {
	received time.Time
	row, raw []byte
}

// freshest returns the rows with a prefix that have not expired at now, the one
// received last first, at most limit of them unless that is 0 or negative.
func freshest(rows *bbolt.Bucket, prefix []byte, now time.Time, limit int) (found []dated) {
	sorted := 0 // so many of them are the freshest so far, in order
	cut := func() {
		slices.SortFunc(found, func(a, b dated) int {
			return cmp.Or(b.received.Compare(a.received), bytes.Compare(a.row, b.row))
		})
		if limit > 0 && len(found) > limit {
			found = found[:limit]
		}
		sorted = len(found)
	}
	c := rows.Cursor()
	for row, raw := c.Seek(prefix); bytes.HasPrefix(row, prefix); row, raw = c.Next() {
		e, ok := rowTimes(row, raw)
		if !ok || e.expired(now) || limit > 0 && sorted == limit && !e.received.After(found[limit-1].received) {
			continue
		}
		found = append(found, dated{received: e.received, row: row, raw: raw})
		if limit > 0 && len(found) >= limit+chunkRows {
			cut()
		}
	}
	cut()
	return found
}

// Provider implements [Store]. An announcement that is damaged on the disk is
// [ErrCorrupt].
func (d *Disk) Provider(ctx context.Context, key []byte, id string, now time.Time) (p Provider, err error) {
	row := append(rowPrefix(key), id...)
	err = d.view(ctx, func(tx *bbolt.Tx) error {
		raw := tx.Bucket(bucketProviders()).Get(row)
		if raw == nil {
			return nil
		}
		e, err := storedEntry(KindProvider, row, raw)
		if err == nil && !e.expired(now) {
			p = e.provider()
		}
		return err
	})
	if err == nil && p.ID == "" {
		err = ErrNotFound
	}
	return p, err
}

// RemoveProvider implements [Store].
func (d *Disk) RemoveProvider(ctx context.Context, key []byte, id string) error {
	return d.write(ctx, func(b *batch) error { return b.drop(KindProvider, append(rowPrefix(key), id...)) })
}

// Shed implements [Store].
func (d *Disk) Shed(ctx context.Context, kind Kind, self [32]byte, key []byte) (shed bool, err error) {
	hash := hashOf(key)
	err = d.write(ctx, func(b *batch) (err error) {
		shed, err = b.shed(kind, selfHash(self), hash)
		return err
	})
	return shed && err == nil, err
}

// Values implements [Store]. Those that are damaged are passed over.
func (d *Disk) Values(ctx context.Context, now time.Time, from []byte, limit int) (found []KeyedValue, err error) {
	size := 0
	err = d.each(ctx, bucketValues, rowStart(from), func(row, raw []byte) (next []byte) {
		if e, err := storedEntry(KindValue, row, raw); err == nil && !e.expired(now) {
			found = append(found, KeyedValue{Key: []byte(e.key), Value: e.value()})
			size += e.size()
		}
		if len(found) == limit && limit > 0 || size >= batchBytes {
			return nil
		}
		return append(row, 0) // the one after row, the least that is greater
	})
	return found, err
}

// ProviderKeys implements [Store].
func (d *Disk) ProviderKeys(ctx context.Context, now time.Time, from []byte, limit int) (keys [][]byte, err error) {
	if limit <= 0 {
		limit = batchKeys
	}
	err = d.each(ctx, bucketProviders, rowStart(from), func(row, raw []byte) (next []byte) {
		if e, ok := rowTimes(row, raw); !ok || e.expired(now) {
			return append(row, 0)
		}
		key, _ := splitRowKey(row)
		if keys = append(keys, key); len(keys) == limit {
			return nil
		}
		return behind(row[:prefixLen(row)]) // the other providers
	})
	return keys, err
}

// Publish implements [Store].
func (d *Disk) Publish(ctx context.Context, p Publication) error {
	if _, err := rowKey(p.Key, ""); err != nil {
		return err
	}
	row := append([]byte{byte(p.Kind)}, p.Key...)
	raw := marshalRow(row, p.Next.Round(0), time.Time{}, "", p.Data)
	return d.write(ctx, func(b *batch) error {
		b.changed = true
		return b.published.Put(row, raw)
	})
}

// Unpublish implements [Store].
func (d *Disk) Unpublish(ctx context.Context, kind Kind, key []byte) error {
	row := append([]byte{byte(kind)}, key...)
	return d.write(ctx, func(b *batch) error {
		b.changed = b.changed || b.published.Get(row) != nil
		return b.published.Delete(row)
	})
}

// Publication implements [Store]. One that is damaged on the disk is
// [ErrCorrupt].
func (d *Disk) Publication(ctx context.Context, kind Kind, key []byte) (Publication, error) {
	row := append([]byte{byte(kind)}, key...)
	var raw []byte
	err := d.view(ctx, func(tx *bbolt.Tx) error {
		raw = bytes.Clone(tx.Bucket(bucketPublished()).Get(row))
		return nil
	})
	switch {
	case err != nil:
		return Publication{}, err
	case raw == nil:
		return Publication{}, ErrNotFound
	}
	e, err := parseRow(row, raw)
	if err != nil {
		return Publication{}, d.explain(err)
	}
	return Publication{Kind: kind, Key: bytes.Clone(key), Data: e.data, Next: e.expires}, nil
}

// Publications implements [Store]. The error names one of those that are damaged on the disk.
func (d *Disk) Publications(ctx context.Context, kind Kind, afterKey []byte, limit int) (found []Publication, err error) {
	start := []byte{byte(kind)}
	if afterKey != nil {
		start = append(append(start, afterKey...), 0)
	}
	size := 0
	var damaged error
	err = d.each(ctx, bucketPublished, start, func(row, raw []byte) (next []byte) {
		if row[0] != byte(kind) {
			return nil
		}
		e, err := parseRow(row, raw)
		if err != nil {
			damaged = cmp.Or(damaged, d.explain(err))
			return append(row, 0)
		}
		found = append(found, Publication{Kind: kind, Key: bytes.Clone(row[1:]), Data: bytes.Clone(e.data), Next: e.expires})
		size += len(row) + len(raw)
		if len(found) == limit && limit > 0 || size >= batchBytes {
			return nil
		}
		return append(row, 0)
	})
	return found, cmp.Or(err, damaged)
}

// each calls visit with the rows of a bucket, from the row key start on. Visit
// returns the least row key that it wants next, or nil at the end; row and raw
// are its own only until then. The rows are read in chunks, between which
// the file may change.
func (d *Disk) each(ctx context.Context, bucket func() []byte, start []byte, visit func(row, raw []byte) (next []byte)) error {
	for start != nil {
		err := d.view(ctx, func(tx *bbolt.Tx) error {
			c := tx.Bucket(bucket()).Cursor()
			for range chunkRows {
				row, raw := c.Seek(start)
				if row == nil {
					start = nil
					return nil
				}
				if start = visit(bytes.Clone(row), raw); start == nil {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
