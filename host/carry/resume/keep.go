package resume

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	msmux "github.com/multiformats/go-multistream"
)

const (
	connectTimeout = 30 * time.Second // of Config.Connect

	// A stream without a path looks for one again after firstPause, and then after up to
	// maxPause; one that is relayed looks for a direct path again after up to maxRelayed.
	firstPause = 250 * time.Millisecond
	maxPause   = 5 * time.Second
	maxRelayed = 5 * time.Minute

	// lookLater is how long the side that accepted a stream leaves it to the other side to
	// come back, before it looks for the other side itself.
	lookLater = time.Second

	// lingering is how long a stream that is done waits for the other side to know it.
	lingering = 30 * time.Second
)

// keep keeps the stream on the best path, until the stream is over. The side that has opened
// the stream attaches it to paths; both sides look for the other one.
func (s *Stream) keep() {
	defer s.endpoint.forget(s)
	defer s.awaitHeard()
	defer s.endpoint.leave(s)
	attach, look := pauses{limit: maxPause}, pauses{limit: maxPause}
	if !s.opener {
		look.until = time.Now().Add(lookLater)
	}
	var had Path
	for {
		path, news, over := s.progress()
		if over {
			return
		}
		if news {
			attach = pauses{limit: maxPause}
		}
		if path != had { // what was in vain before is tried again
			had = path
			attach, look = pauses{limit: maxPause}, pauses{limit: maxPause}
			switch {
			case path == PathRelayed:
				look.limit = maxRelayed
				look.next() // the dial that has led here may still end in a punched hole
			case path == PathNone && !s.opener:
				look.until = time.Now().Add(lookLater)
			}
		}
		now := time.Now()
		wake := now.Add(maxRelayed)
		if s.opener && s.hasBetter(path) {
			if !now.Before(attach.until) {
				s.failed(s.attach())
				attach.next()
				continue
			}
			wake = attach.until
		}
		if path != PathDirect {
			if !now.Before(look.until) {
				s.look()
				look.next()
			}
			wake = earlier(wake, look.until)
		}
		s.rest(earlier(wake, s.due(now)))
	}
}

// earlier returns the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// pauses are the growing pauses between attempts.
type pauses struct {
	limit, last time.Duration
	until       time.Time
}

// next begins the next pause.
func (p *pauses) next() {
	p.last = min(p.limit, max(firstPause, 2*p.last))
	p.until = time.Now().Add(p.last*3/4 + rand.N(p.last/2)) // both sides look at different times
}

// progress returns how the stream is connected, and whether there is another connection since
// the last call. It ends the stream if its time is over.
func (s *Stream) progress() (path Path, news, over bool) {
	path = s.Status().Path
	s.mu.Lock()
	defer s.mu.Unlock()
	news, s.news = s.news, false
	away := time.Since(s.since)
	switch {
	case s.over:
	case s.path != nil:
		s.path.mayCarry()
		s.toSend.Broadcast()
	case s.isDone() && away >= s.endpoint.cfg.linger:
		s.end(nil)
	case s.endpoint.cfg.Patience > 0 && away >= s.endpoint.cfg.Patience:
		s.end(&LostError{s.peer, int64(s.out.size()), s.why})
	}
	return path, news, s.over
}

// due returns when progress has something to do.
func (s *Stream) due(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now.Add(maxRelayed)
	switch {
	case s.path == nil:
		if s.endpoint.cfg.Patience > 0 {
			at = earlier(at, s.since.Add(s.endpoint.cfg.Patience))
		}
		if s.isDone() {
			at = earlier(at, s.since.Add(s.endpoint.cfg.linger))
		}
	case s.path.first >= 0:
		at = earlier(at, s.path.began.Add(s.endpoint.cfg.hold))
	}
	return at
}

// rest waits until a time, or until something has changed.
func (s *Stream) rest(until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-s.poked:
	case <-timer.C:
	case <-s.ctx.Done():
		s.fail(ErrClosed) // the endpoint is closed, unless the stream is over
	}
}

