package protocol

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/go-kad/kad/pb"
)

// Numbers of the fields, as in the schema of package pb.
const (
	fieldType      protowire.Number = 1
	fieldKey       protowire.Number = 2
	fieldRecord    protowire.Number = 3
	fieldCloser    protowire.Number = 8
	fieldProviders protowire.Number = 9
	fieldMore      protowire.Number = 1001
	fieldProof     protowire.Number = 1002

	fieldPeerID         protowire.Number = 1
	fieldPeerAddr       protowire.Number = 2
	fieldPeerConnection protowire.Number = 3
	fieldPeerCertified  protowire.Number = 1003

	fieldRecordKey       protowire.Number = 1
	fieldRecordValue     protowire.Number = 2
	fieldRecordTime      protowire.Number = 5
	fieldRecordPublisher protowire.Number = 666
	fieldRecordTTL       protowire.Number = 777
)

// How many fields are looked at, so that the cost of a message has a bound whatever it is made
// of: what comes after them is left out, as if it were not there. Messages of other
// implementations have one field for each peer and each record, and a few others.
const (
	maxOther        = 64 // besides the lists of a message
	maxPeerFields   = lookedFactor * MaxAddrs
	maxRecordFields = 64

	maxRequestFields = maxOther + lookedFactor*MaxAnnounced + MaxRecords
	maxManyFields    = maxOther + MaxMany

	maxGroup = 1 << 10 // bytes of a group, which no message of this protocol has
)

// maxResponseFields returns how many fields of a response of that type are looked at.
func maxResponseFields(k kind) int {
	n := maxOther
	if hasCloser(k) {
		n += lookedFactor * MaxCloser
	}
	if k == pb.Message_GET_PROVIDERS {
		n += lookedFactor * MaxProviders
	}
	if k == pb.Message_GET_VALUE {
		n += MaxRecords
	}
	return n
}

// fields walks over the fields of a protobuf message, up to a number of them. It copies
// nothing, and checks only the fields that it has passed: a caller looks at bad after the
// last one. A large group makes a message bad, since its fields would not be counted.
type fields struct {
	rest []byte
	left int  // how many more fields are looked at
	bad  bool // the bytes are no protobuf message

	// The current field. Fields of other types than varint and bytes are left out: no
	// message of this protocol has one.
	num   protowire.Number
	kind  protowire.Type
	value []byte // of bytes
	n     uint64 // of a varint
}

// walk returns the fields of a message, up to so many.
func walk(msg []byte, most int) fields { return fields{rest: msg, left: most} }

// next goes to the next field, and reports whether there is one.
func (f *fields) next() bool {
	for ; len(f.rest) > 0 && f.left > 0; f.left-- {
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
			n = protowire.ConsumeFieldValue(num, typ, f.rest[:min(len(f.rest), maxGroup)])
		}
		if n < 0 {
			f.bad = true
			return false
		}
		f.rest = f.rest[n:]
		if typ == protowire.VarintType || typ == protowire.BytesType {
			f.left--
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

// envelope is a message that is taken apart, except for its lists. It refers to the
// bytes it was read from.
type envelope struct {
	msg        []byte // as far as it was looked at
	kind       kind
	key, proof []byte
	hasRecord  bool
	badRecord  bool
	record     rawRecord

	// The further records, before any of them is kept.
	more       int // how many
	moreValues int // the size of their values together
}

// open takes a message apart, and reports whether it is one. It looks at so many fields at
// most. Fields may come in any order; of one that comes twice, the last counts, and records
// merge, as protobuf has it.
func (e *envelope) open(msg []byte, most int) (ok bool) {
	f := walk(msg, most)
	for f.next() {
		if v, ok := f.varint(fieldType); ok {
			e.kind = kind(v) //nolint:gosec // enums are cut to 32 bits, as protobuf has it
		} else if v, ok := f.bytes(fieldKey); ok {
			e.key = v
		} else if v, ok := f.bytes(fieldRecord); ok {
			e.hasRecord = true
			e.badRecord = !e.record.read(v) || e.badRecord
		} else if v, ok := f.bytes(fieldMore); ok {
			var r rawRecord
			r.read(v) // parseMore sees whether it can be used
			e.more++
			e.moreValues += len(r.value)
		} else if v, ok := f.bytes(fieldProof); ok {
			e.proof = v
		}
	}
	e.msg = msg[:len(msg)-len(f.rest)]
	return !f.bad
}

// clone copies b. An empty b gives nil: for protobuf it is the same as an absent field.
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
