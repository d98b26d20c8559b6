package store

import (
	"encoding/binary"
	"slices"
	"time"
)

// An index knows which entries there are, which of them expire first, and whether
// another one fits. It is not safe for concurrent use.
type index struct {
	limits    Limits
	values    *ordered[*entry]
	providers *ordered[[]*entry] // received first comes first; never empty
	published map[Kind]*ordered[Publication]
	valuePile pile
	provPile  pile
}

func newIndex(l Limits) index {
	x := index{
		limits:    l,
		values:    newOrdered(func(e *entry) string { return e.key }),
		providers: newOrdered(func(list []*entry) string { return list[0].key }),
		published: make(map[Kind]*ordered[Publication]),
	}
	x.valuePile.tally, x.provPile.tally = l.tallies()
	return x
}

// roomForValue returns the entry that next replaces, nil if there is none. If
// next does not fit, it returns [ErrFull], and the entry that has expired at now
// and makes room by being dropped, if there is one.
func (x *index) roomForValue(now time.Time, next *entry) (old, expired *entry, err error) {
	old = get(x.values, next.hash, next.key)
	if err := x.valuePile.fits(old, next); err != nil {
		return nil, x.valuePile.firstExpired(now), err
	}
	return old, nil, nil
}

// roomForProvider is roomForValue for an announcement, whose place may be taken
// from another one.
func (x *index) roomForProvider(next *entry) (old, expired *entry, err error) {
	old, err = x.limits.yields(get(x.providers, next.hash, next.key), next)
	if err != nil {
		// The key is full of what expires later than next: nothing that is
		// expired for next is in its way.
		return nil, nil, err
	}
	if err := x.provPile.fits(old, next); err != nil {
		return nil, x.provPile.firstExpired(next.received), err
	}
	return old, nil, nil
}

// setValue puts next in the place of old, if that is not nil.
func (x *index) setValue(old, next *entry) {
	if old != nil {
		x.valuePile.remove(old)
	}
	x.values.set(next.hash, next)
	x.valuePile.add(next)
}

// dropValue removes e, which is the value of its key.
func (x *index) dropValue(e *entry) {
	x.values.delete(e.hash, e.key)
	x.valuePile.remove(e)
}

// addProvider adds e to the list of its key. It is the youngest as a rule, so
// its place is looked for from the end.
func (x *index) addProvider(e *entry) {
	list := get(x.providers, e.hash, e.key)
	if len(list) > 0 {
		e.key = list[0].key // one copy of the key for all
	}
	i := len(list)
	for i > 0 && list[i-1].received.After(e.received) {
		i--
	}
	x.providers.set(e.hash, slices.Insert(list, i, e))
	x.provPile.add(e)
}

// replaceProvider puts next in the place of old, which is of the same key, as dropProvider
// and addProvider would. A list of one, as most keys have, is kept.
func (x *index) replaceProvider(old, next *entry) {
	list := get(x.providers, old.hash, old.key)
	if len(list) > 1 {
		x.dropProvider(old)
		x.addProvider(next)
		return
	}
	next.key = old.key
	list[0] = next
	x.provPile.remove(old)
	x.provPile.add(next)
}

// dropProvider removes e, which is among the providers of its key.
func (x *index) dropProvider(e *entry) {
	list := get(x.providers, e.hash, e.key)
	if i := slices.Index(list, e); len(list) == 1 {
		x.providers.delete(e.hash, e.key)
	} else {
		x.providers.set(e.hash, slices.Delete(list, i, i+1))
	}
	x.provPile.remove(e)
}

// drop removes e, which is held.
func (x *index) drop(e *entry, isValue bool) {
	if isValue {
		x.dropValue(e)
	} else {
		x.dropProvider(e)
	}
}

// provider returns the announcement of id for key, nil if there is none.
func (x *index) provider(key []byte, id string) *entry {
	for _, e := range get(x.providers, hashOf(key), key) {
		if e.id == id {
			return e
		}
	}
	return nil
}

// freshest returns the providers of key that have not expired at now, the one
// received last first, at most limit of them unless that is 0 or negative. It puts them into
// found, which is empty, if that has room.
func (x *index) freshest(found []*entry, key []byte, now time.Time, limit int) []*entry {
	list := get(x.providers, hashOf(key), key)
	if len(list) == 0 {
		return nil
	}
	if limit <= 0 || limit > len(list) {
		limit = len(list)
	}
	found = slices.Grow(found, limit)
	for _, e := range slices.Backward(list) {
		if len(found) == limit {
			break
		}
		if !e.expired(now) {
			found = append(found, e)
		}
	}
	return found
}

