package validate

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	record "github.com/libp2p/go-libp2p-record"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// Rules are the validators of a node, by namespace. They do not change.
type Rules map[string]record.Validator

// Check returns why a value may not stand under a key, as [kaderr.ErrInvalidRecord].
func (v Rules) Check(key, value []byte) error {
	validator, err := v.Of(key)
	if err != nil {
		return err
	}
	if len(value) > protocol.MaxValue {
		return fmt.Errorf("%w: the value has %d bytes, the limit is %d", kaderr.ErrInvalidRecord, len(value), protocol.MaxValue)
	}
	if err := validator.Validate(string(key), value); err != nil {
		return fmt.Errorf("%w: %w", kaderr.ErrInvalidRecord, err)
	}
	return nil
}

// Of returns the validator of a key. A key that no peer can hold, because it is longer than
// the protocol allows, has none.
func (v Rules) Of(key []byte) (record.Validator, error) {
	if len(key) > protocol.MaxKey {
		return nil, fmt.Errorf("%w: the key has %d bytes, the limit is %d", kaderr.ErrInvalidRecord, len(key), protocol.MaxKey)
	}
	ns, _, ok := protocol.CutNamespace(key)
	if !ok {
		return nil, fmt.Errorf(`%w: key %q has no namespace: use "/namespace/rest"`, kaderr.ErrInvalidRecord, key)
	}
	validator, ok := v[string(ns)]
	if !ok {
		known := "none are configured"
		if len(v) > 0 {
			known = "there is " + strings.Join(slices.Sorted(maps.Keys(v)), ", ")
		}
		return nil, fmt.Errorf("%w: no validator for namespace %q in Config.Validators (%s)", kaderr.ErrInvalidRecord, ns, known)
	}
	return validator, nil
}

// compare returns 1 if the validator prefers value to other, -1 if it prefers other, and 0
// if it has no preference: then it returns the first one, or the last one, in both orders.
// Both values are valid.
func (v Rules) compare(key, value, other []byte) (int, error) {
	validator, err := v.Of(key)
	if err != nil {
		return 0, err
	}
	last, err := validator.Select(string(key), [][]byte{other, value})
	if err != nil {
		return 0, err
	}
	first, err := validator.Select(string(key), [][]byte{value, other})
	return last - first, err
}

// Tolerance is how much the expiry times of two values may differ although both were put at
// about the same time: a copy loses up to two seconds each time it is passed on, and is
// passed on once an hour, until its publisher publishes it again.
const Tolerance = time.Minute

// replaces reports whether a value replaces one that is held, if the validator has no
// preference. A put does, unless it expires earlier: then it is an old value that its
// publisher passes on. A copy does if it expires later, because it was put later.
func replaces(held, arrived store.Value, put bool) bool {
	if held.Expires.IsZero() || arrived.Expires.IsZero() { // one of them never expires
		return put || !held.Expires.IsZero()
	}
	margin := Tolerance
	if put {
		margin = -Tolerance
	}
	return arrived.Expires.After(held.Expires.Add(margin))
}

// A Reducer is a validator of a namespace whose keys hold a set of values: see
// package host, which exports it.
type Reducer interface {
	record.Validator
	Reduce(key string, values [][]byte) ([][]byte, error)
}

// What a Reducer that states no limits of its own gets.
const (
	defaultValues    = 64
	defaultValueSize = 64 << 10
)

// reducer returns the Reducer of a key; nil if it holds one value.
func (v Rules) reducer(key []byte) Reducer {
	validator, err := v.Of(key)
	if err != nil {
		return nil
	}
	r, _ := validator.(Reducer)
	return r
}

// Multi reports whether a key holds a set of values.
func (v Rules) Multi(key []byte) bool { return v.reducer(key) != nil }

// Limits returns how many values a key may hold, and how many bytes together.
func (v Rules) Limits(key []byte) (values, size int) {
	r := v.reducer(key)
	if r == nil {
		return 1, protocol.MaxValue
	}
	if own, ok := r.(interface{ Limits() (values, size int) }); ok {
		values, size = own.Limits()
	}
	return min(cmp.Or(max(values, 0), defaultValues), protocol.MaxRecords), min(cmp.Or(max(size, 0), defaultValueSize), protocol.MaxValue)
}

// Bounded returns [kaderr.ErrTooMany] if the values of a key are over its limits.
func (v Rules) Bounded(key []byte, set []store.Value) error {
	size := 0
	for _, x := range set {
		size += len(x.Data)
	}
	maxValues, maxSize := v.Limits(key)
	if len(set) > 1 && (len(set) > maxValues || size > maxSize) {
		return fmt.Errorf("%w: %d values of %d bytes", kaderr.ErrTooMany, len(set), size)
	}
	return nil
}

// Merge returns what is to be held of values, which are valid, the best one first.
// The order of values does not matter. Under a key of one value, prefer chooses among the
// best ones, between which the validator has no preference: they come in the order of their
// bytes.
func (v Rules) Merge(key []byte, values [][]byte, prefer func(equal [][]byte) []byte) ([][]byte, error) {
	values = slices.Clone(values)
	slices.SortFunc(values, bytes.Compare)
	values = slices.CompactFunc(values, bytes.Equal)
	r := v.reducer(key)
	if r == nil {
		best := values[:1:1]
		for _, value := range values[1:] {
			switch order, err := v.compare(key, value, best[0]); {
			case err != nil || order < 0:
			case order > 0:
				best = [][]byte{value}
			default:
				best = append(best, value)
			}
		}
		return [][]byte{prefer(best)}, nil
	}
	merged, err := r.Reduce(string(key), values)
	if err == nil && len(merged) == 0 {
		err = errors.New("its Reduce leaves nothing")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", kaderr.ErrInvalidRecord, err)
	}
	merged = slices.Clone(merged)
	best, err := r.Select(string(key), merged)
	if err != nil || best < 0 || best >= len(merged) {
		return nil, fmt.Errorf("%w: its Select fails: %w", kaderr.ErrInvalidRecord, err)
	}
	merged[0], merged[best] = merged[best], merged[0]
	return merged, nil
}

