package resume

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"

	"github.com/go-kad/kad/host/carry"
)

const (
	// directPatience is how long a limited path holds data back, for a direct one to come. A
	// punched hole takes under a second in most cases, and 11 to 21 s in the worst.
	directPatience = 10 * time.Second

	// firstOnLimited is how many bytes of data a limited path carries at once, if its relay
	// does not say its limit: a quarter of the 128 KiB that relays have by default.
	firstOnLimited = 32 << 10

	endTimeout = 5 * time.Second // for the other side to end a path, after an orderly end
)

// A path is a stream of libp2p that carries a Stream, until it breaks or another one takes
// over. One goroutine writes to it, and one reads from it.
type path struct {
	stream  *Stream
	on      network.Stream
	relayed bool
	began   time.Time
	window  int64 // of the other side

	// These are guarded by the lock of the stream.
	first    int64 // bytes of data that it carries before directPatience is over; -1: all
	next     int64 // the offset of what is sent next
	readSent int64 // the last offset of kindRead
	endSent  bool
	stopSent bool
	lent     *block // whose bytes are being written; nil: none
}

func newPath(s *Stream, on network.Stream, window int64) *path {
	p := &path{stream: s, on: on, relayed: carry.IsRelayed(on.Conn()), began: time.Now(), first: -1, window: window}
	if stat := on.Conn().Stat(); stat.Limited {
		p.first = firstOnLimited
		if limit, ok := stat.Extra[client.StatLimitData].(uint64); ok && limit > 0 {
			p.first = int64(min(limit, 1<<40)) / 4
		}
	}
	return p
}

// adopt makes p the path of the stream. The other side has received up to the offset got; it
// returns up to where this side has.
func (s *Stream) adopt(p *path, got int64) (here int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return 0, ErrGone
	}
	if got > s.out.end {
		return 0, fmt.Errorf("%w: %d bytes are received of %d", errProtocol, got, s.out.end)
	}
	if before := s.path; before != nil {
		_ = before.on.Reset()
	}
	p.next = max(got, s.out.start) // on the path before, more may have been read since
	s.path, s.since, s.begun, s.window = p, time.Now(), true, p.window
	if p.first >= 0 && s.indirect {
		p.first = -1
	}
	if !p.relayed {
		s.indirect, s.why = false, nil
	}
	s.readDue = s.readTo() > 0
	s.changed()
	s.poke()
	return s.in.end, nil
}

// run carries the stream. It must be called by a goroutine of the endpoint.
func (p *path) run() {
	_ = p.on.SetDeadline(time.Time{})
	running := &p.stream.endpoint.running
	running.Go(func() {
		if err := p.send(); err != nil {
			p.broke(err)
		}
	})
	running.Go(func() { p.broke(p.receive()) })
}

// broke ends the path, and the stream too if the error says so.
func (p *path) broke(err error) {
	s := p.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path != p {
		if s.over && s.err != nil { // the side that gave it up says so, if this comes before its own reset
			_ = p.on.ResetWithError(codeReset)
		} else {
			_ = p.on.Reset()
		}
		return
	}
	s.path, s.since, s.why = nil, time.Now(), err
	ended, reset := errors.AsType[*network.StreamError](err)
	switch {
	case isEnd(err) && s.isDone():
		_ = p.on.Close()
		s.end(nil)
		return
	case reset && ended.Remote && ended.ErrorCode == codeReset:
		s.end(ErrReset)
	case errors.Is(err, errProtocol):
		s.end(err)
	}
	_ = p.on.Reset()
	s.changed()
	s.poke()
}

// isEnd reports whether an error is the orderly end of a stream. The end of a connection
// can be an io.EOF too, with a reset.
func isEnd(err error) bool { return errors.Is(err, io.EOF) && !errors.Is(err, network.ErrReset) }

// send writes what there is to send, until the path is not that of the stream any more, or the
// stream is done.
func (p *path) send() error {
	var head []byte
	for {
		var data []byte
		var done bool
		head, data, done = p.fill(head[:0])
		switch {
		case done:
			_ = p.on.SetReadDeadline(time.Now().Add(endTimeout))
			return p.on.CloseWrite()
		case len(head) == 0:
			return nil
		}
		if len(data) <= smallBlock { // one packet, and not two
			head, data = append(head, data...), nil
		}
		if _, err := p.on.Write(head); err != nil {
			return err
		}
		if _, err := p.on.Write(data); len(data) > 0 && err != nil {
			return err
		}
	}
}

