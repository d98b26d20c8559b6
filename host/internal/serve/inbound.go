package serve

import (
	"cmp"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/scope"
)

// maxInboundPerPeer bounds the streams of one peer, so that no peer takes all. Other
// implementations open up to 32 to one peer.
const maxInboundPerPeer = 32

// An inbound is a stream that is served.
type inbound struct {
	stream  network.Stream
	counted observe.Counted // stream
	many    bool            // each of its messages has many requests
	peer    peer.ID
	network string // of the address of its connection, and
	subnet  string // the smaller one in it

	since time.Time // when its last message was read, or the stream began
	busy  int       // requests of it that are being answered, or wait for their turn

	memory int // bytes reserved for its request and its answer

	took     time.Duration // what its last answer took, or counts
	presses  bool          // its peer does not wait for answers
	turn     chan struct{} // not nil: a request waits, in queue; closed when that is over
	queue    *queue
	users    [3]*user // of a request that waits: its networks and its peer in the queue
	known    bool     // its peer was a contact of the table when a request had to wait
	placed   bool     // a request has been given a place among the ones that are answered, at
	placedAt time.Time
}

// add admits a stream; nil says that there are too many. When all places are taken, a
// stream of another peer is ended, if there is one that may be.
func (s *Server) add(stream network.Stream, now time.Time) *inbound {
	in := &inbound{stream: stream, counted: s.traffic.Of(stream), peer: stream.Conn().RemotePeer(), since: now, took: minCost}
	in.locate()
	s.mu.Lock()
	defer s.mu.Unlock()
	mine, all := s.streamsOf(in.peer) >= maxInboundPerPeer, len(s.streams) >= s.cfg.MaxInbound
	if mine || all {
		s.limits.Streams++
	}
	if s.closed || mine || all && !s.evict(in, now) {
		return nil
	}
	s.streams[in] = struct{}{}
	if s.shares[in.peer] == nil {
		s.shares[in.peer] = new(share)
	}
	s.shares[in.peer].streams++
	s.done.Add(1)
	return in
}

// streamsOf returns how many streams a peer has.
func (s *Server) streamsOf(id peer.ID) int {
	if sh := s.shares[id]; sh != nil {
		return sh.streams
	}
	return 0
}

// locate reads in which networks the address of the connection is. A private address says
// nothing: each of its peers counts as a network.
func (in *inbound) locate() {
	addr := in.stream.Conn().RemoteMultiaddr()
	in.network = cmp.Or(scope.Wide(addr), string(in.peer))
	in.subnet = cmp.Or(scope.Group(addr), string(in.peer))
}

// minIdle is how long a stream is idle before it counts as not in use: a request may be on
// its way.
const minIdle = 100 * time.Millisecond

// evict ends one stream to make room for another, and reports whether there was one to end.
//
// The networks with the most streams lose one first, of them the smaller networks in them
// with the most, of them the peers with the most, and of their streams the one that has been
// idle for longest. A stream that is in use is ended only if its network, its smaller network
// or its peer has at least two more than that of the newcomer, or if a stranger has it and
// the newcomer is a contact of the table. Contacts lose none to strangers. For a stranger that
// has more streams than its peer, a stream is in use as long as an answer may take: a large
// request may be arriving, which on a busy machine pauses for longer than minIdle.
func (s *Server) evict(newcomer *inbound, now time.Time) bool {
	networks, subnets := make(map[string]int), make(map[string]int)
	for in := range s.streams {
		networks[in.network]++
		subnets[in.subnet]++
	}
	known := s.cfg.Table.Has(newcomer.peer)
	var victim *inbound
	for in := range s.streams {
		idle := minIdle
		if !known && s.streamsOf(in.peer) < s.streamsOf(newcomer.peer) {
			idle = answerTimeout
		}
		inUse := in.busy > 0 || now.Sub(in.since) < idle
		hasMore := networks[in.network] > networks[newcomer.network]+1 || subnets[in.subnet] > subnets[newcomer.subnet]+1 ||
			s.streamsOf(in.peer) > s.streamsOf(newcomer.peer)+1
		switch {
		case inUse && !hasMore && (!known || s.cfg.Table.Has(in.peer)):
		case victim != nil && !comesFirst(s, networks, subnets, in, victim):
		case !known && s.cfg.Table.Has(in.peer):
		default:
			victim = in
		}
	}
	if victim == nil {
		return false
	}
	s.end(victim)
	return true
}

// comesFirst reports whether in is ended before other.
func comesFirst(s *Server, networks, subnets map[string]int, in, other *inbound) bool {
	return cmp.Or(
		cmp.Compare(networks[other.network], networks[in.network]),
		cmp.Compare(subnets[other.subnet], subnets[in.subnet]),
		cmp.Compare(s.streamsOf(other.peer), s.streamsOf(in.peer)),
		in.since.Compare(other.since),
	) < 0
}

// end ends a stream to make room, with the lock held. The reset can block while the peer does
// not read, and ends with the connection at the latest, so the Server does not wait for it.
func (s *Server) end(in *inbound) {
	s.forget(in)
	go func() { _ = in.stream.ResetWithError(kaderr.CodeBusy) }()
}

// active records that a message of a stream has brought some requests, which are being answered
// until idle, and that so many bytes have arrived behind it.
func (s *Server) active(in *inbound, now time.Time, requests, arrived int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.since = now
	s.setBusy(in, requests)
	in.presses = s.presses(in.peer, arrived)
}

// idle records that the requests of a stream were answered.
func (s *Server) idle(in *inbound) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setBusy(in, 0)
}

// setBusy notes how many requests a stream has, with the lock held. One that was ended has none.
func (s *Server) setBusy(in *inbound, requests int) {
	if s.has(in) {
		s.shares[in.peer].busy += requests - in.busy
	}
	in.busy = requests
}

// forget takes a stream out of the set, with the lock held.
func (s *Server) forget(in *inbound) {
	if _, ok := s.streams[in]; !ok {
		return
	}
	s.setBusy(in, 0)
	delete(s.streams, in)
	s.memory -= in.memory
	in.memory = 0
	if in.turn != nil {
		in.queue.leave(in)
	}
	if sh := s.shares[in.peer]; sh.streams == 1 {
		delete(s.shares, in.peer)
	} else {
		sh.streams--
	}
}

// remove takes back what add admitted, at the end of the goroutine that served.
func (s *Server) remove(in *inbound) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(in)
	s.done.Done()
}

// Reset ends all streams that are being served. It does not wait for that, because the
// reset of a stream can block while its peer does not read.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for in := range s.streams {
		go func() { _ = in.stream.Reset() }()
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
	return len(s.streams)
}

// Times returns how long requests took until their answer was ready, by table.Outcome:
// Answered and Refused.
func (s *Server) Times() *observe.Requests { return &s.times }

// Traffic returns how many bytes of messages were received and sent.
func (s *Server) Traffic() (in, out uint64) { return s.traffic.Bytes() }

// Refused returns how many requests were refused: on a stream too many, malformed, or a record
// that is not taken.
func (s *Server) Refused() uint64 { return s.refused.Load() }

// Limits count how often each bound of a Server was reached.
type Limits struct {
	Streams uint64 // a stream found all places taken, and took that of another one or was reset
	Memory  uint64 // a request or an answer had to have the memory of another one, or none
	Turns   uint64 // a request had no turn in time, and was refused
}

// Limits returns how often each bound was reached.
func (s *Server) Limits() Limits {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limits
}