// valuesFrom returns the values from a place on that have not expired at now, at
// most limit of them and no more once they have batchBytes.
func (x *index) valuesFrom(now time.Time, from []byte, limit int) []*entry {
	var found []*entry
	size := 0
	for e := range x.values.from(from) {
		if e.expired(now) {
			continue
		}
		found = append(found, e)
		if size += e.size(); len(found) == limit || size >= batchBytes {
			break
		}
	}
	return found
}

// providerKeysFrom returns the keys from a place on that have a provider that has
// not expired at now, at most limit of them.
func (x *index) providerKeysFrom(now time.Time, from []byte, limit int) [][]byte {
	if limit <= 0 {
		limit = batchKeys
	}
	var keys [][]byte
	for list := range x.providers.from(from) {
		if slices.ContainsFunc(list, func(e *entry) bool { return !e.expired(now) }) {
			keys = append(keys, []byte(list[0].key))
		}
		if len(keys) == limit {
			break
		}
	}
	return keys
}

// farthest returns the entry of a kind that is shed for what has the hash of a
// key, see [Store.Shed], nil if there is none.
func (x *index) farthest(kind Kind, self, hash uint64) *entry {
	if kind == KindValue {
		return farthest(x.values, self, hash, func(e *entry) *entry { return e })
	}
	return farthest(x.providers, self, hash, func(list []*entry) *entry {
		return slices.MinFunc(list, compareYield)
	})
}

// farthest returns the entry that pick picks of the things in o that are farthest
// from self, but not one that never expires.
func farthest[T any](o *ordered[T], self, hash uint64, pick func(T) *entry) *entry {
	for far := range fartherThan(self, hash, o.next) {
		for thing := range o.from(binary.BigEndian.AppendUint64(nil, far)) {
			e := pick(thing)
			if e.hash != far {
				break
			}
			if !e.expires.IsZero() {
				return e
			}
		}
	}
	return nil
}

// publish keeps p, which must not be changed any more.
func (x *index) publish(p Publication) {
	if x.published[p.Kind] == nil {
		x.published[p.Kind] = newOrdered(func(p Publication) string { return string(p.Key) })
	}
	p.Next = p.Next.Round(0)
	x.published[p.Kind].set(hashOf(p.Key), p)
}

// unpublish forgets the publication of a kind and key.
func (x *index) unpublish(kind Kind, key []byte) {
	if s := x.published[kind]; s != nil {
		s.delete(hashOf(key), string(key))
	}
}

// publication returns a copy of the publication of a kind and key, or
// [ErrNotFound].
func (x *index) publication(kind Kind, key []byte) (Publication, error) {
	s := x.published[kind]
	if s == nil {
		return Publication{}, ErrNotFound
	}
	p := get(s, hashOf(key), key)
	if p.Kind != kind { // the zero Publication: there is none
		return Publication{}, ErrNotFound
	}
	p.Key, p.Data = slices.Clone(key), slices.Clone(p.Data)
	return p, nil
}

// publicationsAfter returns copies of the publications that follow a key, at most
// limit of them and no more once they have batchBytes.
func (x *index) publicationsAfter(kind Kind, after []byte, limit int) []Publication {
	s := x.published[kind]
	if s == nil {
		return nil
	}
	var found []Publication
	size := 0
	var from []byte
	if after != nil {
		from = After(after)
	}
	for p := range s.from(from) {
		p.Key, p.Data = append([]byte{}, p.Key...), slices.Clone(p.Data)
		found = append(found, p)
		if size += len(p.Key) + len(p.Data); len(found) == limit || size >= batchBytes {
			break
		}
	}
	return found
}

// soonest returns the entry that expires first, nil if none ever does, and
// whether it is a value.
func (x *index) soonest() (e *entry, isValue bool) {
	e, isValue = x.valuePile.first(), true
	if p := x.provPile.first(); e == nil || p != nil && p.expires.Before(e.expires) {
		return p, false
	}
	return e, isValue
}

// len returns how many values and announcements there are.
func (x *index) len() (values, providers int) { return x.valuePile.entries, x.provPile.entries }

// filled returns how full it is of a kind.
func (x *index) filled(kind Kind) float64 {
	return filled(kind, &x.valuePile.tally, &x.provPile.tally)
}
