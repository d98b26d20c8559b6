//go:build linux

package nat

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// patience bounds what is to happen, and always does.
	patience = 10 * time.Second

	// silence is how long something is waited for that is not to happen. Were it
	// too short, a test would pass that should not, but none would fail.
	silence = 300 * time.Millisecond

	inner   = 4001 // port of the host
	outer   = 9000 // port of the public machines
	another = 9001 // another of theirs
)

// behaviours is what each flavour does, as its documentation says: which of three
// packets to a mapping that the host has made by sending to public machine 0 come
// in, and whether it has the same mapping when it sends to public machine 1.
var behaviours = map[Flavour]struct {
	udp, anotherPort, anotherMachine, sameMapping bool
}{
	Cone:            {udp: true, sameMapping: true},
	FullCone:        {udp: true, anotherPort: true, anotherMachine: true, sameMapping: true},
	AddressFiltered: {udp: true, anotherPort: true, sameMapping: true},
	Symmetric:       {udp: true},
	NoUDP:           {sameMapping: true},
}

func TestFlavoursUDP(t *testing.T) {
	for _, f := range Flavours() {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			l := up(t, Plan{Public: 2, Behind: []Flavour{f}})
			want := behaviours[f]
			host := udp(t, l.Hosts[0], inner)
			first, other, stranger := udp(t, l.Public[0], outer), udp(t, l.Public[0], another), udp(t, l.Public[1], outer)

			host.send(t, "hello", netip.AddrPortFrom(l.Public[0].Addr, outer))
			if !want.udp {
				first.hearsNothing(t)
				return
			}
			mapped := first.hears(t, "hello")
			if mapped.Addr() != l.Outside(0) {
				t.Errorf("the host appears as %v, want the router's %v", mapped, l.Outside(0))
			}
			other.send(t, "another port", mapped)
			stranger.send(t, "another machine", mapped)
			first.send(t, "reply", mapped)
			heard := map[string]bool{"reply": true, "another port": want.anotherPort, "another machine": want.anotherMachine}
			maps.DeleteFunc(heard, func(_ string, in bool) bool { return !in })
			host.hearsOnly(t, slices.Collect(maps.Keys(heard))...)

			host.send(t, "hello", netip.AddrPortFrom(l.Public[1].Addr, outer))
			if again := stranger.hears(t, "hello"); (again == mapped) != want.sameMapping {
				t.Errorf("mapped to %v, and to %v for another machine; want the same: %v", mapped, again, want.sameMapping)
			}
		})
	}
}

func TestFlavoursTCP(t *testing.T) {
	for _, f := range Flavours() {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			l := up(t, Plan{Public: 2, Behind: []Flavour{f}})
			want := behaviours[f]
			host := l.Hosts[0]
			serve(t, host, inner)
			first, stranger := serve(t, l.Public[0], outer), serve(t, l.Public[1], outer)

			if err := connect(t, host, inner, netip.AddrPortFrom(l.Public[0].Addr, outer), patience); err != nil {
				t.Fatal(err)
			}
			mapped := <-first
			if mapped.Addr() != l.Outside(0) {
				t.Errorf("the host appears as %v, want the router's %v", mapped, l.Outside(0))
			}
			for _, in := range []struct {
				from *Machine
				want bool
			}{{l.Public[0], want.anotherPort}, {l.Public[1], want.anotherMachine}} {
				wait := silence
				if in.want {
					wait = patience
				}
				err := connect(t, in.from, another, mapped, wait)
				if (err == nil) != in.want {
					t.Errorf("%v connects to the mapping: %v, want success: %v", in.from.Addr, err, in.want)
				}
			}
			if err := connect(t, host, inner, netip.AddrPortFrom(l.Public[1].Addr, outer), patience); err != nil {
				t.Fatal(err)
			}
			if again := <-stranger; (again == mapped) != want.sameMapping {
				t.Errorf("mapped to %v, and to %v for another machine; want the same: %v", mapped, again, want.sameMapping)
			}
		})
	}
}

// A udpSocket is a socket of a machine.
type udpSocket struct{ *net.UDPConn }

func udp(t *testing.T, m *Machine, port uint16) udpSocket {
	t.Helper()
	conn, err := m.ListenUDP(port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return udpSocket{conn}
}

func (s udpSocket) send(t *testing.T, what string, to netip.AddrPort) {
	t.Helper()
	if _, err := s.WriteToUDPAddrPort([]byte(what), to); err != nil {
		t.Fatal(err)
	}
}

// next waits for a packet.
func (s udpSocket) next(wait time.Duration) (what string, from netip.AddrPort, err error) {
	buf := make([]byte, 100)
	if err := s.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return "", netip.AddrPort{}, err
	}
	n, from, err := s.ReadFromUDPAddrPort(buf)
	return string(buf[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
}

// hears waits for a packet, and returns who sent it.
func (s udpSocket) hears(t *testing.T, what string) netip.AddrPort {
	t.Helper()
	got, from, err := s.next(patience)
	if err != nil || got != what {
		t.Fatalf("received %q, %v; want %q", got, err, what)
	}
	return from
}

// hearsOnly waits for some packets, in any order, and for others that are not
// to come.
func (s udpSocket) hearsOnly(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for wait := patience; ; {
		what, _, err := s.next(wait)
		if err != nil {
			break
		}
		if got = append(got, what); len(got) >= len(want) {
			wait = silence
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("received %q, want %q", got, want)
	}
}

func (s udpSocket) hearsNothing(t *testing.T) {
	t.Helper()
	if what, from, err := s.next(silence); err == nil {
		t.Errorf("received %q from %v, want nothing", what, from)
	}
}

// sharedPort lets a port be listened on and dialled from.
func sharedPort(_, _ string, c syscall.RawConn) (err error) {
	control := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if err == nil {
		err = control
	}
	return err
}

// serve accepts connections, and returns who they come from.
func serve(t *testing.T, m *Machine, port uint16) <-chan netip.AddrPort {
	t.Helper()
	listener, err := m.Listen(t.Context(), net.ListenConfig{Control: sharedPort}, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	from := make(chan netip.AddrPort, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			from <- conn.RemoteAddr().(*net.TCPAddr).AddrPort()
			_, _ = io.WriteString(conn, "welcome")
			_ = conn.Close()
		}
	}()
	return from
}

// connect connects from a port, and waits for the welcome.
func connect(t *testing.T, from *Machine, port int, to netip.AddrPort, wait time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	conn, err := from.Dial(ctx, net.Dialer{LocalAddr: &net.TCPAddr{Port: port}, Control: sharedPort}, "tcp4", to.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "welcome" {
		return fmt.Errorf("welcomed with %q: %w", got, err)
	}
	return nil
}
