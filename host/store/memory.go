package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MemoryLimits bounds a [Memory]. If a field is zero, it has its default; if it is
// negative, there is no limit.
//
// Besides the bytes it counts, a Memory takes about 300 bytes for each entry.
type MemoryLimits struct {
	// Values is how many values are held, because each costs memory besides its
	// bytes. If zero, 100 000.
	Values int

	// ValueBytes is how many bytes the values take together, each with its key,
	// because strangers decide how large they are. If zero, 128 MiB.
	ValueBytes int

	// Providers is how many provider announcements are held, for all keys
	// together, because each costs memory besides its bytes. If zero, 1 000 000.
	Providers int

	// ProviderBytes is how many bytes the announcements take together, each with
	// its key and its peer ID. It is not part of ValueBytes: announcements are much
	// more frequent and much less precious, and a flood of them must not keep
	// values out. If zero, 256 MiB.
	ProviderBytes int

	// ProvidersPerKey is how many providers one key has. No answer names more of
	// them than fit a message, and every further one makes an announcement for the
	// key slower. If zero, 256.
	ProvidersPerKey int

	// EntryBytes is how many bytes one value takes with its key, or one
	// announcement with its key and its peer ID, so that a few entries cannot use
	// up the limits above. If zero, 1 MiB + 1 KiB: the largest record that the
	// protocol lets through, with its key.
	EntryBytes int
}

// withDefaults returns l with every zero field set to its default.
func (l MemoryLimits) withDefaults() MemoryLimits {
	l.Values = cmp.Or(l.Values, 100_000)
	l.ValueBytes = cmp.Or(l.ValueBytes, 128<<20)
	l.Providers = cmp.Or(l.Providers, 1_000_000)
	l.ProviderBytes = cmp.Or(l.ProviderBytes, 256<<20)
	l.ProvidersPerKey = cmp.Or(l.ProvidersPerKey, 256)
	l.EntryBytes = cmp.Or(l.EntryBytes, 1<<20+1<<10)
	return l
}

// A Memory is a [Store] that lives as long as the process. Nothing it does blocks
// on anything but its own lock, which is held for no longer than a sweep.
type Memory struct {
	limits MemoryLimits

	mu        sync.RWMutex // held for map and heap operations: never across a callback
	closed    bool
	values    map[string]*entry
	providers map[string][]*entry // by key: received first comes first; never empty
	valueHeap pile
	provHeap  pile
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty [Memory] with the limits l. The zero MemoryLimits are
// right for a node of a public network.
func NewMemory(l MemoryLimits) *Memory {
	l = l.withDefaults()
	return &Memory{
		limits:    l,
		values:    make(map[string]*entry),
		providers: make(map[string][]*entry),
		valueHeap: pile{name: "values", maxEntries: l.Values, maxBytes: l.ValueBytes},
		provHeap:  pile{name: "providers", maxEntries: l.Providers, maxBytes: l.ProviderBytes},
	}
}

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
		next, err := m.entry(string(key), "", v.Data, v.Received, v.Expires)
		if err != nil {
			return err
		}
		if swapped, err := m.swapValue(now, old, next); err != nil || swapped {
			return err
		}
	}
}

// current returns the entry of the value under key, nil if there is none.
func (m *Memory) current(ctx context.Context, key []byte) (*entry, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	return m.values[string(key)], nil
}

// swapValue stores next if old is still the current entry of its key. It reports
// false, and does nothing, if another one is.
func (m *Memory) swapValue(now time.Time, old, next *entry) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false, ErrClosed
	}
	if m.values[next.key] != old {
		return false, nil
	}
	for {
		old = m.values[next.key] // dropped below if it has expired
		err := m.valueHeap.fits(old, next)
		if err == nil {
			break
		}
		expired := m.valueHeap.firstExpired(now)
		if expired == nil {
			return false, err
		}
		m.dropValue(expired)
	}
	if old != nil {
		m.dropValue(old)
	}
	m.values[next.key] = next
	m.valueHeap.add(next)
	return true, nil
}

// DeleteValue implements [Store].
func (m *Memory) DeleteValue(ctx context.Context, key []byte) error {
	unlock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if e := m.values[string(key)]; e != nil {
		m.dropValue(e)
	}
	return nil
}

// AddProvider implements [Store].
func (m *Memory) AddProvider(ctx context.Context, key []byte, p Provider) error {
	next, err := m.entry(string(key), p.ID, p.Addrs, p.Received, p.Expires)
	if err != nil {
		return err
	}
	unlock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for {
		old, err := m.yields(next)
		if err != nil {
			return err
		}
		if err = m.provHeap.fits(old, next); err == nil {
			if old != nil {
				m.dropProvider(old)
			}
			m.insertProvider(next)
			return nil
		}
		expired := m.provHeap.firstExpired(p.Received)
		if expired == nil {
			return err
		}
		m.dropProvider(expired)
	}
}

