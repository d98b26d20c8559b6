package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"go.etcd.io/bbolt"
)

// The buckets of the file, and the keys of the first:
//
//	meta          format     uvarint: the version of this layout
//	              values     tally of the values: entries, bytes, 8 bytes each
//	              providers  tally of the announcements
//	values        by row key: row of the value
//	providers     by row key: row of the announcement
//	expiry        kind, expires, row key: nothing; those that expire at all
//	publications  kind, key: row of the publication
//
// A row key is the place of the key, whose zero bytes are followed by 0xff, two
// bytes that end it, 0 and 1, and the ID of the provider. So rows are in the
// order of the key space, all providers of a key are neighbours, and no row key
// is the beginning of another one's key.
func bucketMeta() []byte      { return []byte("meta") }
func bucketValues() []byte    { return []byte("values") }
func bucketProviders() []byte { return []byte("providers") }
func bucketExpiry() []byte    { return []byte("expiry") }
func bucketPublished() []byte { return []byte("publications") }

// format is the version of the layout.
const format = 2

// rowKey returns the row key of an entry, or [ErrTooLarge].
func rowKey(key []byte, id string) ([]byte, error) {
	row := append(rowPrefix(key), id...)
	if len(row) > maxRowKey {
		return nil, fmt.Errorf("%w: a key of %d bytes, limit is %d", ErrTooLarge, len(row), maxRowKey)
	}
	return row, nil
}

// rowPrefix returns what the row keys of all entries of a key begin with, and no
// others.
func rowPrefix(key []byte) []byte { return append(rowStart(Place(key)), 0, 1) }

// rowStart returns the least row key of those whose place is not before a given
// one.
func rowStart(place []byte) []byte {
	n := min(hashBytes, len(place))
	b := append(make([]byte, 0, len(place)+2+64), place[:n]...)
	for _, c := range place[n:] {
		if b = append(b, c); c == 0 {
			b = append(b, 0xff)
		}
	}
	return b
}

// prefixLen returns how long the prefix of a row key is, zero if the row key is
// damaged.
func prefixLen(row []byte) int {
	for i := hashBytes; i+1 < len(row); i++ {
		if row[i] != 0 {
			continue
		}
		if i++; row[i] == 1 {
			return i + 1
		}
	}
	return 0
}

// splitRowKey returns what a row key is made of; nothing, if it is damaged.
func splitRowKey(row []byte) (key, id []byte) {
	n := prefixLen(row)
	if n == 0 {
		return nil, nil
	}
	key = make([]byte, 0, n-2-hashBytes)
	for i := hashBytes; i < n-2; i++ {
		if key = append(key, row[i]); row[i] == 0 {
			i++ // over the 0xff
		}
	}
	return key, row[n:]
}

// behind returns the least row key that is greater than all with a prefix.
func behind(prefix []byte) []byte {
	b := bytes.Clone(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return b[:i+1]
		}
	}
	return nil
}

// expiryKey returns where the expiry of an entry is in the index.
func expiryKey(kind Kind, expires time.Time, row []byte) []byte {
	b := make([]byte, 1, 1+timeBytes+len(row))
	b[0] = byte(kind)
	return append(appendTime(b, expires), row...)
}

// storedEntry returns the entry of a row, with the data of the row itself. If the
// row is damaged, it returns what would have been its size, and the error.
func storedEntry(kind Kind, row, raw []byte) (*entry, error) {
	key, id := splitRowKey(row)
	e, err := parseRow(row, raw)
	if err != nil {
		e = &entry{length: max(len(raw)-rowHeader-1, 0), place: nowhere}
		if kind == KindProvider && e.length >= originBytes && raw[rowHeader] == originBytes {
			e.length -= originBytes
		}
	}
	if e.key = string(key); kind == KindProvider {
		e.id = string(id)
	}
	return e, err
}

// errUnchanged ends a transaction that changes nothing.
var errUnchanged = errors.New("unchanged")

// A batch is a transaction in which several writes are applied.
type batch struct {
	limits                               Limits
	values, providers, expiry, published *bbolt.Bucket
	valueTally, provTally                tally
	changed                              bool
}

