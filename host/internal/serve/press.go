package serve

import (
	"context"
	"runtime"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/tasks"
)

// A peer presses if it does not wait for its answers: further requests of the stream have
// arrived already, or many of its streams have one. No client that is known to us does so for
// long. All peers that press share a part of the time of the processors, so that the requests
// of the others, which a busy process would not even notice for milliseconds, are read at once.

const (
	// pressedBytes is how many bytes have arrived behind a request of a peer that presses: some
	// requests.
	pressedBytes = 128

	// pressedStreams is how many requests of a peer at a time are usual.
	pressedStreams = 8

	// pressedShare is the part of the time of all processors that answers to peers that press
	// may take. To read and to write them takes about four times as much.
	pressedShare = 0.1

	// maxPressedCost bounds what one answer counts: it may have waited for a disk.
	maxPressedCost = 100 * time.Microsecond
)

// A share is what a peer has of a Server.
type share struct {
	streams int
	busy    int // of them, those that are being answered, or wait for it
}

// pressure bounds what the answers to peers that press take. It is guarded by the lock of the
// Server.
type pressure struct {
	free time.Time // when the next one may begin
}

// charge counts an answer that took some time and was ready at a time.
func (p *pressure) charge(ready time.Time, took time.Duration) {
	took = min(max(took, minCost), maxPressedCost)
	if p.free.Before(ready) {
		p.free = ready
	}
	p.free = p.free.Add(time.Duration(float64(took) / pressedShare / float64(runtime.GOMAXPROCS(0))))
}

// presses reports whether a peer presses, behind whose request so many bytes have arrived.
func (s *Server) presses(id peer.ID, arrived int) bool {
	sh := s.shares[id]
	return arrived >= pressedBytes || sh != nil && sh.busy > pressedStreams
}

// rest has a request that arrived just now wait, if its peer presses, until such a peer may have
// an answer. It returns when that was.
func (s *Server) rest(in *inbound, limits *deadlines, now time.Time) (time.Time, error) {
	if !in.presses {
		return now, nil
	}
	s.mu.Lock()
	free := s.pressure.free
	s.mu.Unlock()
	if !free.After(now) {
		return now, nil
	}
	ctx, cancel := context.WithDeadline(limits.node, free)
	<-ctx.Done()
	cancel()
	if err := limits.node.Err(); err != nil {
		return now, kaderr.ErrBusy
	}
	tasks.Locked(&s.mu, func(t time.Time) { now = t })
	return now, nil
}
