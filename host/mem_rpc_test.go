package host

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
)

var (
	errNoAddress   = errors.New("no address to dial")
	errUnreachable = errors.New("connection refused")
	errNoServer    = errors.New("protocol not supported")
)

// Dial implements requester.
func (h *memHost) Dial(ctx context.Context, to peer.ID) error {
	call := memCall{ctx: ctx, left: dialTimeout}
	_, err := call.dial(h, to)
	return err
}

// Request implements requester: the message is encoded here, parsed and handled
// by the other DHT, and so is its answer, as streams do it, but for the frames.
func (h *memHost) Request(ctx context.Context, to peer.ID, req protocol.Request) (protocol.Response, error) {
	if h.net.watch != nil {
		h.net.watch(h.dht, to, req)
	}
	call := memCall{ctx: ctx, left: h.dht.cfg.RequestTimeout}
	resp, err := h.request(&call, to, req)
	if err != nil {
		return protocol.Response{}, inTime(ctx, err)
	}
	return resp, nil
}

// messages are the buffers of messages.
var messages = sync.Pool{New: func() any { return new([]byte) }}

func (h *memHost) request(call *memCall, to peer.ID, req protocol.Request) (protocol.Response, error) {
	other, err := call.dial(h, to)
	if err != nil {
		return protocol.Response{}, err
	}
	if add, ok := req.(protocol.AddProvider); ok {
		req = localised(add, other.at)
	}
	buf := messages.Get().(*[]byte)
	defer messages.Put(buf)
	*buf = protocol.AppendRequest((*buf)[:0], req)
	delay := h.net.delay(h, other)
	if err := call.travel(h, other, delay); err != nil {
		return protocol.Response{}, err
	}
	if other.mute.Load() {
		return protocol.Response{}, call.wait(math.MaxInt64)
	}
	answer, refused := other.handle(h, *buf)
	if err := call.travel(h, other, delay); err != nil {
		return protocol.Response{}, err
	}
	if refused != nil {
		return protocol.Response{}, refused
	}
	if _, ok := req.(protocol.AddProvider); ok {
		return protocol.Response{}, nil // it has no answer
	}
	return h.net.deliver(req, answer, other.at, buf)
}

// handle answers a message. The error is what the asker makes of how its stream
// would end.
func (h *memHost) handle(from *memHost, msg []byte) (reply, error) {
	d := h.dht
	if h.serves.Load() == nil {
		return reply{}, errNoServer
	}
	req, err := protocol.ParseRequest(msg)
	if err != nil {
		d.stats.inboundRefused.Add(1)
		return reply{}, refusals(codeOf(err))
	}
	a, err := d.answer(d.tasks.ctx, asker{from.id, from.at}, req)
	d.stats.countInbound(req, err)
	if err != nil {
		d.stats.inboundRefused.Add(1)
		return reply{}, refusals(codeOf(err))
	}
	d.noticed(&from.conn)
	return a, nil
}

// deliver encodes an answer and parses it. But for its peers: those are the same
// bytes again and again, and each is parsed once for all nodes.
func (n *memNet) deliver(req protocol.Request, a reply, at scope, buf *[]byte) (protocol.Response, error) {
	*buf = protocol.AppendEncodedResponse((*buf)[:0], req, a.records, nil, nil)
	resp, err := protocol.ParseResponse(req, *buf)
	if err != nil {
		return protocol.Response{}, err
	}
	resp.Closer = n.parsed.peers(a.closer, at)
	resp.Providers = n.parsed.peers(a.providers, at)
	return resp, nil
}

// parsedPeers are peers by their encoding.
type parsedPeers struct {
	mu sync.RWMutex
	of map[string]protocol.Peer
}

// maxParsed bounds parsedPeers: most of them are gone at some time.
const maxParsed = 1 << 14

// peers parses peers of an answer that came from a peer at s.
func (p *parsedPeers) peers(encoded []protocol.EncodedPeer, s scope) []protocol.Peer {
	if len(encoded) == 0 {
		return nil
	}
	out := make([]protocol.Peer, 0, len(encoded))
	p.mu.RLock()
	for _, e := range encoded {
		known, ok := p.of[string(e.Wire)]
		if !ok {
			p.mu.RUnlock()
			known = p.parse(e.Wire)
			p.mu.RLock()
		}
		known = within(known, s)
		known.Connection = e.Connection
		out = append(out, known)
	}
	p.mu.RUnlock()
	return out
}

// parse parses a peer for the first time.
func (p *parsedPeers) parse(wire []byte) protocol.Peer {
	parsed, err := protocol.ParsePeer(wire)
	if err != nil {
		panic(err) // a DHT has put that into an answer
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil || len(p.of) == maxParsed {
		p.of = make(map[string]protocol.Peer)
	}
	p.of[string(wire)] = parsed
	return parsed
}

// A memCall is a request, or a dial, that is under way.
type memCall struct {
	ctx  context.Context
	left time.Duration // until its timeout; negative: none
}

// dial connects to a peer, if it is not connected. Once begun, the dial goes on
// if the caller has no more time.
func (c *memCall) dial(h *memHost, to peer.ID) (*memHost, error) {
	if other := h.connected(to); other != nil {
		return other, nil
	}
	h.mu.Lock()
	known := len(h.told[to]) > 0
	h.mu.Unlock()
	if !known {
		return nil, errNoAddress
	}
	other := h.net.lookUp(to)
	if other == nil || !h.net.reachable(h, other) {
		h.mu.Lock()
		delete(h.told, to)
		h.mu.Unlock()
		return nil, c.lost(h.net, 2*h.net.latency)
	}
	start := time.Now()
	roundTrip := 2 * h.net.delay(h, other)
	if err := c.wait(roundTrip); err != nil {
		time.AfterFunc(roundTrip-time.Since(start), func() { h.net.link(h, other) })
		return nil, err
	}
	if !h.net.link(h, other) {
		return nil, c.lost(h.net, 0)
	}
	return other, nil
}

// travel waits while a message is on its way.
func (c *memCall) travel(h, other *memHost, delay time.Duration) error {
	if err := c.wait(delay); err != nil {
		return err
	}
	if !h.net.reachable(h, other) {
		return c.lost(h.net, 0)
	}
	return nil
}

// lost waits for as long as it takes to see that the other side is gone, and
// returns the error for it.
func (c *memCall) lost(n *memNet, after time.Duration) error {
	if n.silent.Load() {
		after = math.MaxInt64
	}
	if err := c.wait(after); err != nil {
		return err
	}
	return errUnreachable
}

// wait waits for d, but not longer than until the end of the context or the
// timeout, which are errors.
func (c *memCall) wait(d time.Duration) error {
	late := c.left >= 0 && d > c.left
	if late {
		d = c.left
	} else if c.left >= 0 {
		c.left -= d
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
	if late {
		return context.DeadlineExceeded
	}
	return nil
}
