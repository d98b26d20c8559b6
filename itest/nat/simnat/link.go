package simnat

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/marcopolo/simnet"
)

// firstFreePort is where ports begin that are given to who does not ask for one.
const firstFreePort = 49152

// ErrInUse is the error of [Link.Listen] if the port is taken.
var ErrInUse = errors.New("simnat: the port is in use")

// A Link is where a machine is plugged into the network. It is safe for concurrent
// use.
type Link struct {
	net  *Net
	nat  *NAT // nil: it is at a public address
	addr netip.Addr

	mu        sync.Mutex
	sockets   map[uint16]*socket
	unplugged bool
}

// Addr returns the address of the machine: behind a NAT, the private one.
func (l *Link) Addr() netip.Addr { return l.addr }

// Unplug makes all packets to and from the machine vanish, without a word to
// either side, until [Link.Plug].
func (l *Link) Unplug() { l.setUnplugged(true) }

// Plug undoes [Link.Unplug].
func (l *Link) Plug() { l.setUnplugged(false) }

func (l *Link) setUnplugged(unplugged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unplugged = unplugged
}

func (l *Link) plugged() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.unplugged
}

// Listen opens a socket. If port is 0, it gets a free one. The error is [ErrInUse].
func (l *Link) Listen(port uint16) (net.PacketConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if port == 0 {
		for port = firstFreePort; l.sockets[port] != nil; port++ {
			if port == 1<<16-1 {
				return nil, fmt.Errorf("%w: all of them", ErrInUse)
			}
		}
	}
	if l.sockets[port] != nil {
		return nil, fmt.Errorf("%w: %d of %s", ErrInUse, port, l.addr)
	}
	addr := netip.AddrPortFrom(l.addr, port)
	s := &socket{SimConn: simnet.NewBlockingSimConn(udpAddr(addr)), link: l, addr: addr}
	s.SetUpPacketReceiver(receiver(s.send))
	if l.sockets == nil {
		l.sockets = make(map[uint16]*socket)
	}
	l.sockets[port] = s
	if l.nat == nil {
		l.net.add(addr, s.deliver)
	} else {
		l.nat.attach(s)
	}
	return s, nil
}

// A socket is a port of a machine.
type socket struct {
	*simnet.SimConn
	link *Link
	addr netip.AddrPort
}

// Close frees the port.
func (s *socket) Close() error {
	s.link.mu.Lock()
	if s.link.sockets[s.addr.Port()] == s {
		delete(s.link.sockets, s.addr.Port())
		if s.link.nat == nil {
			s.link.net.remove(s.addr)
		} else {
			s.link.nat.detach(s)
		}
	}
	s.link.mu.Unlock()
	return s.SimConn.Close()
}

// send takes what the machine sends.
func (s *socket) send(p *simnet.Packet) {
	p.To = udpAddr(addrPort(p.To))
	switch {
	case !s.link.plugged():
	case s.link.nat != nil:
		s.link.nat.out(s, p)
	default:
		s.link.net.router.RecvPacket(p)
	}
}

// deliver takes what arrives for the machine.
func (s *socket) deliver(p *simnet.Packet) {
	if s.link.plugged() {
		s.RecvPacket(p)
	}
}
