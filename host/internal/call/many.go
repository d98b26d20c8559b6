package call

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// manyInOne is how many requests are sent in one message, and inRow how many on one
	// stream, one after the other: further ones wait for the answer, so that the peer serves
	// others meanwhile.
	manyInOne = 128
	inRow     = 32

	// maxBurst bounds the bytes of requests that are sent at once, unless it is one request.
	// The answers, of which each may be as large as its request, find room in the window of
	// a stream, which is 256 KiB.
	maxBurst = 64 << 10

	// maxOutcomes bounds the answer to a message with many requests.
	maxOutcomes = 8 << 10
)

// ErrTogether says that a peer has refused some requests that were sent together, and not
// which of them. It wraps [kaderr.ErrRefused].
var ErrTogether = fmt.Errorf("%w: this request, or one that was sent with it", kaderr.ErrRefused)

// An errand is what a peer is asked once: one request, or many that store something.
type errand struct {
	first protocol.Request
	many  []protocol.Request // with the first; nil: it is alone
	errs  []error            // what became of each of many
}

// send sends an errand.
func (e *errand) send(ctx context.Context, t Transport, to peer.ID) (resp protocol.Response, err error) {
	if e.many == nil {
		return t.Request(ctx, to, e.first)
	}
	e.errs, err = t.Many(ctx, to, e.many)
	return resp, err
}

// Many is Request for requests that store something. It sends as many of them at once as the
// contact takes, one at least, and returns what became of each of these. If the error of one
// is [ErrTogether], it may succeed alone.
func (c *Caller) Many(ctx context.Context, turn *Turn, to routing.Contact, reqs []protocol.Request) []error {
	burst, inOne := c.burst(to.ID, reqs)
	e := &errand{first: reqs[0]}
	if burst > 1 {
		e.many = reqs[:burst]
	}
	_, err := c.request(ctx, turn, to, e, nil)
	if !inOne {
		c.requests.Add(uint64(burst) - 1) //nolint:gosec // at least 1
	}
	switch {
	case burst == 1:
		return []error{err}
	case err == nil:
		return e.errs
	case OutcomeOf(err) == table.Refused && !errors.Is(err, kaderr.ErrBusy):
		err = fmt.Errorf("%w: %w", ErrTogether, err)
	}
	return slices.Repeat([]error{err}, burst)
}

// burst returns how many of some requests may be sent to a peer at once, and whether that is
// in one message.
func (c *Caller) burst(to peer.ID, reqs []protocol.Request) (burst int, inOne bool) {
	most, inOne := c.cfg.Transport.Together(to)
	size := 0
	for _, req := range reqs[:min(most, len(reqs))] {
		if size += sizeOf(req); burst > 0 && size > maxBurst {
			break
		}
		burst++
	}
	return burst, inOne
}

// sizeOf returns about how many bytes a request takes that stores something.
func sizeOf(req protocol.Request) int {
	switch req := req.(type) {
	case protocol.PutValue:
		size := len(req.Record.Key) + len(req.Record.Value)
		for _, r := range req.More {
			size += len(r.Value)
		}
		return size
	case protocol.AddProvider:
		size := len(req.Key) + len(req.Proof)
		for _, p := range req.Providers {
			size += 64 * len(p.Addrs)
		}
		return size
	default:
		return 0
	}
}

// Together implements [Transport]. Peers of this implementation take many requests in one
// message, once identify has told of them. Others are sent them on one stream, except peers
// of js-libp2p, and of what answers as they do: see half_close.go.
func (s *Streams) Together(to peer.ID) (most int, inOne bool) {
	spoken, err := s.host.Peerstore().SupportsProtocols(to, s.protocol, s.many)
	switch {
	case err != nil || len(spoken) == 0:
		return 1, false
	case slices.Contains(spoken, s.many):
		return manyInOne, true
	case answersOnce(s.host, to) || s.idle.answersOnce(to):
		return 1, false
	default:
		return inRow, false
	}
}

// Many implements [Transport].
func (s *Streams) Many(ctx context.Context, to peer.ID, reqs []protocol.Request) (errs []error, err error) {
	id := s.protocol
	_, inOne := s.Together(to)
	if inOne {
		id = s.many
	}
	on, err := s.begin(ctx, to, id)
	if err != nil {
		return nil, err
	}
	// What blocks on the stream ends with ctx.
	defer context.AfterFunc(ctx, func() { _ = on.Reset() })()
	if errs, err = on.exchangeMany(reqs, inOne); err != nil {
		_ = on.Reset()
		return nil, err
	}
	_ = on.Close() // all of it was read and written
	return errs, nil
}

// exchangeMany writes requests, all in one message or one after the other, ends the writing
// side, and reads the answers.
func (s *stream) exchangeMany(reqs []protocol.Request, inOne bool) (errs []error, err error) {
	sent := slices.Clone(reqs)
	var last, restricted protocol.AddProvider
	for i, req := range sent {
		add, ok := req.(protocol.AddProvider)
		if !ok {
			continue
		}
		if !sameMemory(add.Providers, last.Providers) {
			last, restricted = add, announce.RestrictAll(add, s.at)
		}
		add.Providers = restricted.Providers
		sent[i] = add
	}
	var frames []byte
	if inOne {
		frames = protocol.AppendManyFrame(nil, sent)
	} else {
		for _, req := range sent {
			frames = protocol.AppendRequestFrame(frames, req)
		}
	}
	if _, err := s.Write(frames); err != nil {
		return nil, s.failure(err)
	}
	if err := s.CloseWrite(); err != nil {
		return nil, s.failure(err)
	}
	if inOne {
		return s.readOutcomes(len(sent))
	}
	return s.readInRow(sent)
}

// sameMemory reports whether two announcements share their providers, as ours do.
func sameMemory(a, b []protocol.Peer) bool {
	return len(a) > 0 && len(a) == len(b) && &a[0] == &b[0]
}

// readOutcomes reads the answer to a message with so many requests.
func (s *stream) readOutcomes(requests int) ([]error, error) {
	msg, err := protocol.ReadFrame(s.r, maxOutcomes)
	if err != nil {
		return nil, s.noAnswer(err)
	}
	codes, err := protocol.ParseOutcomes(msg, requests)
	if err != nil {
		return nil, err
	}
	errs := make([]error, requests)
	for i, code := range codes {
		errs[i] = kaderr.OfCode(network.StreamErrorCode(code))
	}
	return errs, nil
}

// readInRow reads the answers to requests that were sent one after the other: announcements
// have none. The clean end of the stream says that the peer has handled all.
func (s *stream) readInRow(sent []protocol.Request) ([]error, error) {
	for _, req := range sent {
		if _, announces := req.(protocol.AddProvider); announces {
			continue
		}
		msg, err := protocol.ReadFrame(s.r, protocol.MaxFrame)
		if err != nil {
			return nil, s.noAnswer(err)
		}
		if _, err := protocol.ParseResponse(req, msg); err != nil {
			return nil, err
		}
	}
	return make([]error, len(sent)), s.readEnd()
}
