package serve

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/protocol"
)

const (
	// idleTimeout is how long a stream may go without a complete request, less slack.
	idleTimeout = time.Minute

	// answerTimeout bounds the work on one request, and the writing of its answer, less
	// slack: a peer that reads slower is not waited for. A message with many requests has no
	// more.
	answerTimeout = 10 * time.Second

	// slack is how old a deadline becomes before a further request renews it: what it bounds may
	// take that much less. A deadline for each request would cost more than most answers: a timer,
	// and with a context four objects. The node is told of a peer as seldom.
	slack = 2 * time.Second
)

// deadlines are those of one stream. They belong to the goroutine that serves it.
type deadlines struct {
	stream      network.Stream
	read, write time.Time // when they were set
	noticed     time.Time // when the node was last told that the peer asks

	node   context.Context // ends with the node
	work   context.Context // for requests that may block; nil if there was none
	begun  time.Time       // when work was made
	cancel context.CancelFunc
}

// reading bounds the wait for a request, on a stream that is idle since a time.
func (d *deadlines) reading(idle time.Time) {
	if idle.Sub(d.read) >= slack {
		d.read = idle
		_ = d.stream.SetReadDeadline(idle.Add(idleTimeout))
	}
}

// writing bounds the writing of an answer.
func (d *deadlines) writing(now time.Time) {
	if now.Sub(d.write) >= slack {
		d.write = now
		_ = d.stream.SetWriteDeadline(now.Add(answerTimeout))
	}
}

// noticing reports whether the node is to be told that the peer asks.
func (d *deadlines) noticing(now time.Time) bool {
	if now.Sub(d.noticed) < slack {
		return false
	}
	d.noticed = now
	return true
}

// of returns the context of a request.
func (d *deadlines) of(req protocol.Request, now time.Time) context.Context {
	switch req.(type) {
	case protocol.FindNode, protocol.Ping: // they are answered from memory
		return d.node
	default:
		return d.working(now)
	}
}

// working returns the context of a request that may block.
func (d *deadlines) working(now time.Time) context.Context {
	if now.Sub(d.begun) >= slack {
		d.end()
		d.begun = now
		d.work, d.cancel = context.WithTimeout(d.node, answerTimeout)
	}
	return d.work
}

// end releases the context.
func (d *deadlines) end() {
	if d.cancel != nil {
		d.cancel()
	}
}

var (
	errLeft = errors.New("the peer has not taken the answer")
	errIdle = errors.New("the peer has sent no further request")
)

// left reports whether a stream failed because its peer has left or sends nothing, or because
// its connection has ended, which refuses nothing.
func left(err error) bool {
	if reset, ok := errors.AsType[*network.StreamError](err); ok && !errors.Is(err, errLeft) {
		return reset.Remote
	}
	return errors.Is(err, errLeft) || errors.Is(err, errIdle) || errors.Is(err, network.ErrReset) || errors.Is(err, net.ErrClosed)
}
