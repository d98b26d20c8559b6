package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/protocol"
)

// requester is the only door to the network: streams, or memory in tests. Use it
// through [DHT.request], which minds the bounds of dials and of time.
type requester interface {
	// Dial connects to a peer.
	Dial(ctx context.Context, to peer.ID) error

	// Request asks one peer, which is connected, and returns what it answered.
	// What comes back is filtered: addresses that the peer cannot know of are not
	// in it.
	Request(ctx context.Context, to peer.ID, req protocol.Request) (protocol.Response, error)
}

// streams asks over libp2p: one stream per request, so that no request waits
// behind another.
type streams struct {
	host     lhost.Host
	protocol lprotocol.ID
}

// Dial implements requester.
func (s *streams) Dial(ctx context.Context, to peer.ID) error {
	_, err := s.host.Network().DialPeer(ctx, to)
	return err
}

// Request implements requester.
func (s *streams) Request(ctx context.Context, to peer.ID, req protocol.Request) (protocol.Response, error) {
	stream, err := s.host.NewStream(ctx, to, s.protocol)
	if err != nil {
		return protocol.Response{}, err
	}
	// Whatever blocks on the stream ends with ctx.
	interrupt := context.AfterFunc(ctx, func() { _ = stream.Reset() })
	defer interrupt()

	start := time.Now()
	resp, err := exchange(stream, req)
	if err != nil {
		_ = stream.Reset()
		return protocol.Response{}, err
	}
	s.host.Peerstore().RecordLatency(to, time.Since(start))
	_ = stream.Close() // all of it was read and written
	return resp, nil
}

// halfCloseAfter is how long a stream stays open for writing while there is no
// answer. Some js-libp2p peers answer only when they see the end of what we
// write; others, if that end comes just after they have answered, reset the
// stream, which loses the answer. So the end comes only if the answer does not.
const halfCloseAfter = 200 * time.Millisecond

// exchange writes the request and reads the answer.
func exchange(stream network.Stream, req protocol.Request) (protocol.Response, error) {
	at := scopeTo(stream.Conn())
	if add, ok := req.(protocol.AddProvider); ok {
		req = localised(add, at)
	}
	if _, err := stream.Write(protocol.AppendRequestFrame(nil, req)); err != nil {
		return protocol.Response{}, refusal(err)
	}
	r := bufio.NewReader(stream)
	if _, ok := req.(protocol.AddProvider); ok {
		if err := stream.CloseWrite(); err != nil {
			return protocol.Response{}, refusal(err)
		}
		return protocol.Response{}, readEnd(r)
	}
	halfClose := time.AfterFunc(halfCloseAfter, func() { _ = stream.CloseWrite() })
	defer halfClose.Stop()
	msg, err := protocol.ReadFrame(r, protocol.MaxFrame)
	if errors.Is(err, io.EOF) {
		return protocol.Response{}, fmt.Errorf("%w: it closed the stream without an answer", ErrRefused)
	}
	if err != nil {
		return protocol.Response{}, refusal(err)
	}
	resp, err := protocol.ParseResponse(req, msg)
	if err != nil {
		return protocol.Response{}, err
	}
	for _, list := range [][]protocol.Peer{resp.Closer, resp.Providers} {
		for i := range list {
			list[i] = within(list[i], at)
		}
	}
	return resp, nil
}

// within returns what may be told of p to a peer at s, or believed if that one tells
// it.
func within(p protocol.Peer, s scope) protocol.Peer {
	p.Addrs = fit(p.Addrs, s)
	p.Certified = passable(p.Certified, s)
	return p
}

// readEnd waits until the other side ends the stream. ADD_PROVIDER has no
// answer: a clean end says that it was handled, a reset that it was not.
func readEnd(r *bufio.Reader) error {
	if _, err := r.ReadByte(); err != nil && !errors.Is(err, io.EOF) {
		return refusal(err)
	}
	return nil // the end, or an echo, which some send
}

// localised returns the announcement without the addresses that are of no use
// to a peer at s.
func localised(add protocol.AddProvider, s scope) protocol.AddProvider {
	add.Providers = slices.Clone(add.Providers)
	for i, p := range add.Providers {
		add.Providers[i] = within(p, s)
	}
	return add
}

// inTime returns the cause of ctx if it has ended, since an error of the
// network is then only its consequence.
func inTime(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return err
}

// Codes with which a stream is reset, so that the peer learns the reason of a
// refusal. Others ignore them, and send none.
const (
	codeInvalid   network.StreamErrorCode = 0x6b01 + iota // the validator refuses the value, or there is none
	codeOld                                               // a better value is stored
	codeFull                                              // the store's limits are reached
	codeBadPeer                                           // a provider that is not the sender, or has no usable address
	codeBusy                                              // too many streams
	codeMalformed                                         // the request cannot be read
	codeInternal                                          // it could not be handled
	codeTooMany                                           // the key holds as many values as it may
	codeOverQuota                                         // the sender has had enough stored
	codeExpired                                           // what is to be stored was over before it arrived
)

// refusals are the errors that stand for codes.
func refusals(code network.StreamErrorCode) error {
	switch code {
	case codeInvalid:
		return fmt.Errorf("%w: %w: its validator does not accept the value", ErrRefused, ErrInvalidRecord)
	case codeOld:
		return fmt.Errorf("%w: %w", ErrRefused, ErrOldRecord)
	case codeFull:
		return fmt.Errorf("%w: its store is full", ErrRefused)
	case codeBadPeer:
		return fmt.Errorf("%w: it was given no address of the provider that it could tell others", ErrRefused)
	case codeBusy:
		return fmt.Errorf("%w: it is busy", ErrRefused)
	case codeMalformed:
		return fmt.Errorf("%w: it could not read the request", ErrRefused)
	case codeInternal:
		return fmt.Errorf("%w: it failed to handle the request", ErrRefused)
	case codeTooMany:
		return fmt.Errorf("%w: the key holds as many values there as it may", ErrRefused)
	case codeOverQuota:
		return fmt.Errorf("%w: it has stored as much for us as it does for one peer", ErrRefused)
	case codeExpired:
		return fmt.Errorf("%w: it had expired before it arrived", ErrRefused)
	default:
		return nil
	}
}

// refusal translates a reset by the other side into [ErrRefused], with the
// reason if it gave one.
func refusal(err error) error {
	var reset *network.StreamError
	if !errors.As(err, &reset) {
		if errors.Is(err, network.ErrReset) {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return err
	}
	if !reset.Remote {
		return err
	}
	if known := refusals(reset.ErrorCode); known != nil {
		return known
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}
