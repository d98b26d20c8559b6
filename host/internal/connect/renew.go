package connect

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: a peer says which address it sees of this host when a connection is
// opened, and never again. When the NAT gets another address, connections over QUIC live
// on, and the host offers its old address for hole punching as long as they last. A second
// connection to the same peer would bring the new address, but the swarm dials no peer that
// is connected. So some connections are closed and opened again.
//
// It can go when a peer says the address that it sees whenever that changes.

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// renewInterval is how often a host behind a NAT asks anew for its address, and
	// renewPause how often at most, when holes cannot be punched, which can have other reasons, or
	// when all connections were in use.
	renewInterval = 3 * time.Minute
	renewPause    = 20 * time.Second

	// renewedAtOnce is how many connections are renewed. Of two dials, one at least
	// prefers QUIC, whose connections do not break when the address changes.
	renewedAtOnce = 2
)

// A renewal is when connections are renewed. It belongs to the goroutine of the background
// loop.
type renewal struct{ last, next time.Time }

// RenewJob returns the job that renews connections now and then, and when a hole could not be
// punched, while other peers cannot dial the host.
func (c *Connector) RenewJob() tasks.Job { return tasks.Job{Name: "renew", Due: c.renewDue} }

func (c *Connector) renewDue(now time.Time, start *tasks.Start) time.Time {
	r := &c.renewal
	if !c.cfg.Reach.NeedsRelay() {
		r.next = time.Time{}
		return time.Time{}
	}
	if r.next.IsZero() {
		r.next = now.Add(tasks.Jittered(renewInterval))
	}
	due := r.next
	if soon := r.last.Add(renewPause); c.renewSoon.Load() && soon.Before(due) {
		due = soon
	}
	if now.Before(due) {
		return due
	}
	if start.Room() == 0 {
		return time.Time{} // its end leads here again
	}
	c.renewSoon.Store(false)
	r.last, r.next = now, now.Add(tasks.Jittered(renewInterval))
	start.Run(c.renew, nil)
	return r.next
}

// PunchFailed records that a hole could not be punched, so that connections are renewed
// soon.
func (c *Connector) PunchFailed() {
	c.renewSoon.Store(true)
	c.cfg.Wake()
}

// renew closes the idle connections that are open for longest, and opens them again. If
// there are too few, it connects to contacts that are not connected. If it finds none of either,
// since all connections are in use, it comes again after renewPause: a stream of a request is kept
// for seconds.
func (c *Connector) renew(ctx context.Context) error {
	conns := c.renewable()
	idle := slices.DeleteFunc(slices.Clone(conns), func(conn network.Conn) bool { return len(conn.GetStreams()) > 0 })
	idle = idle[:min(len(idle), renewedAtOnce)]
	var ids []peer.ID
	for _, conn := range idle {
		_ = conn.Close()
		ids = append(ids, conn.RemotePeer())
	}
	for _, contact := range c.cfg.Table.Closest(c.cfg.Table.Self(), c.cfg.K) {
		if len(ids) < renewedAtOnce && !c.cfg.Table.Connected(contact.ID) && !slices.Contains(ids, contact.ID) {
			ids = append(ids, contact.ID)
		}
	}
	if len(ids) == 0 && len(conns) > 0 {
		c.renewSoon.Store(true)
	}
	var failed error
	for _, id := range ids {
		if err := c.cfg.Call.Connect(ctx, id); err != nil {
			failed = err // the network goes on without it
		}
	}
	return failed
}

// renewable returns the connections that can be renewed while they are idle, the oldest first:
// over QUIC, to contacts on the internet, and protected by no service of the host.
func (c *Connector) renewable() []network.Conn {
	held := c.cfg.Held()
	h := c.cfg.Host
	conns := slices.DeleteFunc(h.Network().Conns(), func(conn network.Conn) bool {
		id := conn.RemotePeer()
		return !scope.HasProtocol(conn.RemoteMultiaddr(), multiaddr.P_QUIC_V1) || scope.Relayed(conn) ||
			scope.OfConn(conn) != scope.Public || len(h.Network().ConnsToPeer(id)) > 1 ||
			slices.Contains(held, id) || !c.cfg.Table.Has(id) || c.protected(id)
	})
	slices.SortFunc(conns, func(a, b network.Conn) int { return a.Stat().Opened.Compare(b.Stat().Opened) })
	return conns
}