// MergeHeld merges what has arrived into what is held under a key. The error is
// [kaderr.ErrOldRecord] if nothing of it is any better. A value that is held already
// lives as long as the later of the two says. put says that what has arrived was put just
// now, and is no copy of another holder. The result may be in the memory of held.
func (v Rules) MergeHeld(key []byte, held, arrived []store.Value, put bool) ([]store.Value, error) {
	if len(arrived) == 1 && (len(held) == 0 || len(held) == 1 && bytes.Equal(held[0].Data, arrived[0].Data)) && v.reducer(key) == nil {
		if len(held) == 0 { // there is nothing to choose
			return slices.Clone(arrived), nil
		}
		held[0] = laterOf(held[0], arrived[0], false)
		return held, nil
	}
	all := slices.Concat(held, arrived)
	values := make([][]byte, len(all))
	for i, a := range all {
		values[i] = a.Data
	}
	merged, err := v.Merge(key, values, func(equal [][]byte) []byte { return newest(equal, held, arrived, put) })
	if err != nil {
		return nil, err
	}
	fresh := false
	next := make([]store.Value, len(merged))
	for i, data := range merged {
		next[i].Data = data
		known := false
		for j, a := range all {
			if bytes.Equal(a.Data, data) {
				next[i] = laterOf(next[i], a, !known)
				known = true
				fresh = fresh || j >= len(held)
			}
		}
		if !known { // it was made of several: it lives as long as the longest-lived of them
			for j, a := range all {
				next[i] = laterOf(next[i], a, j == 0)
			}
			next[i].Data, next[i].Publisher = data, nil
			fresh = true
		}
	}
	if !fresh {
		return nil, kaderr.ErrOldRecord
	}
	return next, nil
}

// newest returns the value that is held, or one that has arrived and replaces it.
func newest(equal [][]byte, held, arrived []store.Value, put bool) []byte {
	among := func(v store.Value) bool {
		return slices.ContainsFunc(equal, func(e []byte) bool { return bytes.Equal(e, v.Data) })
	}
	i := slices.IndexFunc(held, among)
	if i < 0 {
		return equal[len(equal)-1]
	}
	for _, a := range arrived {
		if among(a) && !bytes.Equal(a.Data, held[i].Data) && replaces(held[i], a, put) {
			return a.Data
		}
	}
	return held[i].Data
}

// laterOf returns a, received and expiring at the later time of both; b if a is
// not set yet.
func laterOf(a, b store.Value, unset bool) store.Value {
	if unset {
		return b
	}
	if b.Received.After(a.Received) {
		a.Received = b.Received
	}
	if b.Expires.IsZero() || !a.Expires.IsZero() && b.Expires.After(a.Expires) {
		a.Expires = b.Expires
	}
	if len(a.Publisher) == 0 {
		a.Publisher = b.Publisher
	}
	return a
}

// Pack returns what the store keeps of values that are held under a key: the value
// itself, or, if it may be a set, the values one after the other. What is packed was
// received when the one was that has waited for longest, and expires with the
// last.
//
// Each value of a set is when it was received and when it expires, in milliseconds,
// 0 for never, then publisher and data, each with its length.
func (v Rules) Pack(key []byte, values []store.Value) store.Value {
	if v.reducer(key) == nil {
		return values[0]
	}
	packed := store.Value{Received: values[0].Received, Expires: values[0].Expires}
	for _, x := range values {
		if x.Received.Before(packed.Received) {
			packed.Received = x.Received
		}
		if x.Expires.IsZero() || !packed.Expires.IsZero() && x.Expires.After(packed.Expires) {
			packed.Expires = x.Expires
		}
		packed.Data = binary.AppendVarint(packed.Data, milli(x.Received))
		packed.Data = binary.AppendVarint(packed.Data, milli(x.Expires))
		packed.Data = protocol.AppendBytes(packed.Data, x.Publisher)
		packed.Data = protocol.AppendBytes(packed.Data, x.Data)
	}
	return packed
}

// Unpack returns the values that are held under a key and have not expired at now,
// the best one first. With the zero time, nothing has. Of what cannot be read, as
// when the namespace had another kind of validator before, there are none.
func (v Rules) Unpack(key []byte, packed store.Value, now time.Time) []store.Value {
	if v.reducer(key) == nil {
		return []store.Value{packed}
	}
	var values []store.Value
	for b := packed.Data; len(b) > 0; {
		received, n := binary.Varint(b)
		expires, m := binary.Varint(b[max(n, 0):])
		if n <= 0 || m <= 0 {
			return nil
		}
		publisher, rest, ok := protocol.CutBytes(b[n+m:])
		if !ok {
			return nil
		}
		data, rest, ok := protocol.CutBytes(rest)
		if !ok {
			return nil
		}
		b = rest
		x := store.Value{Data: data, Publisher: publisher, Received: fromMilli(received), Expires: fromMilli(expires)}
		if now.IsZero() || x.Expires.IsZero() || now.Before(x.Expires) {
			values = append(values, x)
		}
	}
	return values
}

func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
