package serve

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/protocol"
)

// maxInboundPerPeer bounds the streams of one peer, so that no peer takes all. Other
// implementations open up to 32 to one peer.
const maxInboundPerPeer = 32

// add admits a stream, or reports that there are too many. When all places are taken,
// the peer that has the most streams loses one.
func (s *Server) add(stream network.Stream, now time.Time) bool {
	from := stream.Conn().RemotePeer()
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.perPeer[from]
	if s.closed || len(own) >= maxInboundPerPeer || s.total >= s.cfg.MaxInbound && !s.evict(len(own)) {
		return false
	}
	if own == nil {
		own = make(map[network.Stream]time.Time)
		s.perPeer[from] = own
	}
	own[stream] = now
	s.total++
	s.done.Add(1)
	return true
}

// evict ends one stream of the peer that has the most: the stream that has been idle
// for longest. It reports false, and ends none, unless that peer has at least two more
// than own.
func (s *Server) evict(own int) bool {
	var most peer.ID
	for id, streams := range s.perPeer {
		if len(streams) > len(s.perPeer[most]) {
			most = id
		}
	}
	if len(s.perPeer[most]) <= own+1 {
		return false
	}
	var idle network.Stream
	for stream, since := range s.perPeer[most] {
		if idle == nil || since.Before(s.perPeer[most][idle]) {
			idle = stream
		}
	}
	s.forget(most, idle)
	go resetBusy(idle)
	return true
}

// resetBusy ends a stream to make room. It can block while the peer does not read, and
// ends with the connection at the latest, so the Server does not wait for it.
func resetBusy(stream network.Stream) { _ = stream.ResetWithError(kaderr.CodeBusy) }

// active records that a stream has brought a request.
func (s *Server) active(stream network.Stream, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own := s.perPeer[stream.Conn().RemotePeer()]; !own[stream].IsZero() {
		own[stream] = now
	}
}

// forget takes a stream out of the set, with the lock held.
func (s *Server) forget(from peer.ID, stream network.Stream) {
	own := s.perPeer[from]
	if _, ok := own[stream]; !ok {
		return
	}
	delete(own, stream)
	s.total--
	if len(own) == 0 {
		delete(s.perPeer, from)
	}
}

// remove takes back what add admitted, at the end of the goroutine that served.
func (s *Server) remove(stream network.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(stream.Conn().RemotePeer(), stream)
	s.done.Done()
}

// Reset ends all streams that are being served. It does not wait for that, because the
// reset of a stream can block while its peer does not read.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, streams := range s.perPeer {
		for stream := range streams {
			go func() { _ = stream.Reset() }()
		}
	}
}

// Close ends all streams, and has Handle refuse new ones.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Reset()
}

// Done returns the goroutines that serve, for [tasks.Group.Wait]. Call Close first.
func (s *Server) Done() *sync.WaitGroup { return &s.done }

// Len returns how many streams are being served.
func (s *Server) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Stats are the requests that were answered since the Server was made, by kind, and
// the streams that were reset.
type Stats struct {
	FindNode, GetValue, PutValue, GetProviders, AddProvider, Ping uint64

	Refused uint64 // streams reset: too many, malformed, or a refused record
}

// Stats returns how many requests were answered and refused.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// answered counts a request that was answered.
func (s *Server) answered(req protocol.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch req.(type) {
	case protocol.FindNode:
		s.stats.FindNode++
	case protocol.GetValue:
		s.stats.GetValue++
	case protocol.PutValue:
		s.stats.PutValue++
	case protocol.GetProviders:
		s.stats.GetProviders++
	case protocol.AddProvider:
		s.stats.AddProvider++
	case protocol.Ping:
		s.stats.Ping++
	}
}

// refused counts a stream that is reset.
func (s *Server) refused() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Refused++
}
