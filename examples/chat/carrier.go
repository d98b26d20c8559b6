package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

const (
	// moveProtocol carries on what a stream of PubSub has begun on another
	// connection. The one who writes opens it; the other says with one byte that it
	// will read on here when the first stream has ended.
	moveProtocol lprotocol.ID = "/kad-chat/move/1.0.0"

	moveTimeout  = 5 * time.Second
	moveAttempts = 3
	writeTimeout = 30 * time.Second
)

// A carrier is a host as PubSub is to see it. PubSub talks to nobody to whom there
// are only limited connections, those through relays, and leaves a stream where it
// was opened. A carrier shows it limited connections as connections, and lets its
// streams use them. When a direct connection comes, it moves them there; PubSub
// does not notice, so that nobody leaves the room and nothing has to be said again.
type carrier struct {
	lhost.Host
	ctx     context.Context // of the moves
	stop    context.CancelFunc
	moves   sync.WaitGroup
	changed chan struct{} // buffered, length 1: a connection was opened or closed
	lost    chan struct{} // buffered, length 1: something may not have reached who is still there
	watcher *network.NotifyBundle

	mu      sync.Mutex
	closed  bool
	outlets map[peer.ID]*outlet
	inlets  map[peer.ID]*inlet
}

// newCarrier returns the carrier of a host. It is to be closed before the host.
func newCarrier(host lhost.Host) *carrier {
	c := &carrier{
		Host:    host,
		changed: make(chan struct{}, 1),
		lost:    make(chan struct{}, 1),
		outlets: make(map[peer.ID]*outlet),
		inlets:  make(map[peer.ID]*inlet),
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	host.SetStreamHandler(moveProtocol, c.carryOn)
	c.watcher = &network.NotifyBundle{
		ConnectedF: func(_ network.Network, conn network.Conn) {
			poke(c.changed)
			if !isRelayed(conn) {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.startMove(c.outlets[conn.RemotePeer()])
			}
		},
		DisconnectedF: func(network.Network, network.Conn) { poke(c.changed) },
	}
	host.Network().Notify(c.watcher)
	return c
}

// Close ends what the carrier does by itself. It leaves the host alone, and the
// streams.
func (c *carrier) Close() error {
	c.Host.Network().StopNotify(c.watcher)
	c.RemoveStreamHandler(moveProtocol)
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.moves.Wait()
	return nil
}

// isRelayed reports whether a connection goes through a relay. That is not the same
// as limited: there are relays without limits.
func isRelayed(conn network.Conn) bool {
	_, err := conn.RemoteMultiaddr().ValueForProtocol(multiaddr.P_CIRCUIT)
	return err == nil
}

// isDirect reports whether a connection is open, and goes through no relay.
func isDirect(conn network.Conn) bool { return !conn.IsClosed() && !isRelayed(conn) }

// reachesDirectly reports whether there is a direct connection to a peer.
func (c *carrier) reachesDirectly(id peer.ID) bool {
	return slices.ContainsFunc(c.Host.Network().ConnsToPeer(id), isDirect)
}

// Network returns the network, in which no connection is limited.
func (c *carrier) Network() network.Network { return unlimited{c.Host.Network()} }

// unlimited is a network that does not tell limited connections from others.
type unlimited struct{ network.Network }

// Connectedness returns whether there is any connection to a peer.
func (n unlimited) Connectedness(id peer.ID) network.Connectedness {
	if state := n.Network.Connectedness(id); state != network.Limited {
		return state
	}
	return network.Connected
}

// NewStream opens a stream to write to, on the best connection that there is.
func (c *carrier) NewStream(ctx context.Context, id peer.ID, protocols ...lprotocol.ID) (network.Stream, error) {
	ctx = network.WithNoDial(network.WithAllowLimitedConn(ctx, "chat"), "chat")
	s, err := c.Host.NewStream(ctx, id, protocols...)
	if err != nil {
		return nil, err
	}
	o := &outlet{Stream: s, now: s, carrier: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outlets[id] = o
	if c.reachesDirectly(id) { // the connection came meanwhile
		c.startMove(o)
	}
	return o, nil
}

// startMove moves an outlet, unless it is nil, on a direct connection, or being
// moved. The lock is held.
func (c *carrier) startMove(o *outlet) {
	if o == nil || c.closed || !o.beginMove() {
		return
	}
	c.moves.Go(func() {
		defer o.endMove()
		for range moveAttempts {
			err := o.move(c.ctx)
			if err == nil || errors.Is(err, errOutletEnded) || !pause(c.ctx, time.Second, nil) {
				return
			}
		}
	})
}

// An outlet is a stream that PubSub writes to, of which only the writing moves: the
// other side writes to an outlet of its own. What is inherited of Stream is that of
// the first one.
type outlet struct {
	network.Stream
	carrier *carrier
	writing sync.Mutex // held while something is written, and when the stream moves

	mu     sync.Mutex
	now    network.Stream
	moving chan struct{} // closed when the move that is under way ends; nil: there is none
	ended  bool
}

// current returns the stream on which is written now.
func (o *outlet) current() network.Stream {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

// beginMove reports whether the outlet is to be moved, by the caller alone.
func (o *outlet) beginMove() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.moving != nil || o.ended || !isRelayed(o.now.Conn()) {
		return false
	}
	o.moving = make(chan struct{})
	return true
}

func (o *outlet) endMove() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.moving)
	o.moving = nil
}

