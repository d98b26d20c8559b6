package kadtest

import (
	"encoding/binary"
	"slices"
	"strings"

	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/protocol"
)

// suffix is how the protocol of each DHT ends.
const suffix = "/kad/1.0.0"

// serves reports whether the host serves a DHT.
func (h *memHost) serves() bool {
	return slices.ContainsFunc(*h.speaks.Load(), isDHT)
}

func isDHT(id lprotocol.ID) bool { return strings.HasSuffix(string(id), suffix) }

// A filter passes on the requests that are written to a stream, except the ones that are
// to be lost. A stream is written by one goroutine at a time.
type filter struct {
	keep    func(protocol.Request) bool // nil if all are kept
	partial []byte                      // of a request that is not complete
}

func (f *filter) init(s *stream) {
	from, to, asked := s.conn.local.node, s.conn.remote.node, s.conn.link.net.cfg.Filter
	if asked != nil && isDHT(s.proto) {
		f.keep = func(req protocol.Request) bool { return asked(from, to, req) }
	}
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
		if req, err := protocol.ParseRequest(frame[prefix:]); err != nil || f.keep(req) {
			kept = append(kept, frame...)
		}
	}
}
