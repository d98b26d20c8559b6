package kadtest

import (
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

// window is how many bytes can be written to a stream before the other end reads.
const window = 256 << 10

var errClosed = errors.New("the stream is closed")

// A pair is the two ends of a stream, under one lock.
type pair struct {
	link *link

	mu      sync.Mutex
	ends    [2]stream // the end that opened the stream comes first
	waiting bool      // the stream has not reached the other host, since the link is cut
}

// A stream is one end of a pair. All fields below pair are guarded by its lock.
type stream struct {
	pair  *pair
	other *stream
	conn  *conn
	proto lprotocol.ID

	in          inbox
	reset       time.Time // when the failure below arrives; zero if there is none
	failure     error     // of the stream, as the other end or the link caused it
	own         error     // of the stream, as this end caused it
	readClosed  bool
	writeClosed bool
	readBy      time.Time // the deadlines
	writeBy     time.Time
	waits       waits
	requests    filter // of the end that opened the stream
}

// An inbox is what the other end has written.
type inbox struct {
	chunks []chunk   // in order of arrival
	size   int       // bytes in chunks
	last   time.Time // when the last of all that was sent to this end arrives
	fin    time.Time // when the end of what the other end writes arrives; zero if it goes on
}

// waits wake a reader, and a writer. The channels have length 1, and are made when they
// are waited for.
type waits struct{ data, room chan struct{} }

// A chunk is bytes that one Write has sent.
type chunk struct {
	data []byte
	at   time.Time // of arrival
}

// Read returns bytes that have arrived. It blocks until there are any.
func (s *stream) Read(b []byte) (int, error) {
	for {
		now := time.Now()
		s.pair.mu.Lock()
		n, next, err := s.take(now, b)
		if n > 0 || err != nil || len(b) == 0 {
			if n > 0 && len(s.in.chunks) > 0 {
				poke(s.waits.data) // another reader may wait
			}
			s.pair.mu.Unlock()
			return n, err
		}
		wake := made(&s.waits.data)
		s.pair.mu.Unlock()
		await(wake, now, next)
	}
}

// take is Read without waiting: next is when it may have another result, or zero if
// only another call on the pair changes that.
func (s *stream) take(now time.Time, b []byte) (n int, next time.Time, err error) {
	link := s.pair.link
	switch {
	case s.own != nil:
		return 0, next, s.own
	case s.readClosed:
		return 0, next, errClosed
	case link.arrived(s.reset, now):
		return 0, next, s.failure
	case expired(s.readBy, now):
		return 0, next, os.ErrDeadlineExceeded
	}
	for len(s.in.chunks) > 0 && n < len(b) && link.arrived(s.in.chunks[0].at, now) {
		k := copy(b[n:], s.in.chunks[0].data)
		n += k
		if s.in.chunks[0].data = s.in.chunks[0].data[k:]; len(s.in.chunks[0].data) == 0 {
			s.in.chunks = s.in.chunks[1:]
		}
	}
	if n > 0 {
		s.in.size -= n
		poke(s.other.waits.room)
		return n, next, nil
	}
	if len(s.in.chunks) == 0 && link.arrived(s.in.fin, now) {
		return 0, next, io.EOF
	}
	next = s.readBy
	for _, at := range []time.Time{s.in.fin, s.reset} {
		next = link.earlier(next, at)
	}
	if len(s.in.chunks) > 0 {
		next = link.earlier(next, s.in.chunks[0].at)
	}
	return 0, next, nil
}

// Write sends bytes to the other end. It blocks while the other end has many that it
// has not read.
func (s *stream) Write(b []byte) (int, error) {
	total := len(b)
	b = s.filtered(b)
	for {
		now := time.Now()
		s.pair.mu.Lock()
		n, next, err := s.put(now, b)
		if b = b[n:]; err != nil || len(b) == 0 {
			s.pair.mu.Unlock()
			return total - len(b), err
		}
		wake := made(&s.waits.room)
		s.pair.mu.Unlock()
		await(wake, now, next)
	}
}

// put is Write without waiting, of as many bytes as there is room for.
func (s *stream) put(now time.Time, b []byte) (n int, next time.Time, err error) {
	link, to := s.pair.link, s.other
	switch {
	case s.own != nil:
		return 0, next, s.own
	case s.writeClosed:
		return 0, next, errClosed
	case link.arrived(s.reset, now):
		return 0, next, s.failure
	case expired(s.writeBy, now):
		return 0, next, os.ErrDeadlineExceeded
	case to.readClosed || to.own != nil:
		return len(b), next, nil //nolint:nilerr // the other end is done, and drops them
	}
	if n = min(len(b), window-to.in.size); n > 0 {
		to.in.chunks = append(to.in.chunks, chunk{slices.Clone(b[:n]), to.sent(now)})
		to.in.size += n
		poke(to.waits.data)
	}
	return n, link.earlier(s.writeBy, s.reset), nil
}

// sent returns when something that is sent to this end now arrives: after all that was
// sent before it. The caller holds the lock.
func (s *stream) sent(now time.Time) time.Time {
	if at := now.Add(s.pair.link.delay()); at.After(s.in.last) {
		s.in.last = at
	}
	return s.in.last
}

// CloseWrite ends what this end writes.
func (s *stream) CloseWrite() error {
	defer s.forgetIfDone()
	s.pair.mu.Lock()
	defer s.pair.mu.Unlock()
	return s.closeWrite(time.Now())
}

func (s *stream) closeWrite(now time.Time) error {
	if s.own != nil {
		return s.own
	}
	if !s.writeClosed {
		s.writeClosed = true
		s.other.in.fin = s.other.sent(now)
		poke(s.other.waits.data)
		poke(s.waits.room)
	}
	return nil
}

// CloseRead drops what has arrived, and what will.
func (s *stream) CloseRead() error {
	defer s.forgetIfDone()
	s.pair.mu.Lock()
	defer s.pair.mu.Unlock()
	s.closeRead()
	return nil
}

func (s *stream) closeRead() {
	s.readClosed, s.in.chunks, s.in.size = true, nil, 0
	poke(s.waits.data)
	poke(s.other.waits.room)
}

// Close ends both directions. What was written still arrives.
func (s *stream) Close() error {
	defer s.forgetIfDone()
	s.pair.mu.Lock()
	defer s.pair.mu.Unlock()
	s.closeRead()
	return s.closeWrite(time.Now())
}

// Reset is ResetWithError without a reason.
func (s *stream) Reset() error { return s.ResetWithError(network.StreamNoError) }

// ResetWithError ends both directions at once. The other end learns the code.
func (s *stream) ResetWithError(code network.StreamErrorCode) error {
	s.pair.mu.Lock()
	if !s.done() {
		s.own = &network.StreamError{ErrorCode: code}
		s.in.chunks, s.in.size = nil, 0
		s.wake()
		s.other.fail(s.other.sent(time.Now()), &network.StreamError{ErrorCode: code, Remote: true})
	}
	s.pair.mu.Unlock()
	s.forgetIfDone()
	return nil
}

// fail makes the stream fail with err, from a time on. The first failure counts. The
// caller holds the lock.
func (s *stream) fail(at time.Time, err error) {
	if s.failure == nil {
		s.failure, s.reset = err, at
		s.wake()
	}
}

// lose makes the stream fail at once: its connection has ended.
func (s *stream) lose(err error) {
	s.pair.mu.Lock()
	defer s.pair.mu.Unlock()
	if s.own == nil {
		s.own = err
		s.in.chunks, s.in.size = nil, 0
		s.wake()
	}
}

// wake lets readers and writers look again. The caller holds the lock.
func (s *stream) wake() {
	poke(s.waits.data)
	poke(s.waits.room)
	poke(s.other.waits.room)
}

// forgetIfDone takes the pair out of its link when both ends are done with it.
func (s *stream) forgetIfDone() {
	s.pair.mu.Lock()
	done := s.done() && s.other.done()
	s.pair.mu.Unlock()
	if done {
		s.pair.link.forget(s.pair)
	}
}

// done reports whether this end has been closed or reset. The caller holds the lock.
func (s *stream) done() bool { return s.own != nil || s.readClosed && s.writeClosed }

// SetDeadline sets both deadlines.
func (s *stream) SetDeadline(t time.Time) error {
	_ = s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// SetReadDeadline sets when Read gives up. The zero time means never.
func (s *stream) SetReadDeadline(t time.Time) error {
	s.pair.mu.Lock()
	defer s.pair.mu.Unlock()
	s.readBy = t
	poke(s.waits.data)
	return nil
}

// SetWriteDeadline sets when Write gives up. The zero time means never.
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.pair.mu.Lock()
	defer s.pair.mu.Unlock()
	s.writeBy = t
	poke(s.waits.room)
	return nil
}

// ID returns nothing that is unique: no peer sees it.
func (s *stream) ID() string { return s.conn.ID() }

// Protocol returns the protocol that the stream carries.
func (s *stream) Protocol() lprotocol.ID {
	s.pair.mu.Lock()
	defer s.pair.mu.Unlock()
	return s.proto
}

// SetProtocol sets what Protocol returns.
func (s *stream) SetProtocol(id lprotocol.ID) error {
	s.pair.mu.Lock()
	defer s.pair.mu.Unlock()
	s.proto = id
	return nil
}

// Stat says which end has opened the stream.
func (s *stream) Stat() network.Stats {
	if s == &s.pair.ends[0] {
		return network.Stats{Direction: network.DirOutbound}
	}
	return network.Stats{Direction: network.DirInbound}
}

// Conn returns the connection of the stream.
func (s *stream) Conn() network.Conn { return s.conn }

// Scope returns a scope without limits.
func (s *stream) Scope() network.StreamScope { return &network.NullScope{} }

// made returns a channel of length 1, and makes it if there is none.
func made(c *chan struct{}) chan struct{} {
	if *c == nil {
		*c = make(chan struct{}, 1)
	}
	return *c
}

// poke wakes the goroutine that waits on c, if one does.
func poke(c chan struct{}) {
	if c == nil {
		return
	}
	select {
	case c <- struct{}{}:
	default:
	}
}

// await returns when wake is poked, or at a time; the zero time means never.
func await(wake chan struct{}, now, until time.Time) {
	if until.IsZero() {
		<-wake
		return
	}
	timer := time.NewTimer(until.Sub(now))
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	}
}

// expired reports whether a deadline is over.
func expired(deadline, now time.Time) bool { return !deadline.IsZero() && !now.Before(deadline) }
