package pathtest

import (
	"io"
	"net"
	"sync"
	"testing"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A Wire carries TCP connections to a host, until it is cut or ended. It ends with the
// test.
type Wire struct {
	Addr     multiaddr.Multiaddr // dial it to reach the host through the wire
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

// NewWire returns a wire to a host.
func NewWire(t testing.TB, to lhost.Host) *Wire {
	t.Helper()
	_, target, err := manet.DialArgs(to.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	w := new(Wire)
	if w.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if w.Addr, err = manet.FromNetAddr(w.listener.Addr()); err != nil {
		t.Fatal(err)
	}
	w.running.Go(func() {
		for {
			near, err := w.listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				_ = near.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, near, far)
			w.mu.Unlock()
			w.running.Go(func() { w.copy(near, far) })
			w.running.Go(func() { w.copy(far, near) })
		}
	})
	t.Cleanup(w.End)
	return w
}

// copy passes on what one side sends. A wire that is cut passes on neither data nor the
// end of a connection.
func (w *Wire) copy(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if w.isCut() {
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if err != nil {
			_ = to.Close()
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (w *Wire) isCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut
}

// Cut lets all that is sent from now on get lost. Neither side notices.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
}

// End closes the connections on both sides. Ending twice is fine.
func (w *Wire) End() {
	_ = w.listener.Close()
	w.mu.Lock()
	for _, conn := range w.conns {
		_ = conn.Close()
	}
	w.mu.Unlock()
	w.running.Wait()
}
