package resume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A Stream is a stream of bytes in both directions between two peers, which goes on when the
// connections between them change. It is a [net.Conn]. Its methods are safe for concurrent
// use.
type Stream struct {
	endpoint *Endpoint
	peer     peer.ID
	id       id
	opener   bool          // this side attaches the stream to paths
	poked    chan struct{} // buffered, length 1: keep is to look again
	ctx      context.Context
	stop     context.CancelFunc // called when the stream is over
	failing  sync.WaitGroup     // fail resets lastPath
	lastPath *path              // that of a stream which fail has ended; nil: it had none

	mu      sync.Mutex
	toRead  *sync.Cond // Read waits
	toWrite *sync.Cond // Write, Flush and Open wait
	toSend  *sync.Cond // the path waits
	begun   bool       // both sides know the stream
	err     error      // why it has ended; nil: it goes on
	over    bool       // it has ended, orderly or not: keep returns
	closed  bool       // Close was called

	// What is sent.
	out      queue // written, and not read by the other side
	outEnded bool  // nothing more is written
	outOver  bool  // the other side has read it all, or reads no more
	stopped  bool  // because the other side reads no more
	dropped  bool  // and has not read all
	writable deadline

	// What is received.
	in      queue // received, and not read
	inEnd   int64 // where it ends; -1: not known yet
	inOver  bool  // the end has been read, or nothing more is read
	stopAt  int64 // where nothing more was read; see readTo
	readDue bool  // the other side is to be told how far the application has read

	readTimer *time.Timer // makes readDue true; nil: none runs
	readable  deadline

	path     *path // nil: there is none
	since    time.Time
	why      error // there is no path, or none that is better
	looking  bool  // Config.Connect runs
	news     bool  // there is another connection to the peer
	indirect bool  // a direct connection was waited for in vain
	window   int64 // of the other side
}

func (e *Endpoint) newStream(id peer.ID) *Stream {
	s := &Stream{endpoint: e, peer: id, poked: make(chan struct{}, 1), inEnd: -1, since: time.Now(), window: defaultWindow}
	s.ctx, s.stop = context.WithCancel(e.ctx)
	s.toRead, s.toWrite, s.toSend = sync.NewCond(&s.mu), sync.NewCond(&s.mu), sync.NewCond(&s.mu)
	return s
}

// changed lets all that waits look again. The lock is held.
func (s *Stream) changed() {
	s.toRead.Broadcast()
	s.toWrite.Broadcast()
	s.toSend.Broadcast()
}

// Peer returns the peer at the other side.
func (s *Stream) Peer() peer.ID { return s.peer }

// Errors of streams.
var (
	// ErrReset is returned when one of both sides has given the stream up.
	ErrReset = errors.New("resume: the stream was reset")

	// ErrGone is returned when the other side does not know the stream any more: its program
	// has ended, or had no path for longer than its Config.Patience.
	ErrGone = errors.New("resume: the other side does not know the stream any more")

	// ErrFull is returned when the other side has too many streams.
	ErrFull = errors.New("resume: the other side has too many streams")

	// ErrStopped is returned for what is written when the other side reads no more.
	ErrStopped = errors.New("resume: the other side reads no more")
)

// Write writes to the stream. It returns when all of p is kept: while that is more than the
// window, it waits. What is kept is sent as soon as there is a path, in order and once.
func (s *Stream) Write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.err != nil:
			return n, s.err
		case s.stopped:
			return n, ErrStopped
		case s.outEnded:
			return n, fmt.Errorf("resume: write: %w", net.ErrClosed)
		case len(p) == 0:
			return n, nil
		case s.writable.passed():
			return n, os.ErrDeadlineExceeded
		}
		room := int(min(s.window, int64(s.endpoint.cfg.Window))) - s.out.size()
		if room <= 0 {
			s.toWrite.Wait()
			continue
		}
		part := p[:min(room, len(p))]
		s.out.append(part)
		p, n = p[len(part):], n+len(part)
		s.toSend.Broadcast()
	}
}

// Read reads from the stream. It returns [io.EOF] when the other side has called CloseWrite
// or Close, and all before that was read.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.closed:
			return 0, fmt.Errorf("resume: read: %w", net.ErrClosed)
		case s.readable.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case s.in.size() > 0:
			n := 0
			for n < len(p) && s.in.size() > 0 {
				data, _ := s.in.from(s.in.start)
				part := copy(p[n:], data)
				s.in.drop(s.in.start + int64(part))
				n += part
			}
			s.acknowledge()
			return n, nil
		case s.in.end == s.inEnd:
			s.inOver = true
			s.acknowledge()
			return 0, io.EOF
		case s.err != nil:
			return 0, s.err
		}
		s.toRead.Wait()
	}
}

// readTo is the offset up to which the application has read. The end counts as a byte.
func (s *Stream) readTo() int64 {
	if s.inOver && s.in.end == s.inEnd {
		return s.in.start + 1
	}
	return s.in.start
}

// readDelay is how long what was read is not acknowledged, if it is little: then, more is.
const readDelay = 5 * time.Millisecond

