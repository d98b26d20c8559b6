package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

// SetStreamHandler makes handler read what peers write to their outlets.
func (c *carrier) SetStreamHandler(id lprotocol.ID, handler network.StreamHandler) {
	c.Host.SetStreamHandler(id, func(s network.Stream) {
		from := s.Conn().RemotePeer()
		in := newInlet(c, s)
		c.mu.Lock()
		c.inlets[from] = in
		c.mu.Unlock()
		handler(in) // until it ends
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.inlets[from] == in {
			delete(c.inlets, from)
		}
	})
}

// carryOn handles a stream that takes over from one that is being read.
func (c *carrier) carryOn(s network.Stream) {
	c.mu.Lock()
	in := c.inlets[s.Conn().RemotePeer()]
	c.mu.Unlock()
	if in == nil || !in.append(s) {
		_ = s.Reset()
		return
	}
	if _, err := s.Write([]byte{1}); err != nil {
		_ = s.Reset() // it stays appended: a move that has failed ends the inlet, if it comes to that
	}
}

// An inlet is a stream that PubSub reads, and what takes over from it: when the first
// stream has been read to its end, the second one is read. What is inherited of Stream
// is that of the first one.
type inlet struct {
	network.Stream
	carrier *carrier
	next    chan network.Stream // buffered, length 1: takes over
	over    chan struct{}       // closed when the inlet has ended

	// These belong to the one who reads.
	in   *bufio.Reader
	rest []byte // of a message

	mu    sync.Mutex
	now   network.Stream
	ended bool
}

func newInlet(c *carrier, s network.Stream) *inlet {
	return &inlet{
		Stream: s, carrier: c, next: make(chan network.Stream, 1), over: make(chan struct{}),
		in: bufio.NewReader(s), now: s,
	}
}

// append lets s be read after the current stream, which has drainTimeout to come to
// its end: the other side has written all of it, but its relay may be dead. It is
// false if PubSub does not read any more.
func (i *inlet) append(s network.Stream) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended {
		return false
	}
	select {
	case old := <-i.next:
		_ = old.Reset() // the other side has given it up, and tries anew
	default:
	}
	i.next <- s
	_ = i.now.SetReadDeadline(time.Now().Add(drainTimeout))
	return true
}

// Read reads whole messages from one stream after the other, so that one that breaks
// in the middle of a message does no harm.
func (i *inlet) Read(p []byte) (int, error) {
	for len(i.rest) == 0 {
		frame, err := readFrame(i.in)
		if err == nil {
			i.rest = frame
		} else if !i.follow(err) {
			return 0, err
		}
	}
	n := copy(p, i.rest)
	i.rest = i.rest[n:]
	return n, nil
}

// isEnd reports whether an error is the orderly end of a stream. The end of a
// connection, which breaks its streams, can be an io.EOF too.
func isEnd(err error) bool { return errors.Is(err, io.EOF) && !errors.Is(err, network.ErrReset) }

// readFrame reads a message with the length in front of it.
func readFrame(in *bufio.Reader) ([]byte, error) {
	size, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	if size > maxFrame {
		return nil, fmt.Errorf("a message of %d bytes: %w", size, errMessageSize)
	}
	frame := binary.AppendUvarint(nil, size)
	head := len(frame)
	frame = append(frame, make([]byte, size)...)
	if _, err := io.ReadFull(in, frame[head:]); err != nil {
		return nil, fmt.Errorf("in the middle of a message: %w", errors.Join(network.ErrReset, err))
	}
	return frame, nil
}

// follow makes the next stream the current one, after an error of that. If the stream
// broke, and there is a direct connection, the next one is about to come. It is false
// if there is none.
func (i *inlet) follow(err error) bool {
	var patience time.Duration
	if !isEnd(err) && isRelayed(i.now.Conn()) && i.carrier.reachesDirectly(i.Conn().RemotePeer()) {
		patience = moveTimeout
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var next network.Stream
	select {
	case next = <-i.next:
	default:
		select {
		case next = <-i.next:
		case <-timer.C:
			return false
		case <-i.over:
			return false
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended {
		_ = next.Reset()
		return false
	}
	if isEnd(err) {
		_ = i.now.Close() // the other side learns from that that all was read
	} else {
		_ = i.now.Reset() // or that it was not
	}
	i.now, i.in = next, bufio.NewReader(next)
	return true
}

// Close ends the inlet.
func (i *inlet) Close() error { return i.end(network.Stream.Close) }

// Reset ends the inlet, and tells the other side. If it broke, or the other side has
// begun another one, and we write on another connection, the two sides disagree: the
// other one has taken us for gone, while PubSub tells only at the beginning of a stream
// who is in the room. So both begin anew.
func (i *inlet) Reset() error {
	err := i.end(network.Stream.Reset)
	i.mu.Lock()
	conn := i.now.Conn()
	i.mu.Unlock()
	i.carrier.mu.Lock()
	out := i.carrier.outlets[conn.RemotePeer()]
	i.carrier.mu.Unlock()
	if out != nil && out.current().Conn() != conn {
		_ = i.carrier.Host.Network().ClosePeer(conn.RemotePeer())
	}
	return err
}

func (i *inlet) end(how func(network.Stream) error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.ended {
		i.ended = true
		close(i.over)
	}
	select {
	case next := <-i.next:
		_ = next.Reset() // in which nobody will read
	default:
	}
	return how(i.now)
}
