package call

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
)

// A Transport is the seam to the network: streams, or a script in tests.
type Transport interface {
	// Dial connects to a peer.
	Dial(ctx context.Context, to peer.ID) error

	// Request asks one peer, which is connected, and returns its answer, without the
	// addresses that the peer cannot know of. The error wraps [kaderr.ErrRefused] if
	// the peer refused.
	Request(ctx context.Context, to peer.ID, req protocol.Request) (protocol.Response, error)

	// Together returns how many requests that store something may be sent to a peer at once:
	// in one message, or on one stream. It is 1 for a peer of which too little is known.
	Together(to peer.ID) (most int, inOne bool)

	// Many sends a peer, which is connected, as many requests that store something as Together
	// allows, and returns what became of each. The error is of all of them, and wraps
	// [kaderr.ErrRefused] if the peer refused one of them, whichever it is.
	Many(ctx context.Context, to peer.ID, reqs []protocol.Request) ([]error, error)
}

// Streams is the Transport of libp2p. A stream has one request at a time. Once a peer is
// asked again, its streams are kept for further requests.
type Streams struct {
	host     lhost.Host
	protocol lprotocol.ID
	many     lprotocol.ID
	pulse    *tasks.Pulse
	idle     idle
	traffic  observe.Traffic
}

// NewStreams returns a Transport that sends requests on streams of a protocol, and many at
// once on streams of another one, to peers that speak it. It calls wake when [Streams.Job]
// has something to do.
func NewStreams(h lhost.Host, id, many lprotocol.ID, pulse *tasks.Pulse, wake func()) *Streams {
	return &Streams{host: h, protocol: id, many: many, pulse: pulse, idle: newIdle(wake)}
}

// Traffic returns how many bytes of messages were received and sent.
func (s *Streams) Traffic() (in, out uint64) { return s.traffic.Bytes() }

// Dial implements [Transport].
func (s *Streams) Dial(ctx context.Context, to peer.ID) error { return Dial(ctx, s.host, to) }

// Request implements [Transport]. If the other side has ended a stream that was kept, or the
// end of the request may have met the answer, it asks once more, on a new stream.
//
// An announcement always has a new stream: the end of the stream is its answer, and the
// end of a stream that was kept may have been on its way before.
func (s *Streams) Request(ctx context.Context, to peer.ID, req protocol.Request) (protocol.Response, error) {
	_, announces := req.(protocol.AddProvider)
	if !announces {
		if kept := s.idle.take(to); kept != nil {
			resp, err := s.exchange(ctx, kept, req)
			if !kept.lost(err) || ctx.Err() != nil {
				return resp, err
			}
		}
	}
	for again := !announces; ; again = false {
		on, err := s.begin(ctx, to, s.protocol)
		if err != nil {
			return protocol.Response{}, err
		}
		resp, err := s.exchange(ctx, on, req)
		if !again || !on.crossed(err) || ctx.Err() != nil {
			return resp, err
		}
	}
}

// begin opens a stream of a protocol. If this node may have no further one, it closes the
// streams that are kept.
func (s *Streams) begin(ctx context.Context, to peer.ID, id lprotocol.ID) (*stream, error) {
	opened, err := s.open(ctx, to, id)
	if err != nil && errors.Is(err, network.ErrResourceLimitExceeded) && s.idle.free(ctx) { // naming it takes an object
		opened, err = s.open(ctx, to, id)
	}
	if err != nil {
		return nil, err
	}
	return newStream(opened, s.pulse, &s.traffic), nil
}

// exchange writes a request on a stream and reads the answer. Then the stream is kept, or
// it is closed.
func (s *Streams) exchange(ctx context.Context, on *stream, req protocol.Request) (protocol.Response, error) {
	// What blocks on the stream ends with ctx.
	interrupt := context.AfterFunc(ctx, func() { _ = on.Reset() })
	resp, again, err := on.exchange(req)
	again = interrupt() && again
	if on.used && (err == nil && on.slow.Load() || on.mute.Load() || errors.Is(err, errNoAnswer)) {
		s.idle.single(on.peer()) // it does not answer a further request, or not before its end
	}
	switch {
	case err != nil:
		_ = on.Reset()
		return protocol.Response{}, err
	case again && s.idle.keep(on, on.used || s.reusable(on)):
	default:
		_ = on.Close() // all of it was read and written
	}
	return resp, nil
}

