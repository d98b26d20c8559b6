package serve

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A peer presses if it does not wait for its answers: further requests of the stream have
// arrived already, or its streams and their messages have many. Peers that publish many keys do
// so in bursts, which do not wait where no other peer presses; floods do so without end.
// Their requests keep a pace.

const (
	// pressedBytes is how many bytes have arrived behind a request of a peer that presses: some
	// requests.
	pressedBytes = 128

	// pressedRequests is how many requests of a peer at a time are usual.
	pressedRequests = 8

	// pressedShare is the part of the time of all processors that answers to peers that press
	// may take.
	pressedShare = 0.02

	// pressedBurst is for how long peers that press may have saved their share: time for the
	// announcements of one message, with two processors.
	pressedBurst = 40 * time.Millisecond
)

// A share is what a peer has of a Server.
type share struct {
	streams int
	busy    int // requests that are being answered, or wait for it
}

// presses reports whether a peer presses, behind whose request so many bytes have arrived.
func (s *Server) presses(id peer.ID, arrived int) bool {
	sh := s.shares[id]
	return arrived >= pressedBytes || sh != nil && sh.busy > pressedRequests
}
