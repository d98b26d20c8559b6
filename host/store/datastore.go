package store

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/ipfs/go-datastore"
)

// A Datastore is a [Store] in any go-datastore. What a method has accepted is as
// durable as the datastore makes it: each write is followed by a Sync of what was
// written.
//
// The datastore has no order by expiry and no counts. So they are in memory, with
// every key and peer ID, but without the data: about 200 bytes for an entry besides
// those, and the time to read all entries when it is opened. Publications
// are in memory as a whole. For a large store, use [Open].
//
// Writes of one key wait for each other, and some of different keys; Value,
// Providers and iterations wait for no write.
type Datastore struct {
	ds      datastore.Batching
	seed    maphash.Seed
	stripes [64]sync.Mutex // by key: held while an entry of it is written

	mu     sync.RWMutex // never held while ds is used
	closed bool
	index  index
}

var _ Store = (*Datastore)(nil)

// stripe locks what a key is written under.
func (d *Datastore) stripe(key string) (unlock func()) {
	s := &d.stripes[maphash.String(d.seed, key)%uint64(len(d.stripes))]
	s.Lock()
	return s.Unlock
}

// look calls f with the index, which it must not change.
func (d *Datastore) look(ctx context.Context, f func(x *index)) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return ErrClosed
	}
	f(&d.index)
	return nil
}

// change calls f with the index.
func (d *Datastore) change(ctx context.Context, f func(x *index)) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	f(&d.index)
	return nil
}

// Value implements [Store]. A value that is damaged in the datastore is
// [ErrCorrupt].
func (d *Datastore) Value(ctx context.Context, key []byte, now time.Time) (Value, error) {
	var e *entry
	if err := d.look(ctx, func(x *index) { e = get(x.values, hashOf(key), key) }); err != nil {
		return Value{}, err
	}
	if e == nil {
		return Value{}, ErrNotFound
	}
	stored, err := d.read(ctx, valueName(key))
	if err != nil {
		return Value{}, err
	}
	if stored.expired(now) { // it may have been replaced since
		return Value{}, ErrNotFound
	}
	return stored.value(), nil
}

// UpdateValue implements [Store]. It calls f without holding a lock, and again if
// the value was replaced meanwhile. A value that is damaged in the datastore
// counts as none.
func (d *Datastore) UpdateValue(ctx context.Context, key []byte, now time.Time, f func(current Value, ok bool) (Value, error)) error {
	for {
		old, current, err := d.current(ctx, key)
		if err != nil {
			return err
		}
		ok := old != nil && !old.expired(now) && current != nil
		if !ok {
			current = &Value{}
		}
		v, err := f(*current, ok)
		if err != nil {
			return err
		}
		next, err := d.index.limits.entry(valueEntry(key, v))
		if err != nil {
			return err
		}
		if swapped, err := d.swapValue(ctx, now, old, next); err != nil || swapped {
			return err
		}
	}
}

// current returns the entry of the value under key, nil if there is none, and the
// value itself, nil if it is damaged. It waits for a write of the key, during
// which the two may not belong together.
func (d *Datastore) current(ctx context.Context, key []byte) (e *entry, v *Value, err error) {
	defer d.stripe(string(key))()
	if err := d.look(ctx, func(x *index) { e = get(x.values, hashOf(key), key) }); err != nil || e == nil {
		return nil, nil, err
	}
	stored, err := d.read(ctx, valueName(key))
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
		return e, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	held := stored.value()
	return e, &held, nil
}

// swapValue stores next if old is still the current entry of its key. It reports
// false if another one is. If there is no room, it drops what has expired.
func (d *Datastore) swapValue(ctx context.Context, now time.Time, old, next *entry) (bool, error) {
	unlock := d.stripe(next.key)
	defer func() { unlock() }()
	for {
		var replaced, expired *entry
		var full error
		same := false
		stored := next.withoutData()
		err := d.change(ctx, func(x *index) {
			if same = get(x.values, next.hash, next.key) == old; !same {
				return
			}
			if replaced, expired, full = x.roomForValue(now, next); full == nil {
				x.setValue(replaced, stored)
			}
		})
		switch {
		case err != nil || !same:
			return false, err
		case full == nil:
			return true, d.writeValue(ctx, replaced, stored, next)
		case expired == nil:
			return false, full
		}
		unlock()
		_, err = d.dropHeld(ctx, expired, true)
		unlock = d.stripe(next.key)
		if err != nil {
			return false, err
		}
		if expired == old {
			old = nil
		}
	}
}

// writeValue writes next to the datastore. If that fails, the index gets the entry
// that was replaced back. The stripe of the key is locked.
func (d *Datastore) writeValue(ctx context.Context, replaced, stored, next *entry) error {
	err := d.put(ctx, valueName([]byte(next.key)), next, nil)
	if err == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.index.dropValue(stored); replaced != nil {
		d.index.setValue(nil, replaced)
	}
	return err
}

// DeleteValue implements [Store].
func (d *Datastore) DeleteValue(ctx context.Context, key []byte) error {
	defer d.stripe(string(key))()
	var e *entry
	if err := d.look(ctx, func(x *index) { e = get(x.values, hashOf(key), key) }); err != nil || e == nil {
		return err
	}
	return d.drop(ctx, e, true)
}