// reusable reports whether a stream may be kept: not that of a relayed connection, because a
// direct one mostly comes after it, and not that of mocknet, which has no deadlines.
// Connections of mocknet name no transport.
func (s *Streams) reusable(on *stream) bool {
	c := on.Conn()
	return c.ConnState().Transport != "" && !scope.Relayed(c) && !tasks.Pending(identified(s.host, c)) && !answersOnce(s.host, c.RemotePeer())
}

// errNoAnswer is the refusal of a peer that ends the stream.
var errNoAnswer = fmt.Errorf("%w: it closed the stream without an answer", kaderr.ErrRefused)

// maxKept is the largest buffer that a stream keeps while it is idle: most messages fit.
const maxKept = 8 << 10

// A stream is one stream to a peer, with what its requests share. It has one request at a
// time, and belongs to the goroutine of that.
type stream struct {
	observe.Counted

	at    scope.Scope
	r     *bufio.Reader
	buf   []byte // of a request, and then of its answer
	pulse *tasks.Pulse
	timer *time.Timer  // runs late; see halfClose
	waits atomic.Int64 // for how long, as a time.Duration
	used  bool         // an earlier request was answered
	old   bool         // it was idle at the last sweep; guarded by the lock of idle
	slow  atomic.Bool  // the writing side was ended because there was no answer
	mute  atomic.Bool  // it was given up because there was none even then
}

func newStream(opened network.Stream, pulse *tasks.Pulse, traffic *observe.Traffic) *stream {
	s := &stream{Counted: traffic.Of(opened), pulse: pulse, at: scope.OfConn(opened.Conn())}
	s.r = bufio.NewReader(s)
	return s
}

func (s *stream) peer() peer.ID { return s.Conn().RemotePeer() }

// exchange writes a request and reads the answer. It reports whether the stream can have
// another request: the whole answer was read, nothing came after it, and neither side has
// ended it.
func (s *stream) exchange(req protocol.Request) (resp protocol.Response, again bool, err error) {
	add, announces := req.(protocol.AddProvider)
	if announces {
		req = announce.RestrictAll(add, s.at)
	}
	frame := protocol.AppendRequestFrame(s.buf[:0], req)
	if _, err := s.Write(frame); err != nil {
		return resp, false, s.failure(err)
	}
	if announces {
		if err := s.CloseWrite(); err != nil {
			return resp, false, s.failure(err)
		}
		return resp, false, s.readEnd()
	}
	s.halfClose()
	msg, err := protocol.ReadFrameInto(s.r, frame[:0], protocol.MaxResponse(req))
	inTime := s.timer.Stop() && !s.slow.Load()
	if err != nil {
		return resp, false, s.noAnswer(err)
	}
	resp, err = protocol.ParseResponse(req, msg)
	if err != nil {
		return protocol.Response{}, false, err
	}
	if s.buf = msg; cap(msg) > maxKept {
		s.buf = nil
	}
	for _, list := range [][]protocol.Peer{resp.Closer, resp.Providers} {
		for i := range list {
			list[i] = announce.Restrict(list[i], s.at)
		}
	}
	return resp, inTime && s.r.Buffered() == 0, nil
}

// lost reports whether an error says that the other side has ended a stream that was kept,
// or does not serve it, and nothing about the request. A refusal with a reason is an answer,
// except that the peer was busy: it has ended the stream to serve other peers.
func (s *stream) lost(err error) bool {
	if err == nil {
		return false
	}
	reset, ok := errors.AsType[*network.StreamError](err)
	return s.mute.Load() || ok && reset.Remote || errors.Is(err, errNoAnswer) || errors.Is(err, kaderr.ErrBusy)
}

// failure returns what an error of the stream says about the request.
func (s *stream) failure(err error) error {
	if saysEnded(err) {
		_ = s.Conn().Close() // which the next stream would be opened on
	}
	if s.Conn().IsClosed() {
		return fmt.Errorf("%w: %w", errConnEnded, err)
	}
	return kaderr.OfStream(err)
}

// noAnswer is failure for an error that came in place of an answer.
func (s *stream) noAnswer(err error) error {
	if kaderr.Ended(err) && !s.Conn().IsClosed() {
		return errNoAnswer
	}
	return s.failure(err)
}

// readEnd waits until the other side ends the stream. ADD_PROVIDER has no answer: a clean
// end says that the peer has handled it, a reset that it has not.
func (s *stream) readEnd() error {
	if _, err := s.r.ReadByte(); err != nil && !kaderr.Ended(err) {
		return s.failure(err)
	}
	return nil // the end, or an echo, which some implementations send
}
