package host

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/routing"
)

const (
	// renewInterval is how often a host behind a NAT asks anew for its address, and
	// renewPause how often at most, when holes cannot be punched: they cannot for other
	// reasons, too.
	renewInterval = 3 * time.Minute
	renewPause    = 20 * time.Second

	// renewedAtOnce is how many connections are renewed. Of two dials, one at least
	// prefers QUIC, whose connections do not break when the address changes.
	renewedAtOnce = 2
)

// renewing is when connections are renewed. It belongs to the goroutine maintain.
type renewing struct{ last, next time.Time }

// renewIfDue renews connections now and then, and when holes could not be punched,
// while others cannot reach the host otherwise. When the NAT gets another address,
// connections over QUIC live on. Each of those they go to told the host its address
// when it was opened, which is the one that is offered to who punches a hole: it would
// be the old one for as long as they last.
func (k *keeper) renewIfDue(now time.Time) time.Time {
	d, r := k.dht, &k.renewing
	if !k.join.done || !d.needsRelay() {
		r.next = time.Time{}
		return time.Time{}
	}
	if r.next.IsZero() {
		r.next = now.Add(jittered(renewInterval))
	}
	due := r.next
	if soon := r.last.Add(renewPause); d.unpunched.Load() && soon.Before(due) {
		due = soon
	}
	if now.Before(due) {
		return due
	}
	if k.room(renewJob) == 0 {
		return time.Time{} // its end calls upkeep
	}
	d.unpunched.Store(false)
	r.last, r.next = now, now.Add(jittered(renewInterval))
	k.start(renewJob, d.renew, func(err error) {
		if err != nil {
			log.Debugw("renewing a connection", "error", err)
		}
	})
	return r.next
}

// punchFailed takes note that no hole could be punched.
func (d *DHT) punchFailed() {
	d.unpunched.Store(true)
	poke(d.keeper.wake)
}

// renew closes connections to servers that nobody uses just now, those that are open
// for longest, and opens them again. If there are too few, it connects to servers that
// it is not connected to.
func (d *DHT) renew(ctx context.Context) error {
	idle := d.idleConns()
	idle = idle[:min(len(idle), renewedAtOnce)]
	var ids []peer.ID
	for _, conn := range idle {
		_ = conn.Close()
		ids = append(ids, conn.RemotePeer())
	}
	for _, c := range d.peers.sound(d.peers.self, d.cfg.K) {
		if len(ids) < renewedAtOnce && !d.connected(c.ID) && !slices.Contains(ids, c.ID) {
			ids = append(ids, c.ID)
		}
	}
	var failed error
	for _, id := range ids {
		if err := d.connect(ctx, id); err != nil {
			failed = err // the network goes on without it
		}
	}
	return failed
}

// idleConns returns the connections that can be renewed, the oldest first: those over
// QUIC to servers on the internet, without streams, and that nobody wants to keep.
func (d *DHT) idleConns() []network.Conn {
	held := d.relays.holds()
	conns := slices.DeleteFunc(d.host.Network().Conns(), func(conn network.Conn) bool {
		id := conn.RemotePeer()
		return !has(conn.RemoteMultiaddr(), multiaddr.P_QUIC_V1) || relayed(conn) || scopeTo(conn) != scopePublic ||
			len(conn.GetStreams()) > 0 || len(d.host.Network().ConnsToPeer(id)) > 1 ||
			slices.Contains(held, id) || !d.peers.has(routing.ContactOf(id)) || d.host.ConnManager().IsProtected(id, "")
	})
	slices.SortFunc(conns, func(a, b network.Conn) int { return a.Stat().Opened.Compare(b.Stat().Opened) })
	return conns
}