// AddProvider implements [Store].
func (d *Datastore) AddProvider(ctx context.Context, key []byte, p Provider) error {
	next, err := d.index.limits.entry(providerEntry(key, p))
	if err != nil {
		return err
	}
	unlock := d.stripe(next.key)
	defer func() { unlock() }()
	for {
		var yielded, expired *entry
		var full error
		stored := next.withoutData()
		err := d.change(ctx, func(x *index) {
			if yielded, expired, full = x.roomForProvider(next); full != nil {
				return
			}
			if yielded != nil {
				x.dropProvider(yielded)
			}
			x.addProvider(stored)
		})
		switch {
		case err != nil:
			return err
		case full == nil:
			return d.writeProvider(ctx, yielded, stored, next)
		case expired == nil:
			return full
		}
		unlock()
		_, err = d.dropHeld(ctx, expired, false)
		unlock = d.stripe(next.key)
		if err != nil {
			return err
		}
	}
}

// writeProvider is writeValue for an announcement, and removes the one that has
// yielded to it.
func (d *Datastore) writeProvider(ctx context.Context, yielded, stored, next *entry) error {
	var gone []datastore.Key
	if yielded != nil && yielded.id != next.id {
		gone = append(gone, yielded.name(false))
	}
	err := d.put(ctx, next.name(false), next, gone)
	if err == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.index.dropProvider(stored); yielded != nil {
		d.index.addProvider(yielded)
	}
	return err
}

// Providers implements [Store]. One that is damaged in the datastore is passed
// over.
func (d *Datastore) Providers(ctx context.Context, key []byte, now time.Time, limit int) ([]Provider, error) {
	var found []*entry
	if err := d.look(ctx, func(x *index) { found = x.freshest(nil, key, now, limit) }); err != nil {
		return nil, err
	}
	var out []Provider
	for _, e := range found {
		stored, err := d.read(ctx, e.name(false))
		switch {
		case err == nil:
			out = append(out, Provider{ID: e.id, Addrs: stored.data, Received: stored.received, Expires: stored.expires, Origin: stored.origin})
		case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt):
			return nil, err
		}
	}
	return out, nil
}

// Provider implements [Store].
func (d *Datastore) Provider(ctx context.Context, key []byte, id string, now time.Time) (Provider, error) {
	var e *entry
	if err := d.look(ctx, func(x *index) { e = x.provider(key, id) }); err != nil {
		return Provider{}, err
	}
	if e == nil || e.expired(now) {
		return Provider{}, ErrNotFound
	}
	stored, err := d.read(ctx, e.name(false))
	if err != nil {
		return Provider{}, err
	}
	return Provider{ID: id, Addrs: stored.data, Received: stored.received, Expires: stored.expires, Origin: stored.origin}, nil
}

// RemoveProvider implements [Store].
func (d *Datastore) RemoveProvider(ctx context.Context, key []byte, id string) error {
	defer d.stripe(string(key))()
	var e *entry
	if err := d.look(ctx, func(x *index) { e = x.provider(key, id) }); err != nil || e == nil {
		return err
	}
	return d.drop(ctx, e, false)
}

// Expire implements [Store]. It removes values and providers in the order in
// which they expired.
func (d *Datastore) Expire(ctx context.Context, now time.Time, limit int) (removed int, next time.Time, err error) {
	for {
		var e *entry
		var isValue bool
		if err := d.look(ctx, func(x *index) { e, isValue = x.soonest() }); err != nil {
			return removed, time.Time{}, err
		}
		switch {
		case e == nil:
			return removed, time.Time{}, nil
		case !e.expired(now) || limit > 0 && removed == limit:
			return removed, e.expires, nil
		}
		dropped, err := d.dropHeld(ctx, e, isValue)
		if err != nil {
			return removed, time.Time{}, err
		}
		if dropped {
			removed++
		}
	}
}

// dropHeld removes e, unless it was replaced or removed meanwhile.
func (d *Datastore) dropHeld(ctx context.Context, e *entry, isValue bool) (bool, error) {
	defer d.stripe(e.key)()
	held := false
	if err := d.look(ctx, func(*index) { held = e.place != nowhere }); err != nil || !held {
		return false, err
	}
	return true, d.drop(ctx, e, isValue)
}

// drop removes e, which is in the index. The stripe of its key is locked.
func (d *Datastore) drop(ctx context.Context, e *entry, isValue bool) error {
	if err := d.remove(ctx, e.name(isValue)); err != nil {
		return err
	}
	return d.change(context.WithoutCancel(ctx), func(x *index) { x.drop(e, isValue) })
}

// Shed implements [Store].
func (d *Datastore) Shed(ctx context.Context, kind Kind, self [32]byte, key []byte) (shed bool, err error) {
	for !shed && err == nil { // or somebody else has removed it
		var e *entry
		err = d.look(ctx, func(x *index) { e = x.farthest(kind, selfHash(self), hashOf(key)) })
		if err != nil || e == nil {
			return false, err
		}
		shed, err = d.dropHeld(ctx, e, kind == KindValue)
	}
	return shed, err
}

// Len implements [Store].
func (d *Datastore) Len() (values, providers int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.index.len()
}

// Filled implements [Gauge].
func (d *Datastore) Filled(kind Kind) float64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.index.filled(kind)
}

// Close implements [Store]. It waits for writes, and does not close the
// datastore, which is its owner's.
func (d *Datastore) Close() error {
	for i := range d.stripes {
		d.stripes[i].Lock()
		defer d.stripes[i].Unlock()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.index = newIndex(d.index.limits)
	return nil
}
