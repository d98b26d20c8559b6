package serve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

const (
	// serviceName is the name of the service for the resource manager of the host.
	serviceName = "kad"

	// maxRequest bounds the memory that a peer can take per stream: the largest
	// request is a record with its key.
	maxRequest = protocol.MaxValue + 64<<10
)

// A Config has the rooms that a Server uses, and its settings.
type Config struct {
	Holder     *holder.Holder
	Table      *table.Table
	Tasks      *tasks.Group // its end ends the work on requests
	K          int
	MaxInbound int                // streams served at a time
	Asked      func(network.Conn) // called after requests of the connection, at most every few seconds of a stream; must not block
	Observer   *observe.Observer

	// OnRequest, if not nil, is called before a request of a connection is handled. An error
	// refuses it.
	OnRequest func(network.Conn, protocol.Request) error
}

// A Server answers the requests of other peers. It is safe for concurrent use.
type Server struct {
	cfg Config

	mu      sync.Mutex
	streams map[*inbound]struct{}
	shares  map[peer.ID]*share // of each peer that has a stream
	memory  int                // bytes that the streams have reserved
	queue   queue
	pressed pace // of peers that press
	used    accounts
	closed  bool
	limits  Limits
	done    sync.WaitGroup // the goroutines that serve

	buffers sync.Pool        // of *buffers
	rooms   sync.Pool        // of *room
	times   observe.Requests // of requests, until the answer was ready, by table.Outcome

	traffic observe.Traffic
	refused atomic.Uint64 // requests: a stream too many, a malformed one, or a refused record
}

// New returns a Server.
func New(cfg Config) *Server {
	return &Server{
		cfg: cfg, streams: make(map[*inbound]struct{}), shares: make(map[peer.ID]*share),
		queue:   newQueue(),
		pressed: pace{queue: queue{places: 1}, share: pressedShare, burst: pressedBurst},
		buffers: sync.Pool{New: func() any { return &buffers{reader: bufio.NewReader(nil)} }},
		rooms:   sync.Pool{New: func() any { return newRoom(cfg.K) }},
	}
}

// Handle answers the requests of one stream, one after the other, until the stream
// ends, is idle for a minute, or breaks the rules. It is a [network.StreamHandler].
func (s *Server) Handle(stream network.Stream) { s.handle(stream, false) }

// HandleMany is Handle for a stream on which each message has many requests that store
// something.
func (s *Server) HandleMany(stream network.Stream) { s.handle(stream, true) }

