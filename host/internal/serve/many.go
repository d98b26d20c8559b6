package serve

import (
	"fmt"
	"time"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/protocol"
)

// errNoStore refuses a request among many that stores nothing.
var errNoStore = fmt.Errorf("%w: many requests can only store something", protocol.ErrMalformed)

// respondMany answers a message that has many requests, and was read now, each as if it had come
// alone: each waits for its turn, and has the limits, the quotas and the refusals that it has
// alone. For what is left when the time of an answer is over, the node is busy.
func (s *Server) respondMany(in *inbound, requests [][]byte, buf *buffers, now time.Time) (answer []byte, ready time.Time, err error) {
	codes := make([]uint32, len(requests))
	ready = now
	for i, one := range requests {
		if err = kaderr.ErrBusy; ready.Sub(now) < answerTimeout {
			_, ready, err = s.respond(in, one, buf, ready)
		}
		if buf.limits.node.Err() != nil {
			return nil, ready, kaderr.ErrBusy
		}
		if err != nil {
			s.refused.Add(1)
			codes[i] = uint32(kaderr.CodeOf(err))
		}
	}
	answer = protocol.AppendOutcomesFrame(buf.answer[:0], codes)
	buf.answer = reusable(answer)
	return answer, ready, nil
}
