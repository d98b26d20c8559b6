package main

import (
	"errors"
	"io"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

// SetStreamHandler makes handler read what peers write to their outlets.
func (c *carrier) SetStreamHandler(id lprotocol.ID, handler network.StreamHandler) {
	c.Host.SetStreamHandler(id, func(s network.Stream) {
		from := s.Conn().RemotePeer()
		in := &inlet{Stream: s, now: s, carrier: c}
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

// An inlet is a stream that PubSub reads, and what takes over from it: when the
// first stream has been read to its end, the second one is read. What is inherited
// of Stream is that of the first one.
type inlet struct {
	network.Stream
	carrier *carrier

	mu    sync.Mutex
	now   network.Stream
	next  network.Stream // nil: there is none
	ended bool
}

// append lets s be read after the current stream. It is false if PubSub does not
// read any more.
func (i *inlet) append(s network.Stream) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended {
		return false
	}
	if i.next != nil {
		_ = i.next.Reset() // the other side has given it up, and tries anew
	}
	i.next = s
	return true
}

// Read reads from one stream after the other. Only the orderly end of one leads to
// the next: otherwise something is missing.
func (i *inlet) Read(p []byte) (int, error) {
	for {
		i.mu.Lock()
		s := i.now
		i.mu.Unlock()
		n, err := s.Read(p)
		if !errors.Is(err, io.EOF) || !i.follow() {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// follow makes the next stream the current one. It is false if there is none.
func (i *inlet) follow() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.next == nil || i.ended {
		return false
	}
	_ = i.now.Close() // the other side learns from that that all was read
	i.now, i.next = i.next, nil
	return true
}

// Close ends the inlet.
func (i *inlet) Close() error { return i.end(network.Stream.Close) }

// Reset ends the inlet, and tells the other side. If it broke with its connection, and
// we write on another one, the two sides disagree: the other one has taken us for gone,
// while PubSub tells only at the beginning of a stream who is in the room. So both
// begin anew.
func (i *inlet) Reset() error {
	err := i.end(network.Stream.Reset)
	i.mu.Lock()
	conn := i.now.Conn()
	i.mu.Unlock()
	if !conn.IsClosed() {
		return err
	}
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
	i.ended = true
	if i.next != nil {
		_ = i.next.Reset() // in which nobody will read
	}
	return how(i.now)
}
