package call

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: the swarm prefers the connection of a peer that has the most streams. A
// peer that was killed is often back before its old connection has timed out, and the
// swarm uses the dead connection for half a minute; a relay does so for all peers that
// want to reach it. So the older connections of a peer that connects again are asked
// whether they are alive, and closed if they are not.
//
// It can go when the swarm prefers the newest connection, or checks the old ones itself.

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	msmux "github.com/multiformats/go-multistream"
	"github.com/quic-go/quic-go"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// silence is how long a connection may take to answer before it counts as dead.
	silence = 1500 * time.Millisecond

	// olderSilence is how long an older connection may take at least if its round trip is
	// known. It is shorter, since the peer connects again mostly because it takes the
	// connection for dead, and since it stays connected.
	olderSilence = 750 * time.Millisecond

	// maxOlder bounds how many peers are asked on older connections at a time.
	maxOlder = 64

	// maxConnsAsked bounds the connections of one peer that are asked.
	maxConnsAsked = 8
)

// alive reports whether the other end of a connection answers within some time, or later on a
// machine that is late itself. The question is whether it speaks the ping protocol, and any
// answer will do: a no, and a refusal too. If ctx ends first, the connection counts as alive.
func (c *Caller) alive(ctx context.Context, conn network.Conn, wait time.Duration) bool {
	c.cfg.Pulse.Begin()
	defer c.cfg.Pulse.End()
	asking, cancel := c.cfg.Pulse.Limit(ctx, wait)
	defer cancel()
	stream, err := conn.NewStream(asking)
	if err == nil {
		interrupt := context.AfterFunc(asking, func() { _ = stream.Reset() })
		err = msmux.SelectProtoOrFail(ping.ID, stream)
		interrupt()
		_ = stream.Reset()
	}
	return err == nil || asking.Err() == nil || ctx.Err() != nil
}

// older has the peers that are being asked on their older connections.
type older struct {
	mu  sync.Mutex
	now map[peer.ID]struct{}
}

// begin reports whether a peer may be asked now. If so, call end when that is over.
func (o *older) begin(id peer.ID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, busy := o.now[id]; busy || len(o.now) >= maxOlder {
		return false
	}
	if o.now == nil {
		o.now = make(map[peer.ID]struct{})
	}
	o.now[id] = struct{}{}
	return true
}

func (o *older) end(id peer.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.now, id)
}

// AskOlder asks the older connections of a peer that has connected again whether they are
// alive, in the background, and closes the dead ones. Relayed ones are left alone,
// because a direct connection mostly comes after them.
func (c *Caller) AskOlder(newest network.Conn) {
	if newest == nil {
		return
	}
	id := newest.RemotePeer()
	var conns []network.Conn
	for _, conn := range c.cfg.Host.Network().ConnsToPeer(id) {
		if conn != newest && !scope.Relayed(conn) && conn.Stat().Opened.Before(newest.Stat().Opened) {
			conns = append(conns, conn)
		}
	}
	if len(conns) == 0 || !c.older.begin(id) {
		return
	}
	started := c.cfg.Tasks.Go(func(ctx context.Context) {
		defer c.older.end(id)
		c.closeDead(ctx, conns)
	})
	if !started {
		c.older.end(id)
	}
}

// closeDead asks some connections whether they are alive, and closes the dead ones.
func (c *Caller) closeDead(ctx context.Context, conns []network.Conn) {
	conns = conns[:min(len(conns), maxConnsAsked)]
	_ = tasks.Each(ctx, len(conns), slices.Values(conns), func(ctx context.Context, conn network.Conn) error {
		if !c.AnswersWithin(ctx, conn, 0) {
			_ = conn.Close()
		}
		return nil
	})
}

// AnswersWithin reports whether the other end of a connection answers. It has at least some
// time, and no less than what an older connection has. If ctx ends first, AnswersWithin is true.
func (c *Caller) AnswersWithin(ctx context.Context, conn network.Conn, least time.Duration) bool {
	return c.alive(ctx, conn, max(least, patience(conn)))
}

// patience returns how long an older connection has to answer.
func patience(conn network.Conn) time.Duration {
	var over *quic.Conn
	if !conn.As(&over) {
		return silence
	}
	return patienceFor(over.ConnectionStats().SmoothedRTT)
}

// patienceFor returns how long an older connection with a round trip, 0 if it is unknown, has
// to answer: enough that what is lost is sent two times more.
func patienceFor(roundTrip time.Duration) time.Duration {
	if roundTrip <= 0 {
		return silence
	}
	return max(olderSilence, 8*roundTrip)
}

// RelayAnswers returns the connections to a relay that go through no other relay, and
// whether the relay answers on one of the first eight, each of which is asked up to so many
// times.
func (c *Caller) RelayAnswers(ctx context.Context, relay peer.ID, times int) (conns []network.Conn, answers bool) {
	conns = slices.DeleteFunc(c.cfg.Host.Network().ConnsToPeer(relay), scope.Relayed)
	return conns, slices.ContainsFunc(conns[:min(len(conns), maxConnsAsked)], func(conn network.Conn) bool {
		return c.Answers(ctx, conn, times)
	})
}

// Answers reports whether the other end of a connection answers. It is asked up to so many
// times, and has four round trips each time, at least 1.5 s. If ctx ends first, Answers is
// true.
func (c *Caller) Answers(ctx context.Context, conn network.Conn, times int) bool {
	wait := max(silence, 4*c.cfg.Host.Peerstore().LatencyEWMA(conn.RemotePeer()))
	for range times {
		if c.alive(ctx, conn, wait) {
			return true
		}
	}
	return false
}
