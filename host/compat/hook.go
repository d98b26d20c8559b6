package dht

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"

	"github.com/go-kad/kad/pb"
	"github.com/go-kad/kad/protocol"
)

// OnRequestHook calls f with each request of another peer before it is handled, as a message of
// package pb of this module. Of the stream, f may use Conn, Protocol and Stat: reading from it,
// writing to it and closing it return [errors.ErrUnsupported], since the DHT does that. The
// context does not end. [kad.Config.OnRequest], which this sets, can refuse a request.
func OnRequestHook(f func(ctx context.Context, s network.Stream, req *pb.Message)) Option {
	return set(func(c *config) { c.hook = f })
}

// onRequest returns what Config.OnRequest does: it calls the hook, and refuses what the options
// disable. It returns nil if there is neither.
func (c *config) onRequest() func(network.Conn, protocol.Request) error {
	if c.hook == nil && !c.noProviders && !c.noValues {
		return nil
	}
	return func(from network.Conn, req protocol.Request) error {
		if c.hook != nil {
			msg := new(pb.Message)
			if err := proto.Unmarshal(protocol.MarshalRequest(req), msg); err != nil {
				return err
			}
			c.hook(context.Background(), requestStream{from, lprotocol.ID(c.Network + protocolAfter)}, msg)
		}
		return c.refuse(req)
	}
}

// A requestStream is the stream of a request, as far as a hook may use it.
type requestStream struct {
	conn     network.Conn
	protocol lprotocol.ID
}

var _ network.Stream = requestStream{}

func (s requestStream) Conn() network.Conn           { return s.conn }
func (s requestStream) Protocol() lprotocol.ID       { return s.protocol }
func (requestStream) Stat() network.Stats            { return network.Stats{Direction: network.DirInbound} }
func (requestStream) Scope() network.StreamScope     { return &network.NullScope{} }
func (requestStream) ID() string                     { return "" }
func (requestStream) SetProtocol(lprotocol.ID) error { return errors.ErrUnsupported }

func (requestStream) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (requestStream) Write([]byte) (int, error)                    { return 0, errors.ErrUnsupported }
func (requestStream) Close() error                                 { return errors.ErrUnsupported }
func (requestStream) CloseRead() error                             { return errors.ErrUnsupported }
func (requestStream) CloseWrite() error                            { return errors.ErrUnsupported }
func (requestStream) Reset() error                                 { return errors.ErrUnsupported }
func (requestStream) ResetWithError(network.StreamErrorCode) error { return errors.ErrUnsupported }
func (requestStream) SetDeadline(time.Time) error                  { return errors.ErrUnsupported }
func (requestStream) SetReadDeadline(time.Time) error              { return errors.ErrUnsupported }
func (requestStream) SetWriteDeadline(time.Time) error             { return errors.ErrUnsupported }
