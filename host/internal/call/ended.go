package call

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: errors do not say reliably that a connection has ended. Host.NewStream hides
// it behind "connection failed", WebRTC has errors of its own for it, and on a relayed
// connection, the reset with which its relay ends it looks as one by the peer, which would be
// a refusal. So the connection is asked, too, whether it has ended. QUIC and WebTransport tell
// the streams before the connection counts as closed, so that a request that is made again at once
// would take it again: it is closed here. Some errors of WebTransport do not say that they are the
// end of a connection, 2 in 100.
//
// It can go when the error of each stream whose connection has ended is a network.ConnError, and
// the swarm does not open a stream on such a connection any more.

import (
	"errors"
	"net"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
)

// errConnEnded marks the error of a request whose connection has ended, whatever the error says.
var errConnEnded = errors.New("kad: the connection has ended")

// connectionEnded reports whether a request failed because its connection has ended, and not
// its stream alone: we reset that when the time of a request is over. QUIC says it by errors of
// its own, before the connection does, as after an idle timeout, or when the peer has started
// anew; they wrap net.ErrClosed.
func connectionEnded(err error) bool {
	if errors.Is(err, errConnEnded) {
		return true
	}
	_, stream := errors.AsType[*network.StreamError](err)
	_, dial := errors.AsType[*swarm.DialError](err) // there was none
	if stream || dial {
		return false
	}
	return errors.Is(err, network.ErrReset) || errors.Is(err, swarm.ErrConnClosed) || errors.Is(err, net.ErrClosed)
}

// saysEnded reports whether an error of a stream names the end of its connection as its cause. A
// reset that names no cause does not.
func saysEnded(err error) bool {
	_, ended := errors.AsType[*network.ConnError](err)
	return ended || errors.Is(err, net.ErrClosed)
}
