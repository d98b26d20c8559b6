package connect

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: when the network of the machine changes, connections that can carry
// nothing any more seem to be open: over QUIC for the 30 s of its idle timeout, over TCP
// for longer. The host reads the addresses of the machine once a minute, so its event is
// late. So the addresses are read twice a second here; a connection from an address that is
// gone is closed, and every other one is asked whether it is alive.
//
// It can go when the host does this itself.

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/quic-go/quic-go"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// lookInterval is how often the addresses of the machine are read, which takes less
	// than 0.1 ms.
	lookInterval = time.Second / 2

	// foreignInterval is how often at most they are read if the host does not use them.
	foreignInterval = time.Minute

	// sleepAge is how much farther the clock on the wall may go than the clock that stops
	// while the machine sleeps, before the machine counts as having slept.
	sleepAge = 10 * time.Second

	// asksAtOnce bounds the connections that are asked at a time. Each is asked once: within
	// the time that it has, the transport repeats what was lost.
	asksAtOnce = 256
)

// A machine is what is known of the addresses of this machine. It belongs to the goroutine
// of the background loop.
type machine struct {
	addrs   []netip.Addr // by which other machines are reached, sorted
	looked  time.Time    // when they were read; zero: not yet
	gone    []netip.Addr // addresses whose connections are to be closed
	changed bool         // the connections are to be asked
	foreign bool         // the host has no socket of this machine
}

// MoveJob returns the job that closes connections that have died with a change of the
// machine's network, or while the machine slept: within half a second if their address is
// gone, and within 3 s if they are silent.
func (c *Connector) MoveJob() tasks.Job { return tasks.Job{Name: "move", Due: c.moveDue} }

func (c *Connector) moveDue(now time.Time, start *tasks.Start) time.Time {
	m := &c.machine
	if c.cfg.Interfaces == nil {
		return time.Time{}
	}
	next := m.looked.Add(lookInterval)
	if m.foreign {
		next = m.looked.Add(foreignInterval)
	}
	if !now.Before(next) {
		m.look(now, c.cfg.Interfaces)
		m.foreign = !c.onMachine()
		next = now.Add(lookInterval)
	}
	if m.foreign {
		return time.Time{} // with another job
	}
	if m.changed && len(m.addrs) > 0 && start.Room() > 0 {
		gone := m.gone
		m.gone, m.changed = nil, false
		c.cfg.Reach.Moved()     // the router, or what it maps the new address to, may be another one
		c.renewSoon.Store(true) // renewal tells it
		start.Run(func(ctx context.Context) error { return c.closeDead(ctx, gone) }, nil)
	}
	return next
}

// onMachine reports whether the host has sockets of this machine: hosts in memory have none.
func (c *Connector) onMachine() bool {
	listens := c.cfg.Host.Network().ListenAddresses()
	return len(listens) == 0 || slices.ContainsFunc(listens, func(a multiaddr.Multiaddr) bool {
		return manet.IsIPUnspecified(a) || slices.Contains(c.machine.addrs, ipOf(a))
	})
}

// look reads the addresses of the machine, and notes what has changed. An address that is
// back before its connections were closed is not gone: they go on.
func (m *machine) look(now time.Time, read func() ([]net.Addr, error)) {
	addrs, err := read()
	if err != nil {
		addrs = nil // as if the machine had no network
	}
	current := Usable(addrs)
	if !m.looked.IsZero() {
		slept := tasks.Jumped(m.looked, now) >= sleepAge
		m.changed = m.changed || slept || !slices.Equal(current, m.addrs)
		m.gone = slices.DeleteFunc(append(m.gone, m.addrs...), func(a netip.Addr) bool { return slices.Contains(current, a) })
	}
	m.addrs, m.looked = current, now
}

// Usable returns the addresses by which other machines are reached, sorted.
func Usable(addrs []net.Addr) []netip.Addr {
	var ips []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() {
			ips = append(ips, p.Addr().Unmap())
		}
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	return slices.Compact(ips)
}

// closeDead closes the connections from addresses that are gone, and all others whose other
// end is silent.
func (c *Connector) closeDead(ctx context.Context, gone []netip.Addr) error {
	conns := slices.DeleteFunc(c.cfg.Host.Network().Conns(), scope.Relayed)
	return tasks.Each(ctx, asksAtOnce, slices.Values(conns), func(ctx context.Context, conn network.Conn) error {
		if slices.Contains(gone, localIP(conn)) || !c.cfg.Call.Answers(ctx, conn, 1) {
			return c.closePath(conn)
		}
		return nil
	})
}

// closePath closes a connection that carries nothing any more, and the relayed ones of its
// peer that are older: no hole is punched for these again, so the peer would stay relayed.
// The next relayed one also tells the peer that the direct connection is gone.
func (c *Connector) closePath(dead network.Conn) error {
	for _, conn := range c.cfg.Host.Network().ConnsToPeer(dead.RemotePeer()) {
		if scope.Relayed(conn) && conn.Stat().Opened.Before(dead.Stat().Opened) {
			_ = conn.Close()
		}
	}
	return dead.Close()
}

// localIP returns the address of this end of a connection; an unspecified one if the system
// chooses it for each packet. The host reports that of the socket for all connections over
// QUIC. The connection itself knows which one a peer has dialled; where this host has
// dialled, it moves to another address without loss.
func localIP(conn network.Conn) netip.Addr {
	var over *quic.Conn
	if conn.As(&over) {
		if at, ok := over.LocalAddr().(*net.UDPAddr); ok {
			return at.AddrPort().Addr().Unmap()
		}
	}
	return ipOf(conn.LocalMultiaddr())
}

// ipOf returns the IP address in an address; the zero Addr if there is none.
func ipOf(a multiaddr.Multiaddr) netip.Addr {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}
