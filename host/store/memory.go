package store

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A Memory is a [Store] that lives as long as the process. Nothing it does blocks
// on anything but its own lock, which is held for no longer than a sweep.
type Memory struct {
	mu     sync.RWMutex // held for operations of the index: never across a callback
	closed bool
	index  index
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty [Memory] with the limits l. The zero Limits are
// right for a node of a public network.
func NewMemory(l Limits) *Memory { return &Memory{index: newIndex(l.inMemory())} }

// Value implements [Store].
func (m *Memory) Value(ctx context.Context, key []byte, now time.Time) (Value, error) {
	e, err := m.current(ctx, key)
	if err != nil {
		return Value{}, err
	}
	if e == nil || e.expired(now) {
		return Value{}, ErrNotFound
	}
	return e.value(), nil
}

// UpdateValue implements [Store]. It calls f without holding a lock, and again if
// the value was replaced meanwhile.
func (m *Memory) UpdateValue(ctx context.Context, key []byte, now time.Time, f func(current Value, ok bool) (Value, error)) error {
	for {
		old, err := m.current(ctx, key)
		if err != nil {
			return err
		}
		var current Value
		ok := old != nil && !old.expired(now)
		if ok {
			current = old.value()
		}
		v, err := f(current, ok)
		if err != nil {
			return err
		}
		next, err := m.index.limits.entry(valueEntry(key, v))
		if err != nil {
			return err
		}
		next.data = slices.Clone(next.data)
		if swapped, err := m.swapValue(now, old, next); err != nil || swapped {
			return err
		}
	}
}

// current returns the entry of the value under key, nil if there is none.
func (m *Memory) current(ctx context.Context, key []byte) (*entry, error) {
	if err := m.rlock(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	return get(m.index.values, hashOf(key), key), nil
}

// swapValue stores next if old is still the current entry of its key. It reports
// false, and does nothing, if another one is.
func (m *Memory) swapValue(now time.Time, old, next *entry) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false, ErrClosed
	}
	if get(m.index.values, next.hash, next.key) != old {
		return false, nil
	}
	for {
		replaced, expired, err := m.index.roomForValue(now, next)
		switch {
		case err == nil:
			m.index.setValue(replaced, next)
			return true, nil
		case expired == nil:
			return false, err
		}
		m.index.dropValue(expired)
	}
}

// DeleteValue implements [Store].
func (m *Memory) DeleteValue(ctx context.Context, key []byte) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if e := get(m.index.values, hashOf(key), key); e != nil {
		m.index.dropValue(e)
	}
	return nil
}

// Values implements [Store].
func (m *Memory) Values(ctx context.Context, now time.Time, from []byte, limit int) ([]KeyedValue, error) {
	if err := m.rlock(ctx); err != nil {
		return nil, err
	}
	found := m.index.valuesFrom(now, from, limit)
	m.mu.RUnlock()
	// Entries never change, so they are copied without the lock.
	batch := make([]KeyedValue, len(found))
	for i, e := range found {
		batch[i] = KeyedValue{Key: []byte(e.key), Value: e.value()}
	}
	return batch, nil
}

// AddProvider implements [Store].
func (m *Memory) AddProvider(ctx context.Context, key []byte, p Provider) error {
	next, err := m.index.limits.entry(providerEntry(key, p))
	if err != nil {
		return err
	}
	next.data = slices.Clone(next.data)
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for {
		old, expired, err := m.index.roomForProvider(next)
		switch {
		case err == nil:
			if old != nil {
				m.index.replaceProvider(old, next)
			} else {
				m.index.addProvider(next)
			}
			return nil
		case expired == nil:
			return err
		}
		m.index.dropProvider(expired)
	}
}