// apply applies writes. A write that is refused does not concern the others; any
// other error concerns all.
func (b *batch) apply(tx *bbolt.Tx, writes []*write) error {
	b.values, b.providers = tx.Bucket(bucketValues()), tx.Bucket(bucketProviders())
	b.expiry, b.published = tx.Bucket(bucketExpiry()), tx.Bucket(bucketPublished())
	for _, w := range writes {
		w.err = w.apply(b)
		if w.err != nil && !errors.Is(w.err, ErrFull) && !errors.Is(w.err, errReplaced) {
			return w.err
		}
	}
	if !b.changed {
		return errUnchanged
	}
	meta := tx.Bucket(bucketMeta())
	if err := meta.Put([]byte("values"), b.valueTally.marshal()); err != nil {
		return err
	}
	return meta.Put([]byte("providers"), b.provTally.marshal())
}

// of returns where entries of a kind are, and what counts them.
func (b *batch) of(kind Kind) (*bbolt.Bucket, *tally) {
	if kind == KindValue {
		return b.values, &b.valueTally
	}
	return b.providers, &b.provTally
}

// held returns the entry under a row key, nil if there is none, and whether it is
// damaged.
func (b *batch) held(kind Kind, row []byte) (e *entry, damaged bool) {
	rows, _ := b.of(kind)
	raw := rows.Get(row)
	if raw == nil {
		return nil, false
	}
	e, err := storedEntry(kind, row, raw)
	return e, err != nil
}

// set puts e under a row key. What is there is replaced.
func (b *batch) set(kind Kind, row []byte, e *entry) error {
	if err := b.drop(kind, row); err != nil {
		return err
	}
	publisher := e.id
	if kind == KindProvider {
		publisher = rowOrigin(e.origin)
	}
	rows, count := b.of(kind)
	b.changed = true
	count.add(e)
	if !e.expires.IsZero() {
		if err := b.expiry.Put(expiryKey(kind, e.expires, row), nil); err != nil {
			return err
		}
	}
	return rows.Put(row, marshalRow(row, e.expires, e.received, publisher, e.data))
}

// drop removes what is under a row key.
func (b *batch) drop(kind Kind, row []byte) error {
	e, _ := b.held(kind, row) // it may be damaged
	if e == nil {
		return nil
	}
	rows, count := b.of(kind)
	b.changed = true
	count.remove(e)
	if !e.expires.IsZero() {
		if err := b.expiry.Delete(expiryKey(kind, e.expires, row)); err != nil {
			return err
		}
	}
	return rows.Delete(row)
}

// yields is [Limits.yields] for the rows of a key: it returns the row key of
// what gives its place to next, which is to be under row. A damaged one that
// has another ID is passed over.
func (b *batch) yields(prefix, row []byte, next *entry) ([]byte, error) {
	if b.providers.Get(row) != nil {
		return row, nil
	}
	n := 0
	for range rowsOf(b.providers, prefix) {
		n++
	}
	if !b.limits.keyFull(n) {
		return nil, nil
	}
	first, err := goesFor(rowsOf(b.providers, prefix), next)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(first), nil
}

// rowsOf yields the rows with a prefix that are not damaged, each with its times and origin:
// the entry is valid until the next one.
func rowsOf(rows *bbolt.Bucket, prefix []byte) iter.Seq2[[]byte, *entry] {
	return func(yield func([]byte, *entry) bool) {
		var e entry
		c := rows.Cursor()
		for row, raw := c.Seek(prefix); bytes.HasPrefix(row, prefix); row, raw = c.Next() {
			var ok bool
			if e, ok = rowTimes(row, raw); ok && !yield(row, &e) {
				return
			}
		}
	}
}

// shed removes the entry of a kind that is shed for what has the hash of a key, see
// [Store.Shed]. A damaged one that is farther goes before others of its hash.
func (b *batch) shed(kind Kind, self, hash uint64) (bool, error) {
	rows, _ := b.of(kind)
	c := rows.Cursor()
	next := func(x uint64) (uint64, bool) {
		row, _ := c.Seek(binary.BigEndian.AppendUint64(nil, x))
		least, _ := splitPlace(row)
		return least, row != nil
	}
	for far := range fartherThan(self, hash, next) {
		if row := goesFirst(rows, binary.BigEndian.AppendUint64(nil, far)); row != nil {
			return true, b.drop(kind, row)
		}
	}
	return false, nil
}