// fill waits until there is something to send. It appends frames to buf, and returns the data
// of the last one. There is none if the stream is done, or another path has taken over.
func (p *path) fill(buf []byte) (frames, data []byte, done bool) {
	s := p.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.lent != nil { // it has been written
		p.lent.lent--
		p.lent = nil
	}
	for s.path == p {
		switch {
		case s.closed && !p.stopSent:
			p.stopSent = true
			buf = frame{kind: kindStop, offset: s.stopAt}.append(buf)
		case !s.closed && s.readDue:
			s.readDue, p.readSent = false, s.readTo()
			buf = frame{kind: kindRead, offset: p.readSent}.append(buf)
		}
		switch {
		case s.stopped:
		case p.next < s.out.end && p.mayCarry():
			data, p.lent = s.out.from(p.next)
			p.lent.lent++
			data = data[:min(len(data), blockSize)]
			if p.first > 0 {
				data = data[:min(int64(len(data)), p.first)]
				p.first -= int64(len(data))
			}
			buf = frame{kindData, p.next, len(data)}.append(buf)
			p.next += int64(len(data))
		case p.next == s.out.end && s.outEnded && !p.endSent:
			p.endSent = true
			buf = frame{kind: kindEnd, offset: s.out.end}.append(buf)
		}
		if len(buf) > 0 || s.isDone() {
			return buf, data, len(buf) == 0
		}
		s.toSend.Wait()
	}
	return nil, nil, false
}

// mayCarry reports whether a limited path carries more now. The lock of the stream is held.
func (p *path) mayCarry() bool {
	if p.first >= 0 && time.Since(p.began) >= p.stream.endpoint.cfg.hold { // keep looks again then
		p.first, p.stream.indirect = -1, true
	}
	return p.first != 0
}

// receive reads frames, until the path ends.
func (p *path) receive() error {
	for {
		f, err := readFrame(p.on)
		if err != nil {
			return err
		}
		b := newBlock(f.size)
		b.data = b.data[:f.size]
		if _, err := io.ReadFull(p.on, b.data); err != nil {
			return err
		}
		if err := p.take(f, b); err != nil {
			return err
		}
	}
}

// errReplaced ends the reading of a path when another one has taken over.
var errReplaced = errors.New("another path has taken over")

// take handles a frame. Its data belong to the stream then.
func (p *path) take(f frame, b *block) error {
	s := p.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path != p {
		return errReplaced
	}
	wrong := func() error { return fmt.Errorf("%w: frame %v", errProtocol, f) }
	switch f.kind {
	case kindData:
		twice := s.in.end - f.offset // bytes that came on the path before, too
		if twice < 0 || s.inEnd >= 0 && f.offset+int64(len(b.data)) > s.inEnd {
			return wrong()
		}
		b.data = b.data[min(twice, int64(len(b.data))):]
		if s.in.size()+len(b.data) > s.endpoint.cfg.Window {
			return wrong()
		}
		s.in.push(b)
		if s.closed {
			s.in.drop(s.in.end)
		}
		s.toRead.Broadcast()
	case kindRead, kindStop:
		over := s.outEnded && f.offset == s.out.end+1
		if f.offset < s.out.start || f.offset > s.out.end && !over {
			return wrong()
		}
		s.outOver = s.outOver || over
		s.out.drop(min(f.offset, s.out.end))
		p.next = max(p.next, s.out.start) // it may have come on the path before
		if f.kind == kindStop {
			s.dropped = s.dropped || s.out.size() > 0
			s.stopped, s.outEnded, s.outOver = true, true, true
			s.out.drop(s.out.end)
			p.next = s.out.end
		}
		s.toWrite.Broadcast()
		if s.isDone() {
			s.toSend.Broadcast()
		}
	case kindEnd:
		if f.offset != s.in.end || s.inEnd >= 0 && s.inEnd != f.offset {
			return wrong()
		}
		s.inEnd = f.offset
		s.changed()
	}
	return nil
}
