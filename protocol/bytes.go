package protocol

import "encoding/binary"

// AppendBytes appends value with its length in front, a varint. [CutBytes] reads it.
func AppendBytes(dst, value []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(value))), value...)
}

// CutBytes reads bytes that begin with their length, a varint, and returns what follows
// them. It is false if b is shorter than that.
func CutBytes(b []byte) (value, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b[n:])) {
		return nil, nil, false
	}
	return b[n:][:size], b[n:][size:], true
}