// goesFirst returns the row key of the first to be shed of those with a prefix,
// nil if none may.
func goesFirst(rows *bbolt.Bucket, prefix []byte) (goes []byte) {
	var first entry
	c := rows.Cursor()
	for row, raw := c.Seek(prefix); bytes.HasPrefix(row, prefix); row, raw = c.Next() {
		e, ok := rowTimes(row, raw)
		if !ok {
			return bytes.Clone(row)
		}
		if !e.expires.IsZero() && (goes == nil || compareYield(&e, &first) < 0) {
			first, goes = e, row
		}
	}
	return bytes.Clone(goes)
}

// room returns nil if next fits once the entry under the row key old is gone, if
// there is one. What has expired at now is dropped if it does not fit else.
func (b *batch) room(kind Kind, now time.Time, old []byte, next *entry) error {
	_, count := b.of(kind)
	for {
		var gone *entry
		if old != nil {
			gone, _ = b.held(kind, old)
		}
		full := count.fits(gone, next)
		if full == nil || now.IsZero() {
			return full
		}
		at, _ := b.expiry.Cursor().Seek([]byte{byte(kind)})
		if at == nil || at[0] != byte(kind) || parseTime(at[1:]).After(now) {
			return full
		}
		if _, err := b.dropExpired(bytes.Clone(at)); err != nil {
			return err
		}
	}
}

// dropExpired removes the entry that is at a place of the index by expiry, also if
// it is damaged. It reports false if the place was out of date.
func (b *batch) dropExpired(at []byte) (bool, error) {
	kind, expires, row := Kind(at[0]), parseTime(at[1:]), at[1+timeBytes:]
	b.changed = true
	if err := b.expiry.Delete(at); err != nil {
		return false, err
	}
	if e, damaged := b.held(kind, row); e == nil || !damaged && !e.expires.Equal(expires) {
		return false, nil
	}
	return true, b.drop(kind, row)
}

// sweep removes what has expired at now, soonest first, at most n entries, and
// returns how many.
func (b *batch) sweep(now time.Time, n int) (swept int, err error) {
	for range n {
		at := soonest(b.expiry)
		if at == nil || parseTime(at[1:]).After(now) {
			break
		}
		dropped, err := b.dropExpired(bytes.Clone(at))
		if err != nil {
			return 0, err
		}
		if dropped {
			swept++
		}
	}
	return swept, nil
}

// soonest returns the place in the index of the entry that expires first, nil if
// none ever does.
func soonest(expiry *bbolt.Bucket) []byte {
	c := expiry.Cursor()
	var first []byte
	for _, kind := range []Kind{KindValue, KindProvider} {
		at, _ := c.Seek([]byte{byte(kind)})
		if at != nil && at[0] == byte(kind) && (first == nil || bytes.Compare(at[1:], first[1:]) < 0) {
			first = at
		}
	}
	return first
}

// nextExpiry returns when an entry expires first, zero if none ever does.
func nextExpiry(expiry *bbolt.Bucket) time.Time {
	if at := soonest(expiry); at != nil {
		return parseTime(at[1:])
	}
	return time.Time{}
}

// marshal returns t for the file.
func (t *tally) marshal() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(t.entries)) //nolint:gosec // never negative
	return binary.BigEndian.AppendUint64(b, uint64(t.bytes))   //nolint:gosec // never negative
}

// unmarshal takes the counts from the file.
func (t *tally) unmarshal(b []byte) error {
	if len(b) != 16 {
		return fmt.Errorf("%w: the tally of %s has %d bytes", ErrCorrupt, t.name, len(b))
	}
	t.entries = int(binary.BigEndian.Uint64(b))   //nolint:gosec // as it was written
	t.bytes = int(binary.BigEndian.Uint64(b[8:])) //nolint:gosec // as it was written
	return nil
}
