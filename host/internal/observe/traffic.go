package observe

import (
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/network"
)

// Traffic counts the bytes of streams. It is safe for concurrent use.
type Traffic struct{ in, out atomic.Uint64 }

// Of returns a stream whose bytes count.
func (t *Traffic) Of(s network.Stream) Counted { return Counted{s, t} }

// Bytes returns how many bytes were read and written.
func (t *Traffic) Bytes() (in, out uint64) { return t.in.Load(), t.out.Load() }

// A Counted is a stream whose bytes count.
type Counted struct {
	network.Stream

	by *Traffic
}

func (c *Counted) Read(b []byte) (int, error) {
	n, err := c.Stream.Read(b)
	c.by.in.Add(uint64(n)) //nolint:gosec // not negative
	return n, err
}

func (c *Counted) Write(b []byte) (int, error) {
	n, err := c.Stream.Write(b)
	c.by.out.Add(uint64(n)) //nolint:gosec // not negative
	return n, err
}