// handle is Handle, or HandleMany.
func (s *Server) handle(stream network.Stream, many bool) {
	now := time.Now()
	in := s.add(stream, now)
	if in == nil {
		s.refused.Add(1)
		_ = stream.ResetWithError(kaderr.CodeBusy)
		return
	}
	defer s.remove(in)
	in.many = many
	if err := stream.Scope().SetService(serviceName); err != nil {
		_ = stream.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	buf := s.buffers.Get().(*buffers)
	defer s.free(buf)
	buf.limits = deadlines{stream: stream, node: s.cfg.Tasks.Context()}
	buf.reader.Reset(&in.counted)
	buf.reserve = func(size int) error { return s.reserve(in, size) }
	buf.from = holder.From{ID: in.peer, At: scope.OfConn(stream.Conn()), Last: &buf.last}
	for {
		var err error
		if now, err = s.serveOne(in, buf, now); err != nil {
			s.fail(in, err)
			return
		}
		if now.IsZero() {
			_ = stream.Close()
			return
		}
	}
}

// fail ends a stream with an error.
func (s *Server) fail(in *inbound, err error) {
	code := kaderr.CodeOf(err)
	log.Debugw("stream reset", "peer", in.peer, "error", err, "code", code)
	if !left(err) {
		s.refused.Add(1)
	}
	_ = in.stream.ResetWithError(code)
}

// serveOne reads one request, on a stream that is idle since a time, and writes its answer.
// It returns when the answer was ready; the zero time if the other side has no more.
func (s *Server) serveOne(in *inbound, buf *buffers, idle time.Time) (ready time.Time, err error) {
	buf.limits.reading(idle)
	if _, err = buf.reader.Peek(1); kaderr.TimedOut(err) {
		return time.Time{}, fmt.Errorf("%w: %w", errIdle, err)
	}
	msg, err := protocol.ReadFrameWithin(buf.reader, buf.request, maxRequest, buf.reserve)
	if errors.Is(err, io.EOF) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	buf.request = reusable(msg)
	var requests [][]byte // of a message that has many
	if in.many {
		if requests, err = protocol.SplitMany(msg); err != nil {
			return time.Time{}, err
		}
	}
	now := time.Now()
	s.active(in, now, max(1, len(requests)), buf.reader.Buffered())
	defer s.idle(in)
	var answer []byte
	if in.many {
		answer, ready, err = s.respondMany(in, requests, buf, now)
	} else {
		answer, ready, err = s.respond(in, msg, buf, now)
	}
	if err == nil && answer != nil {
		buf.limits.writing(ready)
		if _, err := in.counted.Write(answer); err != nil {
			return ready, fmt.Errorf("%w: %w", errLeft, err)
		}
	}
	if err == nil && len(msg)+len(answer) > maxReused {
		err = buf.reserve(0)
	}
	return ready, err
}

// respond answers the request of a frame, which was read now, when it has its turn. It returns
// the frame of the answer, which is nil if there is none, and when it was ready.
func (s *Server) respond(in *inbound, msg []byte, buf *buffers, now time.Time) (answer []byte, ready time.Time, err error) {
	if now, err = s.wait(in, &buf.limits, now); err != nil {
		return nil, now, err
	}
	ready = now
	req, err := buf.parser.Parse(msg) // a copy
	switch {
	case err != nil:
	case in.many && !stores(req):
		err = errNoStore
	default:
		answer, ready, err = s.answer(in, req, len(msg), buf, now)
	}
	s.served(in, now, ready)
	return answer, ready, err
}

// answer answers a request that came in so many bytes, and was read now. It returns the frame of
// the answer, which is nil if there is none, and when it was ready.
func (s *Server) answer(in *inbound, req protocol.Request, size int, buf *buffers, now time.Time) (answer []byte, ready time.Time, err error) {
	ctx, traced := s.span(buf.limits.of(req, now), in.peer, req)
	room := s.rooms.Get().(*room)
	defer s.rooms.Put(room)
	var reply Reply
	if err = s.allow(in.stream.Conn(), req); err == nil {
		reply, err = s.reply(ctx, room, &buf.from, req, now)
	}
	ready = time.Now()
	s.times.Add(req, uint8(outcomeOf(err)), ready.Sub(now)) // a refusal is counted when the stream is reset
	if traced != nil {
		traced(err)
	}
	if err != nil {
		return nil, ready, err
	}
	if buf.limits.noticing(now) {
		s.cfg.Asked(in.stream.Conn())
	}
	if _, add := req.(protocol.AddProvider); add || in.many {
		return nil, ready, nil // it has no answer of its own
	}
	answer, err = buf.encode(size, req, reply)
	return answer, ready, err
}

// stores reports whether a request stores something.
func stores(req protocol.Request) bool {
	switch req.(type) {
	case protocol.PutValue, protocol.AddProvider:
		return true
	default:
		return false
	}
}

// span begins a span for a request of a peer, and returns what ends it. Without a Tracer, there
// is none, and that is nil.
func (s *Server) span(ctx context.Context, from peer.ID, req protocol.Request) (context.Context, func(error)) {
	if !s.cfg.Observer.Traced() {
		return ctx, nil
	}
	ctx, end := s.cfg.Observer.Span(ctx, "kad.serve", slog.String("kad.type", observe.KindOf(req)), slog.String("kad.peer", from.String()))
	return ctx, func(err error) { end(err, slog.String("kad.outcome", outcomeOf(err).String())) }
}

// outcomeOf returns what became of a request of a peer, by its error.
func outcomeOf(err error) table.Outcome {
	if err != nil {
		return table.Refused
	}
	return table.Answered
}

// allow returns why Config.OnRequest refuses a request; nil if it does not.
func (s *Server) allow(conn network.Conn, req protocol.Request) error {
	if s.cfg.OnRequest == nil {
		return nil
	}
	if err := s.cfg.OnRequest(conn, req); err != nil {
		return fmt.Errorf("%w: %w", kaderr.ErrForbidden, err)
	}
	return nil
}

// A Reply is the answer to a request, its peers encoded already.
type Reply struct {
	Records   []protocol.Record // the best one first
	Closer    []protocol.EncodedPeer
	Providers []protocol.EncodedPeer
}

// size returns about how many bytes the frame of a reply has.
func (r Reply) size() (bytes int) {
	for _, rec := range r.Records {
		bytes += len(rec.Key) + len(rec.Value)
	}
	for _, peers := range [][]protocol.EncodedPeer{r.Closer, r.Providers} {
		for _, p := range peers {
			bytes += len(p.Wire)
		}
	}
	return bytes
}

// Answer handles one request that arrived just now. It needs no stream.
func (s *Server) Answer(ctx context.Context, from holder.From, req protocol.Request, now time.Time) (Reply, error) {
	return s.reply(ctx, newRoom(s.cfg.K), &from, req, now)
}

// A room is where a Reply has its peers: requests share a few of them.
type room struct {
	contacts          []routing.Contact
	closer, providers []protocol.EncodedPeer
}

// newRoom returns a room for k contacts, the requester, and a peer that is looked for.
func newRoom(k int) *room {
	return &room{contacts: make([]routing.Contact, 0, k+2), closer: make([]protocol.EncodedPeer, 0, k+1)}
}

// reply is Answer with the room of the Reply.
func (s *Server) reply(ctx context.Context, in *room, from *holder.From, req protocol.Request, now time.Time) (Reply, error) {
	switch req := req.(type) {
	case protocol.FindNode:
		return Reply{Closer: s.closerTo(in, from, req.Target, true)}, nil
	case protocol.GetValue:
		records, err := s.cfg.Holder.Records(ctx, req.Key, now)
		return Reply{Records: records, Closer: s.closerTo(in, from, req.Key, false)}, err
	case protocol.GetProviders:
		providers, err := s.cfg.Holder.Providers(ctx, in.providers[:0], *from, req.Key, now)
		in.providers = providers
		return Reply{Providers: providers, Closer: s.closerTo(in, from, req.Key, false)}, err
	case protocol.Ping:
		return Reply{}, nil
	case protocol.PutValue:
		return Reply{}, s.cfg.Holder.Store(ctx, now, from.ID, holder.RecordsIn(req)...)
	case protocol.AddProvider:
		return Reply{}, s.cfg.Holder.Announced(ctx, *from, req, now)
	default:
		return Reply{}, fmt.Errorf("kad: request %T has no handler", req)
	}
}

// closerTo returns the k contacts closest to a preimage, closest first, without the
// requester and without us. If the preimage is the ID of a peer and we know its
// addresses, that peer comes first, besides the k: whether it serves or not, and even if
// it is the requester or us. That is how peers that do not serve are found.
//
// Spec: libp2p kad-dht, "Peer routing".
func (s *Server) closerTo(in *room, from *holder.From, preimage []byte, isPeer bool) []protocol.EncodedPeer {
	peers := in.closer[:0]
	room := s.cfg.K
	target := peer.ID("")
	if isPeer {
		target = peer.ID(preimage)
		if wire := s.cfg.Table.Announcement(target).For(from.At); wire != nil {
			peers = append(peers, s.cfg.Holder.Encoded(target, wire))
			room++
		}
	}
	known := len(peers)
	key := routing.KeyOf(preimage)
	closest := s.cfg.Table.FillClosest(in.contacts, key)
	for most := false; ; most = true {
		for i := range closest { // a Contact is large
			c := &closest[i]
			if c.ID == from.ID || c.ID == target {
				continue
			}
			if wire := announce.Wire(c.Wire).For(from.At); wire != nil && len(peers) < room {
				peers = append(peers, s.cfg.Holder.Encoded(c.ID, wire))
			}
		}
		if most || len(peers) == room || len(closest) < cap(in.contacts) {
			return peers
		}
		peers = peers[:known] // contacts of which the requester can use no address take no place
		closest = s.cfg.Table.Closest(key, math.MaxInt)
	}
}
