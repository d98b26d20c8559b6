package connect

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: a connection over QUIC whose other end is gone is open for the 30 s of its
// idle timeout, and what is written to it meanwhile is lost; so too where the other end has
// moved, or its NAT has another address, and it cannot say so. The transport
// counts packets, so it is seen twice a second, without traffic, when packets go out and none
// comes back; such a connection is asked.
//
// It can go when the host does this itself.

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/quic-go/quic-go"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// silentLooks is at how many looks in a row packets must have gone out without one that
	// came in. A single one may be the acknowledgement of the last that came in.
	silentLooks = 2

	// outage is how long a connection that has become silent may take to answer, if the peer
	// is connected in no other way: a peer that has lost its network for so long goes on.
	outage = 3 * time.Second

	// maxWitnesses bounds the peers that are asked whether this host is online.
	maxWitnesses = 3
)

// traffic is how a connection stood at the last look.
type traffic struct {
	sent, received uint64 // packets
	silent         int    // looks in a row
}

// next returns how the connection stands at the next look.
func (t traffic) next(sent, received uint64) traffic {
	silent := t.silent
	switch {
	case received != t.received:
		silent = 0
	case sent != t.sent:
		silent++
	}
	return traffic{sent, received, silent}
}

// silence has the connections as they stood at the last look. It belongs to the goroutine of
// the background loop.
type silence struct {
	of    *Connector
	next  time.Time
	conns map[network.Conn]traffic
}

// SilenceJob returns the job that closes connections whose other end has become silent:
// within 5 s of the first packet that is not acknowledged, and within 2 s if the peer is
// connected through a relay too, while other peers answer.
func (c *Connector) SilenceJob() tasks.Job {
	s := &silence{of: c}
	return tasks.Job{Name: "silence", Due: s.due}
}

func (s *silence) due(now time.Time, start *tasks.Start) time.Time {
	c := s.of
	if c.cfg.Interfaces == nil || c.machine.foreign {
		return time.Time{}
	}
	if now.Before(s.next) {
		return s.next
	}
	s.next = now.Add(lookInterval)
	if suspects := s.look(c.cfg.Host.Network().Conns()); len(suspects) > 0 && start.Room() > 0 {
		start.Run(func(ctx context.Context) error { return c.closeSilent(ctx, suspects) }, nil)
	}
	return s.next
}

// look looks at connections, and returns the ones that are silent.
func (s *silence) look(conns []network.Conn) (suspects []network.Conn) {
	before := s.conns
	s.conns = make(map[network.Conn]traffic, len(before))
	for _, conn := range conns {
		var over *quic.Conn
		if scope.Relayed(conn) || !conn.As(&over) {
			continue
		}
		stats := over.ConnectionStats()
		t, known := before[conn]
		if !known {
			t = traffic{stats.PacketsSent, stats.PacketsReceived, 0}
		}
		t = t.next(stats.PacketsSent, stats.PacketsReceived)
		s.conns[conn] = t
		if t.silent >= silentLooks {
			suspects = append(suspects, conn)
		}
	}
	return suspects
}

// closeSilent asks connections whether their other ends are there, and closes the ones that
// do not answer, if another peer does. If none does, this host is probably offline: then the
// transport decides, whose connections outlive short outages.
func (c *Connector) closeSilent(ctx context.Context, suspects []network.Conn) error {
	var mu sync.Mutex
	dead := make(map[network.Conn]bool)
	var online atomic.Bool
	asked := append(slices.Clone(suspects), c.witnesses(suspects)...)
	_ = tasks.Each(ctx, asksAtOnce, slices.Values(asked), func(ctx context.Context, conn network.Conn) error {
		wait := outage
		if c.otherwise(conn) {
			wait = 0
		}
		if c.cfg.Call.AnswersWithin(ctx, conn, wait) {
			online.Store(true)
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		dead[conn] = true
		return nil
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	if !online.Load() {
		return nil
	}
	for _, conn := range suspects {
		if dead[conn] {
			c.renewSoon.Store(true) // perhaps since the NAT has another address: renewal tells it
			_ = c.closePath(conn)
		}
	}
	return nil
}

// witnesses returns a few direct connections to peers that are not suspected.
func (c *Connector) witnesses(suspects []network.Conn) []network.Conn {
	conns := slices.DeleteFunc(c.cfg.Host.Network().Conns(), func(conn network.Conn) bool {
		return scope.Relayed(conn) || slices.ContainsFunc(suspects, func(s network.Conn) bool {
			return s.RemotePeer() == conn.RemotePeer()
		})
	})
	return conns[:min(len(conns), maxWitnesses)]
}

// otherwise reports whether the peer of a connection has another one.
func (c *Connector) otherwise(conn network.Conn) bool {
	return len(c.cfg.Host.Network().ConnsToPeer(conn.RemotePeer())) > 1
}
