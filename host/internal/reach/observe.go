package reach

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
)

// Dialled records that the host dials a peer, or that its connection ended.
func (r *Reach) Dialled(id peer.ID) {
	tasks.Locked(&r.mu, func(now time.Time) { r.dialled.add(now, id) })
}

// Observe takes note of where a connected peer is, and of which side dialled.
func (r *Reach) Observe(conn network.Conn) {
	if conn == nil || scope.OfConn(conn) != scope.Public || scope.Relayed(conn) {
		return
	}
	speaks := r.cfg.Table.Speaks(conn.RemotePeer())
	inbound := conn.Stat().Direction == network.DirInbound
	apart := inbound && r.apart(conn)
	r.change(func(now time.Time) {
		if conn.Stat().Direction == network.DirOutbound {
			r.dialled.add(now, conn.RemotePeer())
		}
		if apart && !r.dialled.has(now, conn.RemotePeer()) {
			r.facts.dialled = now
		}
		r.facts.publicPeer = r.facts.publicPeer || speaks
	})
}

// apart reports whether no connection explains that the peer of an inbound one could
// reach the host: there is none to its IP address that the host dialled, and none through
// a relay, over which both sides dial to punch a hole.
func (r *Reach) apart(conn network.Conn) bool {
	if slices.ContainsFunc(r.cfg.Host.Network().ConnsToPeer(conn.RemotePeer()), scope.Relayed) {
		return false
	}
	ip, err := manet.ToIP(conn.RemoteMultiaddr())
	return err == nil && !slices.ContainsFunc(r.cfg.Host.Network().Conns(), func(c network.Conn) bool {
		other, err := manet.ToIP(c.RemoteMultiaddr())
		return err == nil && c.Stat().Direction == network.DirOutbound && other.Equal(ip)
	})
}

const (
	// natLetsIn is how long a router at least may let a peer in that the host has dialled
	// or was connected to: RFC 4787 has 2 minutes for UDP, many routers have 5, and RFC
	// 5382 has 4 for what is left of a TCP connection.
	natLetsIn = 5 * time.Minute

	// maxDialled bounds the peers that are remembered for that.
	maxDialled = 4096
)

// dialled are the peers that the host has dialled, or was connected to, lately. A
// connection from one of them does not prove that the host is reachable: a NAT lets
// replies in. The zero value is empty.
//
// They are in two maps, each of one period, and dropped with it: after one to two periods.
// While a map is full, has is true for every peer.
type dialled struct {
	began       time.Time // when the period did
	now, before map[peer.ID]struct{}
}

// add adds a peer that is dialled, or whose connection ended.
func (d *dialled) add(now time.Time, id peer.ID) {
	d.turn(now)
	if len(d.now) < maxDialled {
		d.now[id] = struct{}{}
	}
}

// has reports whether a peer is one of them, or may be.
func (d *dialled) has(now time.Time, id peer.ID) bool {
	d.turn(now)
	_, in := d.now[id]
	_, was := d.before[id]
	return in || was || len(d.now) == maxDialled || len(d.before) == maxDialled
}

// turn begins a new period if it is time to.
func (d *dialled) turn(now time.Time) {
	age := now.Sub(d.began)
	if d.now != nil && age < natLetsIn {
		return
	}
	d.before = d.now
	if age >= 2*natLetsIn {
		d.before = nil
	}
	d.began, d.now = now, make(map[peer.ID]struct{})
}

// addrTimeout is how long an announcement waits for an address that other peers can use.
// A relay is found within 2s, as a rule.
const addrTimeout = 5 * time.Second

// AwaitAddr waits, as long as ctx and at most 5s, until the host has an address that peers
// on the internet can use, if it can be reached only through a relay, and seeks one: a
// holder refuses an announcement without such an address. The error is that of a node
// that does not get ready.
func (r *Reach) AwaitAddr(ctx context.Context) error {
	// AutoRelay asks as soon as the host runs: by the time the node is ready, it has.
	if err := r.cfg.Table.ReadyWithin(ctx); err != nil {
		return err
	}
	if !r.SeeksRelay() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, addrTimeout)
	defer cancel()
	sub, err := r.cfg.Host.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated), eventbus.Name("kad-announce"))
	if err != nil {
		return nil // the host is closed
	}
	defer sub.Close() //nolint:errcheck // it is open
	for r.NeedsRelay() && len(scope.Reaching(r.cfg.Host.Addrs(), scope.Public)) == 0 {
		select {
		case <-sub.Out():
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