// Providers implements [Store].
func (m *Memory) Providers(ctx context.Context, key []byte, now time.Time, limit int) ([]Provider, error) {
	if err := m.rlock(ctx); err != nil {
		return nil, err
	}
	var few [32]*entry
	found := m.index.freshest(few[:0], key, now, limit)
	m.mu.RUnlock()
	if len(found) == 0 {
		return nil, nil
	}
	out := make([]Provider, len(found))
	for i, e := range found { // entries never change, so the reader shares their bytes
		out[i] = Provider{ID: e.id, Addrs: slices.Clip(e.data), Received: e.received, Expires: e.expires, Origin: e.origin}
	}
	return out, nil
}

// Provider implements [Store].
func (m *Memory) Provider(ctx context.Context, key []byte, id string, now time.Time) (Provider, error) {
	if err := m.rlock(ctx); err != nil {
		return Provider{}, err
	}
	defer m.mu.RUnlock()
	e := m.index.provider(key, id)
	if e == nil || e.expired(now) {
		return Provider{}, ErrNotFound
	}
	return e.provider(), nil
}

// RemoveProvider implements [Store].
func (m *Memory) RemoveProvider(ctx context.Context, key []byte, id string) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if e := m.index.provider(key, id); e != nil {
		m.index.dropProvider(e)
	}
	return nil
}

// ProviderKeys implements [Store].
func (m *Memory) ProviderKeys(ctx context.Context, now time.Time, from []byte, limit int) ([][]byte, error) {
	if err := m.rlock(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	return m.index.providerKeysFrom(now, from, limit), nil
}

// Shed implements [Store].
func (m *Memory) Shed(ctx context.Context, kind Kind, self [32]byte, key []byte) (shed bool, err error) {
	if err := m.lock(ctx); err != nil {
		return false, err
	}
	defer m.mu.Unlock()
	e := m.index.farthest(kind, selfHash(self), hashOf(key))
	if e == nil {
		return false, nil
	}
	m.index.drop(e, kind == KindValue)
	return true, nil
}

// Publish implements [Store].
func (m *Memory) Publish(ctx context.Context, p Publication) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	p.Key, p.Data = slices.Clone(p.Key), slices.Clone(p.Data)
	m.index.publish(p)
	return nil
}

// Unpublish implements [Store].
func (m *Memory) Unpublish(ctx context.Context, kind Kind, key []byte) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.index.unpublish(kind, key)
	return nil
}

// Publication implements [Store].
func (m *Memory) Publication(ctx context.Context, kind Kind, key []byte) (Publication, error) {
	if err := m.rlock(ctx); err != nil {
		return Publication{}, err
	}
	defer m.mu.RUnlock()
	return m.index.publication(kind, key)
}

// Publications implements [Store].
func (m *Memory) Publications(ctx context.Context, kind Kind, after []byte, limit int) ([]Publication, error) {
	if err := m.rlock(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	return m.index.publicationsAfter(kind, after, limit), nil
}

// Expire implements [Store]. It removes values and providers in the order in
// which they expired.
func (m *Memory) Expire(ctx context.Context, now time.Time, limit int) (removed int, next time.Time, err error) {
	if err := m.lock(ctx); err != nil {
		return 0, time.Time{}, err
	}
	defer m.mu.Unlock()
	for {
		e, isValue := m.index.soonest()
		switch {
		case e == nil:
			return removed, time.Time{}, nil
		case !e.expired(now) || limit > 0 && removed == limit:
			return removed, e.expires, nil
		}
		m.index.drop(e, isValue)
		removed++
	}
}

// Len implements [Store].
func (m *Memory) Len() (values, providers int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.index.len()
}

// Filled implements [Gauge].
func (m *Memory) Filled(kind Kind) float64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.index.filled(kind)
}

// Close implements [Store]. It forgets everything.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.index = newIndex(m.index.limits)
	return nil
}

// lock locks m for writing, unless ctx has ended or m is closed.
func (m *Memory) lock(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	return nil
}

// rlock is lock for reading.
func (m *Memory) rlock(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	m.mu.RLock()
	if m.closed {
		m.mu.RUnlock()
		return ErrClosed
	}
	return nil
}
