package kadtest

import (
	"encoding/binary"
	"slices"
	"strings"

	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/protocol"
)

// suffix is how the protocol of each DHT ends, and manySuffix how that of messages with many
// requests does.
const (
	suffix     = "/kad/1.0.0"
	manySuffix = "/kad/many/1.0.0"
)

// serves reports whether the host serves a DHT.
func (h *memHost) serves() bool {
	return slices.ContainsFunc(*h.speaks.Load(), isDHT)
}

func isDHT(id lprotocol.ID) bool { return strings.HasSuffix(string(id), suffix) }

// A filter passes on the requests that are written to a stream, except the ones that are
// to be lost. A stream is written by one goroutine at a time.
type filter struct {
	keep    func(msg []byte) bool // nil if all are kept
	partial []byte                // of a request that is not complete
}

func (f *filter) init(s *stream) {
	from, to, asked := s.conn.local.node, s.conn.remote.node, s.conn.link.net.cfg.Filter
	switch keep := func(req protocol.Request) bool { return asked(from, to, req) }; {
	case asked == nil:
	case isDHT(s.proto):
		f.keep = func(msg []byte) bool {
			req, err := protocol.ParseRequest(msg)
			return err != nil || keep(req)
		}
	case strings.HasSuffix(string(s.proto), manySuffix):
		f.keep = func(msg []byte) bool { return keepsMany(msg, keep) }
	}
}

// keepsMany asks for each request of a message that has many, and reports whether the message
// is kept: it is lost if one of them is.
func keepsMany(msg []byte, keep func(protocol.Request) bool) bool {
	requests, err := protocol.SplitMany(msg)
	if err != nil {
		return true
	}
	all := true
	for _, one := range requests {
		req, err := protocol.ParseRequest(one)
		all = (err != nil || keep(req)) && all
	}
	return all
}

// filtered returns what is to be sent of b, and of what was written before.
func (s *stream) filtered(b []byte) []byte {
	f := &s.requests
	if f.keep == nil {
		return b
	}
	f.partial = append(f.partial, b...)
	var kept []byte
	for {
		length, prefix := binary.Uvarint(f.partial)
		if prefix <= 0 || length > uint64(len(f.partial)-prefix) { //nolint:gosec // prefix is at most the length
			return kept // it is not complete yet
		}
		frame := f.partial[:prefix+int(length)] //nolint:gosec // at most the length of partial
		f.partial = f.partial[len(frame):]
		if f.keep(frame[prefix:]) {
			kept = append(kept, frame...)
		}
	}
}