// acknowledge lets the path tell the other side how far the application has read: at once if
// that is much, or all, and after readDelay else. The lock is held.
func (s *Stream) acknowledge() {
	switch {
	case s.path == nil || s.readTo() == s.path.readSent:
	case s.inOver, s.readTo()-s.path.readSent >= int64(s.endpoint.cfg.Window/8):
		s.readDue = true
		s.toSend.Broadcast()
	case s.readTimer == nil:
		s.readTimer = time.AfterFunc(readDelay, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.readTimer, s.readDue = nil, true
			s.toSend.Broadcast()
		})
	}
}

// Flush waits until the other side has read what was written, and has read the end after
// CloseWrite. It returns the error that ends the stream, if that comes first, or the cause of
// ctx.
func (s *Stream) Flush(ctx context.Context) error {
	return s.await(ctx, func() bool { return s.out.size() == 0 && (s.outOver || !s.outEnded) })
}

// await waits until a condition holds, with the lock.
func (s *Stream) await(ctx context.Context, holds func() bool) error {
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed()
	})()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.dropped:
			return ErrStopped
		case holds():
			return nil
		case s.err != nil:
			return s.err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		s.toWrite.Wait()
	}
}

// CloseWrite says that nothing more is written. The other side reads [io.EOF] after what was.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outEnded = true
	s.changed()
	return nil
}

// Close says that nothing more is written or read. What was written is still sent, also later
// while there is no path, as long as the endpoint is open: Flush waits for it. If the other
// side writes on, it fails there with [ErrStopped]. Closing twice is fine.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.stopAt = s.readTo()
	s.closed, s.outEnded, s.inOver = true, true, true
	s.in.drop(s.in.end)
	s.changed()
	return nil
}

// Reset gives the stream up on both sides: what is on its way is lost. After an orderly end,
// it does nothing.
func (s *Stream) Reset() error {
	s.fail(ErrReset)
	return nil
}

// fail ends the stream with an error, unless it has ended, and tells the other side.
func (s *Stream) fail(err error) {
	s.mu.Lock()
	p := s.path
	if p != nil {
		s.lastPath = p
		s.failing.Add(1)
		defer s.failing.Done()
	}
	s.end(err)
	s.mu.Unlock()
	if p != nil {
		_ = p.on.ResetWithError(codeReset)
	}
}

// end ends the stream. Nil is an orderly end. The lock is held.
func (s *Stream) end(err error) {
	if !s.over {
		s.over, s.err, s.path = true, err, nil
		s.out.blocks = nil // nothing is sent any more; what was received can still be read
		s.changed()
		s.stop()
	}
}

// isDone reports whether both directions have been read to their ends. The lock is held.
func (s *Stream) isDone() bool { return s.outOver && s.inOver && (s.closed || s.in.end == s.inEnd) }

// isClosing reports whether the application has closed the stream, which has not ended yet.
func (s *Stream) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.over && (s.closed || s.outEnded && s.inOver)
}

// poke makes keep look at the stream again.
func (s *Stream) poke() {
	select {
	case s.poked <- struct{}{}:
	default:
	}
}

// A Status is how a stream stands.
type Status struct {
	Path  Path
	Since time.Time // of Path

	Written  int64 // bytes that the application has written
	Read     int64 // of them, those that the application at the other side has read
	Received int64 // bytes that have come from the other side

	// Err is why there is no path, or no direct one: the last error of a connection, or nil
	// if none has failed yet; or why the stream has ended.
	Err error
}

// A Path says how a stream is connected.
type Path uint8

// The paths of a stream.
const (
	PathNone    Path = iota // none: the peer is being looked for
	PathRelayed             // through a relay
	PathDirect              // without a relay
)

// String returns none, relayed or direct.
func (p Path) String() string { return [...]string{"none", "relayed", "direct"}[min(p, PathDirect)] }

// Status returns how the stream stands.
func (s *Stream) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := Status{Since: s.since, Written: s.out.end, Read: s.out.start, Received: s.in.end, Err: s.why}
	switch {
	case s.err != nil:
		status.Err = s.err
	case s.path != nil && s.path.relayed:
		status.Path = PathRelayed
	case s.path != nil:
		status.Path = PathDirect
	}
	return status
}

// LocalAddr returns the ID of this peer.
func (s *Stream) LocalAddr() net.Addr { return addr(s.endpoint.host.ID()) }

// RemoteAddr returns the ID of the other peer.
func (s *Stream) RemoteAddr() net.Addr { return addr(s.peer) }

// An addr is a peer ID as an address.
type addr peer.ID

func (addr) Network() string  { return "libp2p" }
func (a addr) String() string { return peer.ID(a).String() }

// SetDeadline sets the deadlines of Read and Write.
func (s *Stream) SetDeadline(t time.Time) error {
	_ = s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// SetReadDeadline sets until when Read waits. The zero time is without an end.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.setDeadline(&s.readable, t) }

// SetWriteDeadline sets until when Write waits. The zero time is without an end.
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.setDeadline(&s.writable, t) }

// A deadline is until when an operation waits.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (s *Stream) setDeadline(d *deadline, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changed()
		})
	}
	s.changed()
	return nil
}
