package host

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// maxInboundPerPeer bounds the streams of one peer, so that one cannot take
// all there are. Others open up to 32 for one peer.
const maxInboundPerPeer = 32

// inbound is the set of streams that are being served: it bounds them, and ends
// them when the node stops serving.
type inbound struct {
	max int

	mu      sync.Mutex
	streams map[network.Stream]struct{}
	perPeer map[peer.ID]int
	closed  bool
	done    sync.WaitGroup
}

func newInbound(limit int) *inbound {
	return &inbound{
		max:     limit,
		streams: make(map[network.Stream]struct{}),
		perPeer: make(map[peer.ID]int),
	}
}

// add admits a stream, or reports that there are too many.
func (in *inbound) add(s network.Stream) bool {
	from := s.Conn().RemotePeer()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed || len(in.streams) >= in.max || in.perPeer[from] >= maxInboundPerPeer {
		return false
	}
	in.streams[s] = struct{}{}
	in.perPeer[from]++
	in.done.Add(1)
	return true
}

// remove takes back what add admitted.
func (in *inbound) remove(s network.Stream) {
	from := s.Conn().RemotePeer()
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.streams, s)
	if in.perPeer[from]--; in.perPeer[from] == 0 {
		delete(in.perPeer, from)
	}
	in.done.Done()
}

// reset ends every stream that is being served.
func (in *inbound) reset() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for s := range in.streams {
		_ = s.Reset()
	}
}

// close ends every stream, admits no more, and waits for the goroutines that
// served them.
func (in *inbound) close() {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	in.reset()
	in.done.Wait()
}

// len returns how many streams are being served.
func (in *inbound) len() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.streams)
}
