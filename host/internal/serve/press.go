package serve

import (
	"context"
	"runtime"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/tasks"
)

// A peer presses if it does not wait for its answers: further requests of the stream have
// arrived already, or its streams and their messages have many. Peers that publish many keys do
// so in bursts, which do not wait where no other peer presses; floods do so without end. The
// requests of peers that press are answered one at a time, in a queue of their own, at a rate
// that leaves the processors to the others. Until its turn comes, nothing more is read from the
// stream, so that the transport stops the peer.

const (
	// pressedBytes is how many bytes have arrived behind a request of a peer that presses: some
	// requests.
	pressedBytes = 128

	// pressedRequests is how many requests of a peer at a time are usual.
	pressedRequests = 8

	// pressedShare is the part of the time of all processors that answers to peers that press
	// may take. To read and to write them takes several times as much.
	pressedShare = 0.02

	// pressedBurst is for how long peers that press may have saved their share: time for the
	// announcements of one message, with two processors.
	pressedBurst = 40 * time.Millisecond

	// maxPressedCost bounds what one answer counts: it may have waited for a disk.
	maxPressedCost = 100 * time.Microsecond
)

// A share is what a peer has of a Server.
type share struct {
	streams int
	busy    int // requests that are being answered, or wait for it
}

// A pressed is the queue of the requests of peers that press. It is guarded by the lock of the
// Server.
type pressed struct {
	queue

	free time.Time // when the next answer may begin
}

// charge counts an answer that took some time and was ready at a time.
func (p *pressed) charge(ready time.Time, took time.Duration) {
	took = min(max(took, minCost), maxPressedCost)
	rest := time.Duration(float64(took) / pressedShare / float64(runtime.GOMAXPROCS(0)))
	if len(p.waiting) > 0 {
		p.free = ready.Add(rest)
		return
	}
	if saved := ready.Add(-pressedBurst); p.free.Before(saved) {
		p.free = saved
	}
	p.free = p.free.Add(rest)
}

// presses reports whether a peer presses, behind whose request so many bytes have arrived.
func (s *Server) presses(id peer.ID, arrived int) bool {
	sh := s.shares[id]
	return arrived >= pressedBytes || sh != nil && sh.busy > pressedRequests
}

// rest has the request of a peer that presses, whose turn came at a time, wait until such a
// peer may have an answer. It returns when that was.
func (s *Server) rest(limits *deadlines, now time.Time) time.Time {
	s.mu.Lock()
	free := s.pressed.free
	s.mu.Unlock()
	if !free.After(now) {
		return now
	}
	ctx, cancel := context.WithDeadline(limits.node, free)
	<-ctx.Done()
	cancel()
	tasks.Locked(&s.mu, func(t time.Time) { now = t })
	return now
}
