package call

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: before it opens a stream, a host waits until the peer is identified,
// which takes a round trip on a new connection. A requester need not know by then whether
// the peer speaks its protocol: that shows when the answer is read. So a stream on a
// connection that is not identified yet is opened on the network, below the host.
//
// It can go when Host.NewStream opens streams before identify has ended.

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/multiformats/go-multistream"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/tasks"
)

// negotiationTimeout bounds the wait, when a stream is closed, until the peer agrees to
// its protocol.
const negotiationTimeout = 10 * time.Second

// identified returns a channel that is closed when the peer of a connection is
// identified; nil if the host has no such service.
func identified(h lhost.Host, c network.Conn) <-chan struct{} {
	if s, ok := h.(interface{ IDService() identify.IDService }); ok {
		return s.IDService().IdentifyWait(c)
	}
	return nil
}

// open opens a stream to a peer that is connected, also before the peer is identified. It dials
// nothing. The error wraps errConnEnded if a connection of the peer has ended, or there is none, and
// [kaderr.ErrRefused] if the peer says that it does not speak the protocol: mostly that shows when
// the answer is read.
func (s *Streams) open(ctx context.Context, to peer.ID, id lprotocol.ID) (network.Stream, error) {
	ctx = network.WithNoDial(ctx, "it is connected")
	conns := s.host.Network().ConnsToPeer(to)
	if err := s.memory(conns, to); err != nil {
		return nil, err
	}
	opened, err := s.openOn(ctx, conns, to, id)
	switch {
	case err == nil:
		return opened, nil
	case len(conns) == 0, slices.ContainsFunc(conns, network.Conn.IsClosed):
		return nil, fmt.Errorf("%w: %w", errConnEnded, err)
	default:
		return nil, kaderr.OfStream(err)
	}
}

// openOn is open for a peer with some connections. Its error is that of libp2p.
func (s *Streams) openOn(ctx context.Context, conns []network.Conn, to peer.ID, id lprotocol.ID) (network.Stream, error) {
	if !slices.ContainsFunc(conns, func(c network.Conn) bool { return tasks.Pending(identified(s.host, c)) }) {
		return s.host.NewStream(ctx, to, id)
	}
	raw, err := s.host.Network().NewStream(ctx, to)
	if err != nil {
		return nil, err
	}
	if err := raw.SetProtocol(id); err != nil {
		_ = raw.Reset()
		return nil, err
	}
	return &eagerStream{raw, multistream.NewMSSelect(raw, id)}, nil
}

// An eagerStream is a stream that is written before the peer has agreed to its protocol.
type eagerStream struct {
	network.Stream
	agreed io.ReadWriteCloser
}

func (s *eagerStream) Read(b []byte) (int, error)  { return s.agreed.Read(b) }
func (s *eagerStream) Write(b []byte) (int, error) { return s.agreed.Write(b) }

func (s *eagerStream) Close() error {
	_ = s.SetReadDeadline(time.Now().Add(negotiationTimeout))
	return s.agreed.Close()
}
