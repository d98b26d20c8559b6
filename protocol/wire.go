package protocol

import (
	"bytes"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields, as in the schema of package pb.
const (
	fieldType      protowire.Number = 1
	fieldKey       protowire.Number = 2
	fieldRecord    protowire.Number = 3
	fieldCloser    protowire.Number = 8
	fieldProviders protowire.Number = 9

	fieldPeerID         protowire.Number = 1
	fieldPeerAddr       protowire.Number = 2
	fieldPeerConnection protowire.Number = 3

	fieldRecordKey       protowire.Number = 1
	fieldRecordValue     protowire.Number = 2
	fieldRecordTime      protowire.Number = 5
	fieldRecordPublisher protowire.Number = 666
	fieldRecordTTL       protowire.Number = 777
)

// fields walks over the fields of a protobuf message. It copies nothing, and
// checks what it has passed only: a caller looks at bad after the last one.
type fields struct {
	rest []byte
	bad  bool // the bytes are no protobuf message

	// The current field. One whose type is neither varint nor bytes is left out:
	// no message of this protocol has one.
	num   protowire.Number
	kind  protowire.Type
	value []byte // of bytes
	n     uint64 // of a varint
}

// next goes to the next field, and reports whether there is one.
func (f *fields) next() bool {
	for len(f.rest) > 0 {
		num, typ, n := protowire.ConsumeTag(f.rest)
		if n < 0 || num > protowire.MaxValidNumber {
			f.bad = true
			return false
		}
		f.rest = f.rest[n:]
		f.num, f.kind = num, typ
		switch typ {
		case protowire.VarintType:
			f.n, n = protowire.ConsumeVarint(f.rest)
		case protowire.BytesType:
			f.value, n = protowire.ConsumeBytes(f.rest)
		default:
			n = protowire.ConsumeFieldValue(num, typ, f.rest)
		}
		if n < 0 {
			f.bad = true
			return false
		}
		f.rest = f.rest[n:]
		if typ == protowire.VarintType || typ == protowire.BytesType {
			return true
		}
	}
	return false
}

// bytes returns the field's value if it is field num, of bytes.
func (f *fields) bytes(num protowire.Number) ([]byte, bool) {
	return f.value, f.num == num && f.kind == protowire.BytesType
}

// varint returns the field's value if it is field num, a varint.
func (f *fields) varint(num protowire.Number) (uint64, bool) {
	return f.n, f.num == num && f.kind == protowire.VarintType
}

// envelope is a message with all but its peers taken apart. It refers to the
// bytes it was read from.
type envelope struct {
	kind      kind
	key       []byte
	hasRecord bool
	badRecord bool
	record    rawRecord
}

// open takes a message apart, and reports whether it is one. Fields may come in
// any order; of one that comes twice, the last counts, and records merge, as
// protobuf has it.
func open(msg []byte) (e envelope, ok bool) {
	f := fields{rest: msg}
	for f.next() {
		if v, ok := f.varint(fieldType); ok {
			e.kind = kind(v) //nolint:gosec // enums are cut to 32 bits, as protobuf has it
		} else if v, ok := f.bytes(fieldKey); ok {
			e.key = v
		} else if v, ok := f.bytes(fieldRecord); ok {
			e.hasRecord = true
			e.badRecord = !e.record.read(v) || e.badRecord
		}
	}
	return e, !f.bad
}

// rawRecord is a record as it is on the wire.
type rawRecord struct {
	key, value, time, publisher []byte
	ttl                         uint32
}

// read sets the fields that are in b, and reports whether b is a message.
func (r *rawRecord) read(b []byte) bool {
	f := fields{rest: b}
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

// record returns a copy of r, without what is over a limit of its own.
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

// clone copies b. What is empty is nil: protobuf does not tell it from absent.
func clone(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return bytes.Clone(b)
}

// appendBytes appends a field of bytes.
func appendBytes(dst []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, num, protowire.BytesType), v)
}

// appendVarint appends a field that is a varint.
func appendVarint(dst []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), v)
}

// appendRecord appends the record field of a message, with r in it.
func appendRecord(dst []byte, r *Record) []byte {
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
	dst = protowire.AppendTag(dst, fieldRecord, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	if len(r.Key) > 0 {
		dst = appendBytes(dst, fieldRecordKey, r.Key)
	}
	if len(r.Value) > 0 {
		dst = appendBytes(dst, fieldRecordValue, r.Value)
	}
	return append(dst, tail...)
}

// appendRecordTail appends all fields of a record but key and value.
func appendRecordTail(dst []byte, r *Record) []byte {
	var buf [maxTime]byte
	if t := appendTime(buf[:0], r.TimeReceived); len(t) > 0 {
		dst = appendBytes(dst, fieldRecordTime, t)
	}
	if n := len(r.Publisher); 0 < n && n <= MaxPublisher {
		dst = appendBytes(dst, fieldRecordPublisher, r.Publisher)
	}
	if ttl := min(r.TTL/time.Second, 1<<32-1); ttl > 0 {
		dst = appendVarint(dst, fieldRecordTTL, uint64(ttl))
	}
	return dst
}

// wireTime is how times are written: always with nine digits, as js-libp2p does.
const wireTime = "2006-01-02T15:04:05.000000000Z"

// parseTime reads a time in the format of RFC 3339. What is none, and what has
// no year of four digits in UTC, is the zero time.
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
