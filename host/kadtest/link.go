package kadtest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

var (
	errReset = errors.New("connection reset by peer")
	errIdle  = errors.New("timeout: no recent network activity")
	errGone  = errors.New("the host is closed")
)

// A link is a connection between two hosts, and the streams on it.
type link struct {
	net     *Network
	ends    [2]conn // the end that has dialled comes first
	opened  time.Time
	latency time.Duration
	cut     atomic.Int64 // since when nothing passes, in Unix nanoseconds; 0 if all does

	mu    sync.Mutex // comes before that of a pair
	over  bool
	pairs map[*pair]struct{}
}

func newLink(n *Network, from, to *memHost) *link {
	l := &link{net: n, opened: time.Now(), latency: n.latency(from, to)}
	l.ends = [2]conn{{link: l, local: from, remote: to}, {link: l, local: to, remote: from}}
	return l
}

// delay returns how long something that is sent now takes to arrive.
func (l *link) delay() time.Duration { return l.latency + l.net.lost(l.latency) }

// arrived reports whether what was to arrive at a time has. The zero time is never.
func (l *link) arrived(at, now time.Time) bool {
	return !at.IsZero() && !at.After(now) && l.passes(at)
}

// passes reports whether no cut keeps what was to arrive at a time.
func (l *link) passes(at time.Time) bool {
	cut := l.cut.Load()
	return cut == 0 || at.UnixNano() <= cut
}

// earlier returns the earlier of two times. Zero is never, and so is an arrival that a
// cut prevents.
func (l *link) earlier(next, arrival time.Time) time.Time {
	if arrival.IsZero() || !l.passes(arrival) || !next.IsZero() && next.Before(arrival) {
		return next
	}
	return arrival
}

// all returns the streams on the link.
func (l *link) all() []*pair {
	l.mu.Lock()
	defer l.mu.Unlock()
	pairs := make([]*pair, 0, len(l.pairs))
	for p := range l.pairs {
		pairs = append(pairs, p)
	}
	return pairs
}

// forget takes a stream off the link.
func (l *link) forget(p *pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pairs, p)
}

// block lets nothing pass from now on. If that lasts for the keep-alive time, the link
// ends.
func (l *link) block() {
	since := time.Now().UnixNano()
	if !l.cut.CompareAndSwap(0, since) || l.net.cfg.KeepAlive < 0 {
		return
	}
	time.AfterFunc(l.net.cfg.KeepAlive, func() {
		if l.cut.Load() == since {
			l.end(errIdle, errIdle)
		}
	})
}

// unblock lets pass what was sent meanwhile, and all that follows.
func (l *link) unblock() {
	if l.cut.Load() == 0 {
		return
	}
	pairs := l.all()
	at := time.Now().Add(l.latency)
	for _, p := range pairs {
		p.postpone(at)
	}
	l.cut.Store(0)
	for _, p := range pairs {
		p.resume()
	}
}

// postpone makes what a cut has kept arrive at a time at the earliest.
func (p *pair) postpone(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.ends {
		s := &p.ends[i]
		for _, t := range []*time.Time{&s.in.last, &s.in.fin, &s.reset} {
			p.link.raise(t, at)
		}
		for j := range s.in.chunks {
			p.link.raise(&s.in.chunks[j].at, at)
		}
	}
}

// raise postpones one arrival.
func (l *link) raise(t *time.Time, at time.Time) {
	if !t.IsZero() && !l.passes(*t) && t.Before(at) {
		*t = at
	}
}

// resume wakes both ends, and sends the stream on its way if it has not arrived.
func (p *pair) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends[0].wake()
	p.ends[1].wake()
	if p.waiting {
		p.waiting = false
		p.link.net.later(p.link.latency, p.arrive)
	}
}

// end ends the link, with the reason that each end has for it, and lets both hosts
// know. The end that has dialled comes first.
func (l *link) end(reasons ...error) {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return
	}
	l.over = true
	pairs := l.pairs
	l.pairs = nil
	l.mu.Unlock()
	for i := range l.ends {
		l.ends[i].local.drop(&l.ends[i])
	}
	for p := range pairs {
		p.ends[0].lose(reasons[0])
		p.ends[1].lose(reasons[1])
	}
	for i := range l.ends {
		l.ends[i].local.lost(&l.ends[i])
	}
}

// abandon ends the link for one host, which is dead, while the other sees nothing.
func (l *link) abandon(dead *memHost) {
	for i := range l.ends {
		if l.ends[i].local == dead {
			dead.drop(&l.ends[i])
		}
	}
	for _, p := range l.all() {
		for i := range p.ends {
			if p.ends[i].conn.local == dead {
				p.ends[i].lose(errGone)
			}
		}
	}
}

