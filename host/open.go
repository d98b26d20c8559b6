package host

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/multiformats/go-multistream"
)

// negotiationTimeout bounds the wait, when a stream is closed, for the peer to
// agree to its protocol.
const negotiationTimeout = 10 * time.Second

// open opens a stream to a peer that is connected.
//
// Before it opens one, a host waits until the peer is identified, which on a new
// connection takes a round trip. We need not know by then whether the peer speaks
// our protocol: if it does not, that shows when its answer is read.
func (s *streams) open(ctx context.Context, to peer.ID) (network.Stream, error) {
	identifies, ok := s.host.(interface{ IDService() identify.IDService })
	if !ok || !slices.ContainsFunc(s.host.Network().ConnsToPeer(to), func(c network.Conn) bool {
		select {
		case <-identifies.IDService().IdentifyWait(c):
			return false
		default:
			return true
		}
	}) {
		return s.host.NewStream(ctx, to, s.protocol)
	}
	raw, err := s.host.Network().NewStream(network.WithNoDial(ctx, "it is connected"), to)
	if err != nil {
		return nil, err
	}
	if err := raw.SetProtocol(s.protocol); err != nil {
		_ = raw.Reset()
		return nil, err
	}
	return &eagerStream{raw, multistream.NewMSSelect(raw, s.protocol)}, nil
}

// An eagerStream is a stream on which we write before the peer has agreed to its
// protocol.
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
