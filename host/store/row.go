package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
)

// A row is an entry, or a publication, on a medium:
//
//	checksum   4 bytes   CRC-32C of the key of the row, and of what follows
//	expires   12 bytes   see appendTime; when it is next due, if it is a publication
//	received  12 bytes
//	publisher  uvarint length, bytes; of an announcement its origin, if it has one
//	data       the rest
//
// All numbers are big-endian.
const rowHeader = 4 + 2*timeBytes

// timeBytes is the size of a time.
const timeBytes = 12

// castagnoli is the polynomial that processors have an instruction for.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// appendTime appends a time so that later ones sort after earlier ones: the
// second of the Unix epoch with its sign inverted, and the nanosecond.
func appendTime(b []byte, t time.Time) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(t.Unix())^1<<63)    //nolint:gosec // the bits are meant
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond())) //nolint:gosec // below a billion
}

// parseTime returns the time at the start of b. The zero time stays zero.
func parseTime(b []byte) time.Time {
	sec := int64(binary.BigEndian.Uint64(b) ^ 1<<63) //nolint:gosec // the bits are meant
	return time.Unix(sec, int64(binary.BigEndian.Uint32(b[8:]))).UTC()
}

// marshalRow returns the row under rowKey that keeps e. What id is in the row key
// is not in the row, so only that of a value is given.
func marshalRow(rowKey []byte, expires, received time.Time, publisher string, data []byte) []byte {
	b := make([]byte, 4, rowHeader+binary.MaxVarintLen32+len(publisher)+len(data))
	b = appendTime(b, expires)
	b = appendTime(b, received)
	b = binary.AppendUvarint(b, uint64(len(publisher)))
	b = append(b, publisher...)
	b = append(b, data...)
	binary.BigEndian.PutUint32(b, checksum(rowKey, b[4:]))
	return b
}

// checksum returns the checksum of a row.
func checksum(rowKey, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum(rowKey, castagnoli()), castagnoli(), rest)
}

// originBytes is the size of an origin in a row.
const originBytes = 8

// rowOrigin returns the origin of an announcement as a row keeps it; empty if it has none.
func rowOrigin(origin uint64) string {
	if origin == 0 {
		return ""
	}
	return string(binary.BigEndian.AppendUint64(nil, origin))
}

// rowTimes returns an entry with nothing but the times and the origin of a row, because that
// is all that matters to most of the rows of a popular key. It reports false if
// the row is not as it was written.
func rowTimes(rowKey, b []byte) (entry, bool) {
	if len(b) <= rowHeader || binary.BigEndian.Uint32(b) != checksum(rowKey, b[4:]) {
		return entry{}, false
	}
	e := entry{expires: parseTime(b[4:]), received: parseTime(b[4+timeBytes:])}
	if rest := b[rowHeader:]; len(rest) > originBytes && rest[0] == originBytes {
		e.origin = binary.BigEndian.Uint64(rest[1:])
	}
	return e, true
}

// parseRow returns the entry that a row keeps, without its key, and with the data
// of the row itself. A row that is not as it was written is [ErrCorrupt].
func parseRow(rowKey, b []byte) (*entry, error) {
	times, ok := rowTimes(rowKey, b)
	if !ok {
		return nil, fmt.Errorf("%w: the row of key %x is damaged", ErrCorrupt, rowKey)
	}
	n, used := binary.Uvarint(b[rowHeader:])
	rest := b[rowHeader+max(used, 0):]
	if used <= 0 || n > uint64(len(rest)) {
		return nil, fmt.Errorf("%w: the row of key %x has a wrong length", ErrCorrupt, rowKey)
	}
	e := newEntry("", string(rest[:n]), rest[n:], times.received, times.expires)
	e.origin = times.origin
	return e, nil
}
