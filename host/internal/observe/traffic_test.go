package observe

import (
	"bytes"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
)

// The bytes of a stream count as they are read and written.
func TestTraffic(t *testing.T) {
	var traffic Traffic
	s := traffic.Of(&buffer{})
	_, _ = s.Write(make([]byte, 5))
	_, _ = s.Read(make([]byte, 3))
	_, _ = s.Read(make([]byte, 3)) // there are 2 more
	_, _ = s.Read(make([]byte, 3)) // io.EOF
	if in, out := traffic.Bytes(); in != 5 || out != 5 {
		t.Errorf("%d and %d bytes, want 5 and 5", in, out)
	}
}

// A buffer is a stream that reads what was written to it.
type buffer struct {
	network.Stream
	bytes.Buffer
}

func (b *buffer) Read(p []byte) (int, error)  { return b.Buffer.Read(p) }
func (b *buffer) Write(p []byte) (int, error) { return b.Buffer.Write(p) }
func (b *buffer) Reset() error                { return nil }
