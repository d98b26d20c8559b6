package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// A wireHost is a host whose streams are wires. The host inside has the connections, and
// identify.
type wireHost struct {
	lhost.Host
	net *testNet

	mu       sync.Mutex
	handlers map[lprotocol.ID]network.StreamHandler
}

// SetStreamHandler implements lhost.Host.
func (h *wireHost) SetStreamHandler(id lprotocol.ID, handler network.StreamHandler) {
	h.mu.Lock()
	h.handlers[id] = handler
	h.mu.Unlock()
	h.Host.SetStreamHandler(id, handler)
}

// RemoveStreamHandler implements lhost.Host.
func (h *wireHost) RemoveStreamHandler(id lprotocol.ID) {
	h.mu.Lock()
	delete(h.handlers, id)
	h.mu.Unlock()
	h.Host.RemoveStreamHandler(id)
}

// NewStream implements lhost.Host: it connects the caller to the handler of the
// other host.
func (h *wireHost) NewStream(ctx context.Context, to peer.ID, ids ...lprotocol.ID) (network.Stream, error) {
	if err := h.Connect(ctx, peer.AddrInfo{ID: to}); err != nil {
		return nil, err
	}
	other := h.net.wires[to]
	conns, back := h.Network().ConnsToPeer(to), other.Network().ConnsToPeer(h.ID())
	if len(conns) == 0 || len(back) == 0 {
		return nil, network.ErrNoConn
	}
	other.mu.Lock()
	handler := other.handlers[ids[0]]
	other.mu.Unlock()
	if handler == nil {
		return nil, fmt.Errorf("protocol not supported: %s", ids[0])
	}
	near, far := newWire(conns[0], back[0])
	go handler(far)
	return near, nil
}

// A wireConn is a connection as far as streams ask for it.
type wireConn struct {
	network.Conn
	remote peer.ID
	addr   multiaddr.Multiaddr
}

func (c *wireConn) RemotePeer() peer.ID                  { return c.remote }
func (c *wireConn) RemoteMultiaddr() multiaddr.Multiaddr { return c.addr }

// newWire returns the two ends of a stream in memory.
func newWire(nearConn, farConn network.Conn) (near, far *wire) {
	there, back := newOneWay(), newOneWay()
	return &wire{conn: nearConn, in: back, out: there}, &wire{conn: farConn, in: there, out: back}
}

// A wire is one end of a stream in memory.
type wire struct {
	network.Stream // nil: what is not implemented is not used

	conn    network.Conn
	in, out *oneWay
}

func (w *wire) Conn() network.Conn                { return w.conn }
func (w *wire) Scope() network.StreamScope        { return &network.NullScope{} }
func (w *wire) Read(p []byte) (int, error)        { return w.in.read(p) }
func (w *wire) Write(p []byte) (int, error)       { return w.out.write(p) }
func (w *wire) SetReadDeadline(t time.Time) error { w.in.reading.set(w.in, t); return nil }
func (w *wire) SetWriteDeadline(t time.Time) error {
	w.out.writing.set(w.out, t)
	return nil
}

func (w *wire) CloseWrite() error {
	w.out.end(io.EOF, io.ErrClosedPipe, false)
	return nil
}

func (w *wire) CloseRead() error {
	w.in.end(io.EOF, network.ErrReset, true)
	return nil
}

func (w *wire) Close() error {
	_ = w.CloseWrite()
	return w.CloseRead()
}

func (w *wire) Reset() error { return w.ResetWithError(0) }

func (w *wire) ResetWithError(code network.StreamErrorCode) error {
	local := &network.StreamError{ErrorCode: code}
	remote := &network.StreamError{ErrorCode: code, Remote: true}
	w.out.end(remote, local, true)
	w.in.end(local, remote, true)
	return nil
}

// maxOnWire is how much is on its way before a writer waits.
const maxOnWire = 64 << 10

// oneWay is one direction of a stream.
type oneWay struct {
	mu               sync.Mutex
	changed          *sync.Cond
	buf              []byte
	readErr          error // when buf is empty
	writeErr         error
	reading, writing deadline
}

func newOneWay() *oneWay {
	w := new(oneWay)
	w.changed = sync.NewCond(&w.mu)
	return w
}

// A deadline is that of one side.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) set(w *oneWay, t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d.at = t
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), w.changed.Broadcast)
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (w *oneWay) read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.buf) == 0 {
		if w.readErr != nil {
			return 0, w.readErr
		}
		if w.reading.passed() {
			return 0, os.ErrDeadlineExceeded
		}
		w.changed.Wait()
	}
	n := copy(p, w.buf)
	w.buf = w.buf[n:]
	w.changed.Broadcast()
	return n, nil
}

func (w *oneWay) write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writeErr == nil && len(w.buf) > maxOnWire {
		if w.writing.passed() {
			return 0, os.ErrDeadlineExceeded
		}
		w.changed.Wait()
	}
	if w.writeErr != nil {
		return 0, w.writeErr
	}
	w.buf = append(w.buf, p...)
	w.changed.Broadcast()
	return len(p), nil
}

// end ends the direction for both sides; the first end counts, but that a reset
// counts after a regular one too.
func (w *oneWay) end(reader, writer error, drop bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.readErr == nil || drop && errors.Is(w.readErr, io.EOF) {
		w.readErr = reader
	}
	if w.writeErr == nil {
		w.writeErr = writer
	}
	if drop {
		w.buf = nil
	}
	w.changed.Broadcast()
}
