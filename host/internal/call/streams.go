package call

import (
	"bufio"
	"context"
	"fmt"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
)

// A Transport is the seam to the network: streams, or a script in tests.
type Transport interface {
	// Dial connects to a peer.
	Dial(ctx context.Context, to peer.ID) error

	// Request asks one peer, which is connected, and returns its answer, without the
	// addresses that the peer cannot know of. The error wraps [kaderr.ErrRefused] if
	// the peer refused.
	Request(ctx context.Context, to peer.ID, req protocol.Request) (protocol.Response, error)
}

// streams is the Transport of libp2p: one stream per request.
type streams struct {
	host     lhost.Host
	protocol lprotocol.ID
}

// Streams returns a Transport that sends each request on a stream of its own.
func Streams(h lhost.Host, id lprotocol.ID) Transport { return &streams{h, id} }

// Dial implements [Transport].
func (s *streams) Dial(ctx context.Context, to peer.ID) error {
	_, err := s.host.Network().DialPeer(ctx, to)
	return err
}

// Request implements [Transport].
func (s *streams) Request(ctx context.Context, to peer.ID, req protocol.Request) (protocol.Response, error) {
	stream, err := s.open(ctx, to)
	if err != nil {
		return protocol.Response{}, err
	}
	// What blocks on the stream ends with ctx.
	interrupt := context.AfterFunc(ctx, func() { _ = stream.Reset() })
	defer interrupt()

	resp, err := exchange(stream, req)
	if err != nil {
		_ = stream.Reset()
		return protocol.Response{}, err
	}
	_ = stream.Close() // all of it was read and written
	return resp, nil
}

// exchange writes a request and reads the answer.
func exchange(stream network.Stream, req protocol.Request) (protocol.Response, error) {
	at := scope.OfConn(stream.Conn())
	if add, ok := req.(protocol.AddProvider); ok {
		req = announce.RestrictAll(add, at)
	}
	if _, err := stream.Write(protocol.AppendRequestFrame(nil, req)); err != nil {
		return protocol.Response{}, kaderr.OfReset(err)
	}
	r := bufio.NewReader(stream)
	if _, ok := req.(protocol.AddProvider); ok {
		if err := stream.CloseWrite(); err != nil {
			return protocol.Response{}, kaderr.OfReset(err)
		}
		return protocol.Response{}, readEnd(r)
	}
	defer halfClose(stream)()
	msg, err := protocol.ReadFrame(r, protocol.MaxFrame)
	if kaderr.Ended(err) {
		return protocol.Response{}, fmt.Errorf("%w: it closed the stream without an answer", kaderr.ErrRefused)
	}
	if err != nil {
		return protocol.Response{}, kaderr.OfReset(err)
	}
	resp, err := protocol.ParseResponse(req, msg)
	if err != nil {
		return protocol.Response{}, err
	}
	for _, list := range [][]protocol.Peer{resp.Closer, resp.Providers} {
		for i := range list {
			list[i] = announce.Restrict(list[i], at)
		}
	}
	return resp, nil
}

// readEnd waits until the other side ends the stream. ADD_PROVIDER has no answer: a clean
// end says that the peer has handled it, a reset that it has not.
func readEnd(r *bufio.Reader) error {
	if _, err := r.ReadByte(); err != nil && !kaderr.Ended(err) {
		return kaderr.OfReset(err)
	}
	return nil // the end, or an echo, which some implementations send
}
