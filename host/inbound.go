package host

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// maxInboundPerPeer bounds the streams of one peer, so that one cannot take
// all there are. Others open up to 32 for one peer.
const maxInboundPerPeer = 32

// inbound is the set of streams that are being served: it bounds them, and ends
// them when the node stops serving. When it is full, the peer that has the most
// streams loses the one that has been idle for longest, so that nobody can shut
// others out by holding streams open.
type inbound struct {
	max int

	mu      sync.Mutex
	perPeer map[peer.ID]map[network.Stream]time.Time // since when each stream is idle
	total   int
	closed  bool
	done    sync.WaitGroup // the goroutines that serve
}

func newInbound(limit int) *inbound {
	return &inbound{max: limit, perPeer: make(map[peer.ID]map[network.Stream]time.Time)}
}

// add admits a stream, or reports that there are too many.
func (in *inbound) add(s network.Stream) bool {
	from := s.Conn().RemotePeer()
	in.mu.Lock()
	defer in.mu.Unlock()
	own := in.perPeer[from]
	if in.closed || len(own) >= maxInboundPerPeer || in.total >= in.max && !in.evict(len(own)) {
		return false
	}
	if own == nil {
		own = make(map[network.Stream]time.Time)
		in.perPeer[from] = own
	}
	own[s] = time.Now()
	in.total++
	in.done.Add(1)
	return true
}

// evict ends the stream that has been idle for longest of the peer that has the
// most, if that is more than own and one: else the newcomer is the one to go.
func (in *inbound) evict(own int) bool {
	var most peer.ID
	for id, streams := range in.perPeer {
		if len(streams) > len(in.perPeer[most]) {
			most = id
		}
	}
	if len(in.perPeer[most]) <= own+1 {
		return false
	}
	var idle network.Stream
	for s, since := range in.perPeer[most] {
		if idle == nil || since.Before(in.perPeer[most][idle]) {
			idle = s
		}
	}
	in.forget(most, idle)
	go resetBusy(idle)
	return true
}

// resetBusy ends a stream to make room. It can block while the peer does not
// read, and ends with the connection at the latest.
func resetBusy(s network.Stream) { _ = s.ResetWithError(codeBusy) }

// active records that a stream has brought a request.
func (in *inbound) active(s network.Stream) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if own := in.perPeer[s.Conn().RemotePeer()]; !own[s].IsZero() {
		own[s] = time.Now()
	}
}

// forget takes a stream out of the books.
func (in *inbound) forget(from peer.ID, s network.Stream) {
	own := in.perPeer[from]
	if _, ok := own[s]; !ok {
		return
	}
	delete(own, s)
	in.total--
	if len(own) == 0 {
		delete(in.perPeer, from)
	}
}

// remove takes back what add admitted, at the end of the goroutine that served.
func (in *inbound) remove(s network.Stream) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.forget(s.Conn().RemotePeer(), s)
	in.done.Done()
}

// reset ends every stream that is being served. It does not wait for that: the
// reset of a stream can block while its peer does not read.
func (in *inbound) reset() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, streams := range in.perPeer {
		for s := range streams {
			go func() { _ = s.Reset() }()
		}
	}
}

// close ends every stream, and admits no more.
func (in *inbound) close() {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	in.reset()
}

// len returns how many streams are being served.
func (in *inbound) len() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.total
}