// A conn is one end of a link.
type conn struct {
	link          *link
	local, remote *memHost
	rtt           atomic.Int64 // smoothed, in nanoseconds
}

// open opens a stream of a protocol; with none, the two ends negotiate it.
func (c *conn) open(id lprotocol.ID) (*stream, error) {
	p := &pair{link: c.link}
	p.ends[0] = stream{pair: p, other: &p.ends[1], conn: c, proto: id}
	p.ends[1] = stream{pair: p, other: &p.ends[0], conn: c.peer(), proto: id}
	p.ends[0].requests.init(&p.ends[0])
	now := time.Now()
	at := p.ends[1].sent(now)
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.link.over {
		return nil, errReset
	}
	if c.link.pairs == nil {
		c.link.pairs = make(map[*pair]struct{})
	}
	c.link.pairs[p] = struct{}{}
	c.link.net.later(at.Sub(now), p.arrive)
	return &p.ends[0], nil
}

// arrive hands a stream to the other host.
func (p *pair) arrive() {
	s := &p.ends[1]
	p.mu.Lock()
	if p.link.cut.Load() != 0 {
		p.waiting = true
		p.mu.Unlock()
		return
	}
	given := p.ends[0].own != nil || s.own != nil // up
	p.mu.Unlock()
	if given {
		_ = s.Reset()
		return
	}
	s.conn.local.serve(s)
}

// refuse makes the stream fail at the other end, since its protocol is not spoken here.
func (s *stream) refuse(err error) {
	s.pair.mu.Lock()
	s.own = err
	s.other.fail(s.other.sent(time.Now()), err)
	s.pair.mu.Unlock()
	s.forgetIfDone()
}

// peer returns the other end.
func (c *conn) peer() *conn {
	if c == &c.link.ends[0] {
		return &c.link.ends[1]
	}
	return &c.link.ends[0]
}

// NewStream opens a stream, of which the two ends negotiate the protocol.
func (c *conn) NewStream(ctx context.Context) (network.Stream, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s, err := c.open("")
	if err != nil {
		return nil, err // without a stream in the interface
	}
	return s, nil
}

// GetStreams returns the streams that are open.
func (c *conn) GetStreams() []network.Stream {
	var open []network.Stream
	for _, p := range c.link.all() {
		s := &p.ends[0]
		if s.conn != c {
			s = &p.ends[1]
		}
		p.mu.Lock()
		if !s.done() {
			open = append(open, s)
		}
		p.mu.Unlock()
	}
	return open
}

// Close ends the connection.
func (c *conn) Close() error { return c.CloseWithError(network.ConnNoError) }

// CloseWithError ends the connection. The other end learns the code.
func (c *conn) CloseWithError(code network.ConnErrorCode) error {
	here, there := &network.ConnError{ErrorCode: code}, &network.ConnError{ErrorCode: code, Remote: true}
	if c == &c.link.ends[0] {
		c.link.end(here, there)
	} else {
		c.link.end(there, here)
	}
	return nil
}

// IsClosed reports whether the connection has ended.
func (c *conn) IsClosed() bool {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.link.over
}

// ID returns the two ends, by number.
func (c *conn) ID() string {
	return strconv.Itoa(c.local.node.number) + "-" + strconv.Itoa(c.remote.node.number)
}

// As reports false: there is nothing below.
func (c *conn) As(any) bool { return false }

// LocalPeer returns the peer at this end.
func (c *conn) LocalPeer() peer.ID { return c.local.ID() }

// RemotePeer returns the peer at the other end.
func (c *conn) RemotePeer() peer.ID { return c.remote.ID() }

// RemotePublicKey returns the key of the peer at the other end.
func (c *conn) RemotePublicKey() crypto.PubKey { return c.remote.node.key.GetPublic() }

// ConnState names the transport: there is no security, and no multiplexer.
func (c *conn) ConnState() network.ConnectionState {
	return network.ConnectionState{Transport: "memory"}
}

// LocalMultiaddr returns the address of this end.
func (c *conn) LocalMultiaddr() multiaddr.Multiaddr { return c.local.node.addr }

// RemoteMultiaddr returns the address of the other end.
func (c *conn) RemoteMultiaddr() multiaddr.Multiaddr { return c.remote.node.addr }

// Stat says which end has dialled, and when.
func (c *conn) Stat() network.ConnStats {
	direction := network.DirInbound
	if c == &c.link.ends[0] {
		direction = network.DirOutbound
	}
	return network.ConnStats{Stats: network.Stats{Direction: direction, Opened: c.link.opened}}
}

// Scope returns a scope without limits.
func (c *conn) Scope() network.ConnScope { return &network.NullScope{} }
