package simnat

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Addresses of the tests with packets: two machines, a NAT, and one behind it.
var (
	ann     = netip.MustParseAddr("40.1.0.1")
	bob     = netip.MustParseAddr("41.1.0.1")
	router  = netip.MustParseAddr("60.1.0.1")
	private = netip.MustParseAddr("192.168.1.2")
)

const oneWay = 20 * time.Millisecond

// inBubble runs a test on a Net with the same latency everywhere.
func inBubble(t *testing.T, test func(t *testing.T, n *Net)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New(1, Latency{oneWay, oneWay})
		defer n.Close()
		test(t, n)
	})
}

// open listens on a port of a Link.
func open(t *testing.T, l *Link, port uint16) net.PacketConn {
	t.Helper()
	c, err := l.Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// send sends a text.
func send(t *testing.T, c net.PacketConn, to netip.AddrPort, text string) {
	t.Helper()
	if _, err := c.WriteTo([]byte(text), net.UDPAddrFromAddrPort(to)); err != nil {
		t.Fatal(err)
	}
}

// receive returns the next packet, if one comes within a second.
func receive(t *testing.T, c net.PacketConn) (text string, from netip.AddrPort) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, addr, err := c.ReadFrom(buf)
	if err != nil {
		return "", netip.AddrPort{}
	}
	return string(buf[:n]), addrPort(addr)
}

// at is short for an address with a port.
func at(addr netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(addr, port) }