// awaitHeard waits until the other side has heard that fail has ended the stream, or up to a
// second: a host that is closed at once may not send it any more.
func (s *Stream) awaitHeard() {
	s.failing.Wait()
	if s.lastPath == nil {
		return
	}
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(s.endpoint.ctx, "end"), closeTimeout)
	defer cancel()
	on, err := s.lastPath.on.Conn().NewStream(ctx)
	if err != nil {
		return
	}
	defer func() { _ = on.Reset() }()
	until, _ := ctx.Deadline()
	_ = on.SetDeadline(until)
	_ = msmux.SelectProtoOrFail(ping.ID, on) // an answer comes after what was sent before
}

// hasBetter reports whether there is a connection that is better than the path.
func (s *Stream) hasBetter(path Path) bool {
	return path != PathDirect && s.endpoint.hasConn(s.peer, path == PathRelayed)
}

// look connects to the other side, in the background.
func (s *Stream) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looking || s.over {
		return
	}
	s.looking = true
	s.endpoint.running.Go(func() { // keep is one of running itself
		ctx, cancel := context.WithTimeout(s.ctx, connectTimeout)
		defer cancel()
		err := s.endpoint.cfg.Connect(ctx, s.peer)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.looking = false
		if err != nil && s.path == nil {
			s.why = err
		}
		s.poke()
	})
}

// failed notes that the stream was not attached. Some errors end it.
func (s *Stream) failed(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	gone, full := errors.Is(err, ErrGone), errors.Is(err, ErrFull)
	switch {
	case gone && s.isDone():
		s.end(nil)
	case gone, full && !s.begun, errors.Is(err, errProtocol), !s.begun && isUnsupported(err):
		s.end(err)
	case s.path == nil:
		s.why = err
	}
}

// attach opens a path on the best connection that there is.
func (s *Stream) attach() error {
	ctx := network.WithNoDial(network.WithAllowLimitedConn(s.ctx, "resume"), "resume")
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	on, err := s.endpoint.host.NewStream(ctx, s.peer, s.endpoint.protocol)
	if err != nil {
		return err
	}
	_ = on.SetDeadline(time.Now().Add(helloTimeout))
	defer context.AfterFunc(s.ctx, func() { _ = on.ResetWithError(codeReset) })()
	p, err := s.greet(on)
	if err != nil {
		_ = on.Reset()
		return err
	}
	p.run()
	return nil
}

// greet agrees with the other side on a path.
func (s *Stream) greet(on network.Stream) (*path, error) {
	s.mu.Lock()
	h := hello{!s.begun, s.id, s.in.end, int64(s.endpoint.cfg.Window)}
	s.mu.Unlock()
	if _, err := on.Write(h.bytes()); err != nil {
		return nil, err
	}
	w, err := readWelcome(on)
	if err != nil {
		return nil, err
	}
	switch w.answer {
	case answerGone:
		return nil, ErrGone
	case answerFull:
		return nil, ErrFull
	case answerYes:
	}
	p := newPath(s, on, w.window)
	_, err = s.adopt(p, w.got)
	if err != nil {
		return nil, fmt.Errorf("attaching: %w", err)
	}
	return p, nil
}

// isUnsupported reports whether the other side does not speak the protocol.
func isUnsupported(err error) bool { return errors.Is(err, msmux.ErrNotSupported[lprotocol.ID]{}) }

// A LostError ends a stream that had no path for Config.Patience.
type LostError struct {
	Peer   peer.ID
	Unread int64 // bytes that were written, and not read by the other side
	Err    error // why there was no path at last; nil if it is not known
}

// Error says what was lost.
func (e *LostError) Error() string {
	text := fmt.Sprintf("resume: no path to %s was found", e.Peer)
	if e.Unread > 0 {
		text += fmt.Sprintf("; %d bytes were not read there", e.Unread)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns why there was no path.
func (e *LostError) Unwrap() error { return e.Err }
