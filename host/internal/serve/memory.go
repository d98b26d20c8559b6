package serve

import (
	"bufio"
	"cmp"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/protocol"
)

const (
	// maxMemory bounds the memory of requests that arrive and of answers that are written,
	// of all peers together, beyond the first 4 KiB of each stream. It is room for 64 of the
	// largest records at once.
	maxMemory = 64 << 20

	// minFair is how much a stream may have while there are others with more: no request of
	// that size ends another one.
	minFair = 64 << 10
)

const (
	// managedMemory is what the resource manager has to have for maxMemory: it gives the last
	// fifth of a limit to nobody.
	managedMemory = maxMemory / 3 * 4

	// managedPerPeer is what one peer may have of it: that of 24 of the largest records.
	managedPerPeer = 32 << 20

	// managedOutbound bounds the streams on which this node asks: 10 for each of 400 lookups.
	managedOutbound = 4096
)

// AddLimits adds what the streams of a Server need to the limits of a resource manager. Streams
// that are being ended count there too, so there is room for as many as are served, twice.
func AddLimits(limits *rcmgr.ScalingLimitConfig, id lprotocol.ID, maxInbound int) {
	fixed := rcmgr.BaseLimitIncrease{} // whatever memory the machine has
	limit := func(inbound, memory int) rcmgr.BaseLimit {
		return rcmgr.BaseLimit{
			StreamsInbound: inbound, StreamsOutbound: managedOutbound, Streams: inbound + managedOutbound, Memory: int64(memory),
		}
	}
	all, peer := limit(2*maxInbound, managedMemory), limit(2*maxInboundPerPeer, managedPerPeer)
	limits.AddProtocolLimit(id, all, fixed)
	limits.AddProtocolPeerLimit(id, peer, fixed)
	limits.AddServicePeerLimit(serviceName, peer, fixed)
	if before, ok := limits.ServiceLimits[serviceName]; ok { // of another DHT of the host
		all.StreamsInbound += before.BaseLimit.StreamsInbound
		all.StreamsOutbound += before.BaseLimit.StreamsOutbound
		all.Streams += before.BaseLimit.Streams
		all.Memory += before.BaseLimit.Memory
	}
	limits.AddServiceLimit(serviceName, all, fixed)
}

// reserve has a stream have size bytes of memory in all, in the resource manager of the host
// too. When the bytes of all streams are too many, the stream is ended that has the most,
// of the network with the most; if that is the stream itself, the error is [kaderr.ErrBusy].
func (s *Server) reserve(in *inbound, size int) error {
	s.mu.Lock()
	more := size - in.memory
	ok := s.has(in)
	if ok && s.memory+more > maxMemory {
		s.limits.Memory++
	}
	for ok && s.memory+more > maxMemory {
		ok = s.evictLargest(in, size)
	}
	if ok {
		s.memory += more
		in.memory = size
	}
	s.mu.Unlock()
	if !ok {
		return kaderr.ErrBusy
	}
	if more > 0 {
		if err := in.stream.Scope().ReserveMemory(more, network.ReservationPriorityHigh); err != nil {
			s.release(in, more)
			return fmt.Errorf("%w: %w", kaderr.ErrBusy, err)
		}
	} else if more < 0 {
		in.stream.Scope().ReleaseMemory(-more)
	}
	return nil
}

// release takes so many bytes off what a stream has, which the resource manager did not give.
func (s *Server) release(in *inbound, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes = min(bytes, in.memory) // it may have been ended meanwhile
	in.memory -= bytes
	s.memory -= bytes
}

// has reports whether a stream was not ended, with the lock held.
func (s *Server) has(in *inbound) bool {
	_, ok := s.streams[in]
	return ok
}

// evictLargest ends one stream to make room for the memory of another, which is to have size
// bytes, and reports whether there was one to end. The network of addresses with the most
// memory loses first, of it the peer with the most, of that the stream with the most. A
// stream of a contact of the table is not ended for a stranger.
func (s *Server) evictLargest(newcomer *inbound, size int) bool {
	networks, peers := make(map[string]int), make(map[string]int)
	for in := range s.streams {
		networks[in.network] += in.memory
		peers[string(in.peer)] += in.memory
	}
	more := size - newcomer.memory
	networks[newcomer.network] += more
	peers[string(newcomer.peer)] += more
	known := s.cfg.Table.Has(newcomer.peer)
	var victim *inbound
	for in := range s.streams {
		if in == newcomer || in.memory <= minFair || !known && s.cfg.Table.Has(in.peer) {
			continue
		}
		if victim == nil || compareMemory(networks, peers, in, victim) > 0 {
			victim = in
		}
	}
	if victim == nil || size > minFair && compareMemory(networks, peers, newcomer, victim) > 0 &&
		(!known || s.cfg.Table.Has(victim.peer)) {
		return false
	}
	s.end(victim)
	return true
}

// compareMemory compares two streams by the memory of their networks, of their peers, and
// their own.
func compareMemory(networks, peers map[string]int, a, b *inbound) int {
	return cmp.Or(
		cmp.Compare(networks[a.network], networks[b.network]),
		cmp.Compare(peers[string(a.peer)], peers[string(b.peer)]),
		cmp.Compare(a.memory, b.memory),
	)
}

// buffers are what the requests of one stream share, and then those of a later stream. What
// request and answer take is reserved when it is more than they keep.
type buffers struct {
	reader          *bufio.Reader
	request, answer []byte
	reserve         func(size int) error

	limits deadlines
	from   holder.From
	parser protocol.RequestParser
	last   announce.Last
}

// encode returns the frame of the answer to a request of so many bytes. It is good until the next
// one.
func (b *buffers) encode(request int, req protocol.Request, reply Reply) ([]byte, error) {
	if size := request + reply.size(); size > maxReused {
		if err := b.reserve(size); err != nil {
			return nil, err
		}
	}
	answer := protocol.AppendEncodedResponseFrame(b.answer[:0], req, reply.Records, reply.Closer, reply.Providers)
	b.answer = reusable(answer)
	return answer, nil
}

// free ends the use of buffers by a stream. Only their memory is used again.
func (s *Server) free(buf *buffers) {
	buf.limits.end()
	buf.reader.Reset(nil)
	*buf = buffers{reader: buf.reader, request: buf.request, answer: buf.answer}
	s.buffers.Put(buf)
}

// maxReused is the largest buffer that a stream keeps while it is idle: most messages fit.
const maxReused = 8 << 10

// reusable returns a buffer if it is to be kept.
func reusable(buf []byte) []byte {
	if cap(buf) > maxReused {
		return nil
	}
	return buf
}
