package protocol

import (
	"bytes"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// rawRecord is a record as it is on the wire.
type rawRecord struct {
	key, value, time, publisher []byte
	ttl                         uint32
}

// read sets the fields that are in b, and reports whether b is a message.
func (r *rawRecord) read(b []byte) bool {
	f := walk(b, maxRecordFields)
	for f.next() {
		if v, ok := f.bytes(fieldRecordKey); ok {
			r.key = v
		} else if v, ok := f.bytes(fieldRecordValue); ok {
			r.value = v
		} else if v, ok := f.bytes(fieldRecordTime); ok {
			r.time = v
		} else if v, ok := f.bytes(fieldRecordPublisher); ok {
			r.publisher = v
		} else if v, ok := f.varint(fieldRecordTTL); ok {
			r.ttl = uint32(v) //nolint:gosec // cut to 32 bits, as protobuf has it
		}
	}
	return !f.bad
}

// record returns a copy of r, without its publisher if that is over its limit.
func (r *rawRecord) record() Record {
	rec := Record{
		Key:          clone(r.key),
		Value:        clone(r.value),
		TimeReceived: parseTime(r.time),
		TTL:          time.Duration(r.ttl) * time.Second,
	}
	if len(r.publisher) <= MaxPublisher {
		rec.Publisher = clone(r.publisher)
	}
	return rec
}

// appendRecord appends r as field num of a message.
func appendRecord(dst []byte, num protowire.Number, r *Record) []byte {
	// The size comes first. Beside key and value there are at most a few dozen
	// bytes: they are written twice, and the large ones once.
	var buf [128]byte
	tail := appendRecordTail(buf[:0], r)
	size := len(tail)
	for _, v := range [...][]byte{r.Key, r.Value} {
		if len(v) > 0 {
			size += 1 + protowire.SizeBytes(len(v)) // 1: the tag of a field under 16
		}
	}
	dst = protowire.AppendTag(dst, num, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	if len(r.Key) > 0 {
		dst = appendBytes(dst, fieldRecordKey, r.Key)
	}
	if len(r.Value) > 0 {
		dst = appendBytes(dst, fieldRecordValue, r.Value)
	}
	return append(dst, tail...)
}

// appendRecordTail appends all fields of a record except key and value.
func appendRecordTail(dst []byte, r *Record) []byte {
	var buf [maxTime]byte
	if t := appendTime(buf[:0], r.TimeReceived); len(t) > 0 {
		dst = appendBytes(dst, fieldRecordTime, t)
	}
	if n := len(r.Publisher); 0 < n && n <= MaxPublisher {
		dst = appendBytes(dst, fieldRecordPublisher, r.Publisher)
	}
	if r.TTL != 0 {
		ttl := min(max(r.TTL/time.Second, 1), math.MaxUint32)
		dst = appendVarint(dst, fieldRecordTTL, uint64(ttl))
	}
	return dst
}

// parseMore reads the further records of a message that was opened and has
// count of them, beside first. It leaves out malformed ones, the ones of another key,
// and the ones over a limit, before it allocates for them.
func parseMore(msg []byte, first *Record, count int) []Record {
	if count == 0 {
		return nil
	}
	q := quotaBeside(first)
	more := make([]Record, 0, min(count, q.records))
	f := walk(msg, len(msg))
	for q.records > 0 && f.next() {
		v, ok := f.bytes(fieldMore)
		if !ok {
			continue
		}
		var r rawRecord
		if !r.read(v) || !sameKey(r.key, first.Key) || !q.take(len(r.value)) {
			continue
		}
		r.key = nil
		rec := r.record()
		rec.Key = first.Key // one copy for all
		more = append(more, rec)
	}
	return more
}

// A quota is what further records may take.
type quota struct {
	records int
	bytes   int // of their values
}

// quotaBeside is what there may be beside first.
func quotaBeside(first *Record) quota {
	return quota{MaxRecords - 1, MaxValue - len(first.Value)}
}

// take takes one record, and reports whether there was room for it.
func (q *quota) take(value int) bool {
	if q.records == 0 || value > q.bytes {
		return false
	}
	q.records--
	q.bytes -= value
	return true
}

// appendMore appends the further records of a message with that key. Only a key that
// differs is written with them.
func appendMore(dst, key []byte, more []Record) []byte {
	for i := range more {
		r := more[i]
		if sameKey(r.Key, key) {
			r.Key = nil
		}
		dst = appendRecord(dst, fieldMore, &r)
	}
	return dst
}

// sameKey reports whether a further record with the key got is under key. No key means
// the key of the message.
func sameKey(got, key []byte) bool {
	return len(got) == 0 || bytes.Equal(got, key)
}

// wireTime is how times are written: always with nine digits, as js-libp2p does.
const wireTime = "2006-01-02T15:04:05.000000000Z"

// parseTime reads a time in the format of RFC 3339. It returns the zero time for other
// text, and for a year of other than four digits in UTC.
func parseTime(b []byte) time.Time {
	if len(b) == 0 || len(b) > maxTime {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return time.Time{}
	}
	if t = t.UTC(); !writable(t) {
		return time.Time{}
	}
	return t
}

// appendTime appends t, or nothing if it is zero or cannot be written.
func appendTime(dst []byte, t time.Time) []byte {
	if t = t.UTC(); t.IsZero() || !writable(t) {
		return dst
	}
	return t.AppendFormat(dst, wireTime)
}

// writable reports whether RFC 3339 has the year of t.
func writable(t time.Time) bool {
	return 0 <= t.Year() && t.Year() <= 9999
}
