package observe

import (
	"io"
	"sync/atomic"
)

// Traffic counts the bytes of streams. It is safe for concurrent use.
type Traffic struct{ in, out atomic.Uint64 }

// Read reads from a stream.
func (t *Traffic) Read(from io.Reader, b []byte) (int, error) {
	n, err := from.Read(b)
	t.in.Add(uint64(n)) //nolint:gosec // not negative
	return n, err
}

// Write writes to a stream.
func (t *Traffic) Write(to io.Writer, b []byte) (int, error) {
	n, err := to.Write(b)
	t.out.Add(uint64(n)) //nolint:gosec // not negative
	return n, err
}

// Bytes returns how many bytes were read and written.
func (t *Traffic) Bytes() (in, out uint64) { return t.in.Load(), t.out.Load() }
