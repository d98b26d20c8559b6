package nat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"sync"
	"syscall"
)

// A Machine is a computer of a lab. Its methods may be called concurrently.
type Machine struct {
	Addr netip.Addr // on the internet, or in the network behind its router

	ns     *namespace
	device string // its interface

	far  *namespace // where the other end of that is: in the internet, or a router
	link string     // the interface there

	mu       sync.Mutex // guards programs
	programs []*exec.Cmd
}

// Dial opens a connection from the machine, to an address in numbers. It takes
// turns with all else that is done on the machine: where it may take long, ctx has
// to bound it.
func (m *Machine) Dial(ctx context.Context, d net.Dialer, network, addr string) (conn net.Conn, err error) {
	err = m.ns.do(func() error {
		conn, err = d.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// Listen listens for TCP on a port of the machine, on all its addresses.
func (m *Machine) Listen(ctx context.Context, c net.ListenConfig, port uint16) (listener net.Listener, err error) {
	err = m.ns.do(func() error {
		listener, err = c.Listen(ctx, "tcp4", fmt.Sprintf(":%d", port))
		return err
	})
	return listener, err
}

// ListenUDP opens a socket for UDP on a port of the machine, on all its addresses.
func (m *Machine) ListenUDP(port uint16) (conn *net.UDPConn, err error) {
	err = m.ns.do(func() error {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: int(port)})
		return err
	})
	return conn, err
}

// Start starts a program on the machine. Whoever starts it waits for it; the end
// of the lab, or of this process, kills it.
func (m *Machine) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // when the thread of the namespace ends
	if err := m.ns.do(cmd.Start); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.programs = append(m.programs, cmd)
	return nil
}

// Cut takes the machine from the network, or gives it back. Nobody is told: what
// it sends and what is sent to it disappears.
func (m *Machine) Cut(off bool) error {
	change := "-D"
	if off {
		change = "-A"
	}
	return errors.Join(
		m.ns.iptables("*raw", change+" PREROUTING -i "+m.device+" -j DROP", "COMMIT"),
		m.far.iptables("*raw", change+" PREROUTING -i "+m.link+" -j DROP", "COMMIT"),
	)
}

// DropMulticast has the machine send no multicast, as behind an access point that lets none
// through.
func (m *Machine) DropMulticast() error {
	return m.ns.iptables("*filter", "-A OUTPUT -d 224.0.0.0/4 -j DROP", "COMMIT")
}

// close kills the programs of the machine and removes it.
func (m *Machine) close() {
	m.mu.Lock()
	programs := m.programs
	m.mu.Unlock()
	for _, cmd := range programs {
		_ = cmd.Process.Kill() // an error is that it has ended
	}
	m.ns.close()
}