// hasMoved reports whether the outlet does not use s any more. If it is being moved,
// it waits for that.
func (o *outlet) hasMoved(s network.Stream) bool {
	o.mu.Lock()
	moving := o.moving
	o.mu.Unlock()
	if moving != nil {
		<-moving
	}
	return o.current() != s
}

// move makes a stream on a direct connection take over. PubSub writes messages as a
// whole, so the first stream ends between two of them.
func (o *outlet) move(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "chat"), moveTimeout)
	defer cancel()
	s, err := o.carrier.Host.NewStream(ctx, o.Conn().RemotePeer(), moveProtocol)
	if err != nil {
		return err
	}
	if err := o.takeOver(ctx, s); err != nil {
		_ = s.Reset()
		return err
	}
	return nil
}

// takeOver agrees with the other side on s, and makes it the current stream.
func (o *outlet) takeOver(ctx context.Context, s network.Stream) error {
	if isRelayed(s.Conn()) {
		return network.ErrLimitedConn // the direct connection is gone again
	}
	reset := context.AfterFunc(ctx, func() { _ = s.Reset() })
	_, err := io.ReadFull(s, make([]byte, 1))
	if !reset() || err != nil {
		return fmt.Errorf("moving a stream: not agreed: %w", err)
	}
	o.writing.Lock()
	defer o.writing.Unlock()
	old := o.swap(s)
	if old == nil {
		return errOutletEnded
	}
	_ = old.SetReadDeadline(time.Now().Add(moveTimeout)) // Read goes on with s then
	_ = old.CloseWrite()                                 // if it fails, the other side finds that something is missing, and ends s
	return nil
}

var errOutletEnded = errors.New("nothing is written to the peer any more")

// swap makes s the current stream, and returns the one before; nil if the outlet has
// ended.
func (o *outlet) swap(s network.Stream) network.Stream {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return nil
	}
	old := o.now
	o.now = s
	return old
}

// Write writes one message; if the stream breaks, on the one that takes over, if there
// is one. The deadline that PubSub sets is that of the first stream, which may be no
// more in use.
func (o *outlet) Write(p []byte) (int, error) {
	for {
		s, n, err := o.write(p)
		if err == nil || !o.hasMoved(s) {
			return n, err
		}
	}
}

// write writes to the current stream, and returns that.
func (o *outlet) write(p []byte) (network.Stream, int, error) {
	o.writing.Lock()
	defer o.writing.Unlock()
	s := o.current()
	if err := s.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return s, 0, err
	}
	n, err := s.Write(p)
	return s, n, err
}

// Read returns when the other side reads no more: that is what PubSub uses it for.
func (o *outlet) Read(p []byte) (int, error) {
	for {
		s := o.current()
		n, err := s.Read(p)
		if err == nil || !o.hasMoved(s) {
			return n, err
		}
		if !isEnd(err) {
			poke(o.carrier.lost) // it was not read to its end
		}
		_ = s.Close()
	}
}

// Close ends the outlet when all is written.
func (o *outlet) Close() error { return o.end().Close() }

// Reset ends the outlet at once.
func (o *outlet) Reset() error { return o.end().Reset() }

// end lets the carrier forget the outlet, and returns its stream.
func (o *outlet) end() network.Stream {
	o.carrier.mu.Lock()
	defer o.carrier.mu.Unlock()
	if id := o.Conn().RemotePeer(); o.carrier.outlets[id] == o {
		delete(o.carrier.outlets, id)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	return o.now
}
