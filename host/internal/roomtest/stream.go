package roomtest

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// NewStream returns the two ends of a stream in memory, each with its connection. Unlike the
// streams of mocknet, they have deadlines, and codes of resets.
func NewStream(nearConn, farConn network.Conn) (near, far network.Stream) {
	there, back := newOneWay(), newOneWay()
	return &stream{conn: nearConn, in: back, out: there}, &stream{conn: farConn, in: there, out: back}
}

// NewConn returns a connection that says which peer is at its end, at which address, and
// nothing else.
func NewConn(remote peer.ID, addr multiaddr.Multiaddr) network.Conn {
	return &conn{remote: remote, addr: addr}
}

type conn struct {
	network.Conn // nil: what is not implemented is not used

	remote peer.ID
	addr   multiaddr.Multiaddr
}

func (c *conn) RemotePeer() peer.ID                  { return c.remote }
func (c *conn) RemoteMultiaddr() multiaddr.Multiaddr { return c.addr }

// A stream is one end of a stream in memory.
type stream struct {
	network.Stream // nil, like that

	conn    network.Conn
	in, out *oneWay
}

func (s *stream) Conn() network.Conn                { return s.conn }
func (s *stream) Scope() network.StreamScope        { return &network.NullScope{} }
func (s *stream) Read(p []byte) (int, error)        { return s.in.read(p) }
func (s *stream) Write(p []byte) (int, error)       { return s.out.write(p) }
func (s *stream) SetReadDeadline(t time.Time) error { s.in.reading.set(s.in, t); return nil }
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.out.writing.set(s.out, t)
	return nil
}

func (s *stream) CloseWrite() error {
	s.out.end(io.EOF, io.ErrClosedPipe, false)
	return nil
}

func (s *stream) CloseRead() error {
	s.in.end(io.EOF, network.ErrReset, true)
	return nil
}

func (s *stream) Close() error {
	_ = s.CloseWrite()
	return s.CloseRead()
}

func (s *stream) Reset() error { return s.ResetWithError(0) }

func (s *stream) ResetWithError(code network.StreamErrorCode) error {
	local := &network.StreamError{ErrorCode: code}
	remote := &network.StreamError{ErrorCode: code, Remote: true}
	s.out.end(remote, local, true)
	s.in.end(local, remote, true)
	return nil
}

// maxOnWay is how much is on its way before a writer waits.
const maxOnWay = 64 << 10

// oneWay is one direction of a stream.
type oneWay struct {
	mu               sync.Mutex
	changed          *sync.Cond
	buf              []byte
	readErr          error // when buf is empty
	writeErr         error
	reading, writing deadline
}

func newOneWay() *oneWay {
	w := new(oneWay)
	w.changed = sync.NewCond(&w.mu)
	return w
}

// A deadline is that of one side.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) set(w *oneWay, t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d.at = t
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0: // two timers that are due when they are set crash the race detector of Go 1.26, in a bubble
		w.changed.Broadcast()
	default:
		d.timer = time.AfterFunc(left, w.changed.Broadcast)
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (w *oneWay) read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.buf) == 0 {
		if w.readErr != nil {
			return 0, w.readErr
		}
		if w.reading.passed() {
			return 0, os.ErrDeadlineExceeded
		}
		w.changed.Wait()
	}
	n := copy(p, w.buf)
	w.buf = w.buf[:copy(w.buf, w.buf[n:])] // its memory is used again: tests count what is allocated
	w.changed.Broadcast()
	return n, nil
}

func (w *oneWay) write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writeErr == nil && len(w.buf) > maxOnWay {
		if w.writing.passed() {
			return 0, os.ErrDeadlineExceeded
		}
		w.changed.Wait()
	}
	if w.writeErr != nil {
		return 0, w.writeErr
	}
	w.buf = append(w.buf, p...)
	w.changed.Broadcast()
	return len(p), nil
}

// end ends the direction for both sides. The first end counts; a reset counts after a
// regular one too.
func (w *oneWay) end(reader, writer error, drop bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.readErr == nil || drop && errors.Is(w.readErr, io.EOF) {
		w.readErr = reader
	}
	if w.writeErr == nil {
		w.writeErr = writer
	}
	if drop {
		w.buf = nil
	}
	w.changed.Broadcast()
}
