package call

// Workaround of go-libp2p v0.52.0, with go-yamux v5.1.0.
//
// What is wrong: a stream that yamux does not open for want of memory here takes one of the 256
// places of streams that the peer has not accepted yet, for good. When all are taken, none is
// opened any more on that connection, and the peer seems silent. So whether there is memory is
// asked before, which saves most of these places: others may take the memory in between.
//
// It can go when yamux gives the place back.

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// streamMemory is what yamux reserves for a stream when it is opened.
const streamMemory = 256 << 10

// memory returns an error if memory is lacking here for a further stream to a peer with some
// connections. A connection that needs no yamux, as that of QUIC, needs none.
func (s *Streams) memory(conns []network.Conn, to peer.ID) error {
	if len(conns) == 0 || slices.ContainsFunc(conns, func(c network.Conn) bool { return c.ConnState().StreamMultiplexer == "" }) {
		return nil
	}
	return s.host.Network().ResourceManager().ViewPeer(to, func(p network.PeerScope) error {
		span, err := p.BeginSpan()
		if err != nil {
			return err
		}
		defer span.Done()
		return span.ReserveMemory(streamMemory, network.ReservationPriorityAlways)
	})
}
