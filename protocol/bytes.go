package protocol

import "encoding/binary"

// CutBytes reads bytes that begin with their length, a varint, and returns what follows
// them. It is false if b is shorter than that.
func CutBytes(b []byte) (value, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b[n:])) {
		return nil, nil, false
	}
	return b[n:][:size], b[n:][size:], true
}