// yields returns the entry whose place next takes: the one of the same ID, else
// the one that expires first if the key is full, else nil.
func (m *Memory) yields(next *entry) (*entry, error) {
	list := m.providers[next.key]
	for _, e := range list {
		if e.id == next.id {
			return e, nil
		}
	}
	if limit := m.limits.ProvidersPerKey; limit < 0 || len(list) < limit {
		return nil, nil
	}
	first := slices.MinFunc(list, compareExpiry)
	if first.expires.IsZero() || compareExpiry(next, first) < 0 {
		return nil, fmt.Errorf("%w: %d providers of one key", ErrFull, len(list))
	}
	return first, nil
}

// insertProvider adds e to the list of its key. It is the youngest as a rule, so
// its place is looked for from the end.
func (m *Memory) insertProvider(e *entry) {
	list := m.providers[e.key]
	if len(list) > 0 {
		e.key = list[0].key // one copy of the key for all
	}
	i := len(list)
	for i > 0 && list[i-1].received.After(e.received) {
		i--
	}
	m.providers[e.key] = slices.Insert(list, i, e)
	m.provHeap.add(e)
}

// Providers implements [Store].
func (m *Memory) Providers(ctx context.Context, key []byte, now time.Time, limit int) ([]Provider, error) {
	found, size, err := m.freshest(ctx, key, now, limit)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	// Entries never change, so they are copied without the lock, and all of
	// their bytes into one allocation.
	out := make([]Provider, len(found))
	buf := make([]byte, 0, size)
	for i, e := range found {
		start := len(buf)
		buf = append(buf, e.data...)
		out[i] = Provider{ID: e.id, Addrs: buf[start:len(buf):len(buf)], Received: e.received, Expires: e.expires}
	}
	return out, nil
}

// freshest returns the entries of key that have not expired at now, youngest
// first, at most limit of them, and how many bytes of data they have.
func (m *Memory) freshest(ctx context.Context, key []byte, now time.Time, limit int) (found []*entry, size int, err error) {
	if err := context.Cause(ctx); err != nil {
		return nil, 0, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, 0, ErrClosed
	}
	list := m.providers[string(key)]
	if len(list) == 0 {
		return nil, 0, nil
	}
	if limit <= 0 || limit > len(list) {
		limit = len(list)
	}
	found = make([]*entry, 0, limit)
	for _, e := range slices.Backward(list) {
		if len(found) == limit {
			break
		}
		if !e.expired(now) {
			found = append(found, e)
			size += len(e.data)
		}
	}
	return found, size, nil
}

// RemoveProvider implements [Store].
func (m *Memory) RemoveProvider(ctx context.Context, key []byte, id string) error {
	unlock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, e := range m.providers[string(key)] {
		if e.id == id {
			m.dropProvider(e)
			break
		}
	}
	return nil
}

// Expire implements [Store]. It removes values and providers in the order in
// which they expired.
func (m *Memory) Expire(ctx context.Context, now time.Time, limit int) (removed int, next time.Time, err error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return 0, time.Time{}, err
	}
	defer unlock()
	for {
		e, drop := m.valueHeap.first(), m.dropValue
		if p := m.provHeap.first(); e == nil || p != nil && p.expires.Before(e.expires) {
			e, drop = p, m.dropProvider
		}
		switch {
		case e == nil:
			return removed, time.Time{}, nil
		case !e.expired(now) || limit > 0 && removed == limit:
			return removed, e.expires, nil
		}
		drop(e)
		removed++
	}
}

// Len implements [Store].
func (m *Memory) Len() (values, providers int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.valueHeap.entries, m.provHeap.entries
}

// Close implements [Store]. It forgets everything.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.values, m.providers = nil, nil
	m.valueHeap, m.provHeap = pile{}, pile{}
	return nil
}

// lock locks m for writing, unless ctx has ended or m is closed.
func (m *Memory) lock(ctx context.Context) (unlock func(), err error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, ErrClosed
	}
	return m.mu.Unlock, nil
}

// entry returns a new entry with a copy of data, or [ErrTooLarge].
func (m *Memory) entry(key, id string, data []byte, received, expires time.Time) (*entry, error) {
	e := &entry{key: key, id: id, received: received.Round(0), expires: expires.Round(0), place: nowhere}
	if size := len(key) + len(id) + len(data); m.limits.EntryBytes >= 0 && size > m.limits.EntryBytes {
		return nil, fmt.Errorf("%w: %d bytes, limit is %d", ErrTooLarge, size, m.limits.EntryBytes)
	}
	e.data = slices.Clone(data)
	return e, nil
}

// dropValue removes e, which is the value of its key.
func (m *Memory) dropValue(e *entry) {
	delete(m.values, e.key)
	m.valueHeap.remove(e)
}

// dropProvider removes e, which is among the providers of its key.
func (m *Memory) dropProvider(e *entry) {
	list := m.providers[e.key]
	if i := slices.Index(list, e); len(list) == 1 {
		delete(m.providers, e.key)
	} else {
		m.providers[e.key] = slices.Delete(list, i, i+1)
	}
	m.provHeap.remove(e)
}
