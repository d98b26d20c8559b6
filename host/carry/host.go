package carry

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// A Config configures a [Host]. The zero value of a field means its default.
type Config struct {
	// MaxMessage is the size of the largest message, in bytes. If zero, 1 MiB, as in
	// pubsub. A stream with a larger one is reset.
	MaxMessage int

	// Lost, if not nil, is called when messages that were written to a peer may be
	// missing there, although the stream goes on. It runs in the goroutine that reads
	// the stream, and must return soon.
	Lost func(peer.ID)

	// Begun, if not nil, is called when a peer has begun a stream to this host, before it
	// is read. It must return soon.
	Begun func(peer.ID)

	// Greeting, if not nil, returns messages that are written to a peer again when the
	// peer has begun another stream: a protocol such as pubsub forgets what the peer said
	// at the beginning of its stream when the stream in the other direction ends. It runs
	// while no other message is written to the peer, and must return soon.
	Greeting func() []byte
}

// A Host is a libp2p host whose streams move from relayed to direct connections. Its
// methods are safe for concurrent use.
type Host struct {
	lhost.Host
	cfg     Config
	ctx     context.Context // of what runs in the background
	stop    context.CancelFunc
	running sync.WaitGroup // moves, and a watch for each stream
	watcher *network.NotifyBundle
	ended   chan struct{} // buffered, length 1: a writer has ended

	mu      sync.Mutex
	closed  bool
	writers map[streamKey]*writer
	readers map[streamKey]*reader
}

// A streamKey identifies the stream in one direction.
type streamKey struct {
	peer     peer.ID
	protocol lprotocol.ID
}

func keyOf(s network.Stream) streamKey { return streamKey{s.Conn().RemotePeer(), s.Protocol()} }

// New returns a host on top of h. Close it after the protocols that use it, and before
// h. A libp2p host can have one.
func New(h lhost.Host, cfg Config) *Host {
	if cfg.MaxMessage <= 0 {
		cfg.MaxMessage = 1 << 20
	}
	c := &Host{
		Host:    h,
		cfg:     cfg,
		ended:   make(chan struct{}, 1),
		writers: make(map[streamKey]*writer),
		readers: make(map[streamKey]*reader),
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	h.SetStreamHandler(moveProtocol, c.continueReading)
	c.watcher = &network.NotifyBundle{ConnectedF: func(_ network.Network, conn network.Conn) {
		if !IsRelayed(conn) {
			c.moveAll(conn.RemotePeer())
		}
	}}
	h.Network().Notify(c.watcher)
	return c
}

// ErrClosed is returned for streams of a host that is closed.
var ErrClosed = errors.New("carry: closed")

// Close waits until streams to write to have been closed, and read by the other peers,
// but not longer than half a second for each. Then it ends all that the Host runs by
// itself, and resets streams that are still open to write to. It leaves the host below
// open. Closing twice is fine.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	timeout := time.NewTimer(readTimeout)
	defer timeout.Stop()
	for waiting := true; waiting && len(h.open()) > 0; {
		select {
		case <-h.ended:
		case <-timeout.C:
			waiting = false
		}
	}
	h.Host.Network().StopNotify(h.watcher)
	h.RemoveStreamHandler(moveProtocol)
	h.stop()
	for _, w := range h.open() {
		_ = w.Reset()
	}
	h.running.Wait()
	return nil
}

// open returns the writers.
func (h *Host) open() []*writer {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.writers))
}

// IsRelayed reports whether a connection goes through a relay. A relayed connection is
// not always a limited one: there are relays without limits.
func IsRelayed(conn network.Conn) bool {
	_, err := conn.RemoteMultiaddr().ValueForProtocol(multiaddr.P_CIRCUIT)
	return err == nil
}

// hasDirect reports whether there is an open direct connection to a peer.
func (h *Host) hasDirect(id peer.ID) bool {
	return slices.ContainsFunc(h.Host.Network().ConnsToPeer(id), func(conn network.Conn) bool {
		return !conn.IsClosed() && !IsRelayed(conn)
	})
}

// Network returns the network of the host, in which no connection is limited.
func (h *Host) Network() network.Network { return unlimited{h.Host.Network()} }

// unlimited is a network that reports limited connections as connections.
type unlimited struct{ network.Network }

// Connectedness returns whether there is any connection to a peer.
func (n unlimited) Connectedness(id peer.ID) network.Connectedness {
	if state := n.Network.Connectedness(id); state != network.Limited {
		return state
	}
	return network.Connected
}

// NewStream opens a stream to write to, on the best connection that there is. It does
// not dial. A stream to the same peer with the same protocol ID that is open is reset.
func (h *Host) NewStream(ctx context.Context, id peer.ID, protocols ...lprotocol.ID) (network.Stream, error) {
	ctx = network.WithNoDial(network.WithAllowLimitedConn(ctx, "carry"), "carry")
	s, err := h.Host.NewStream(ctx, id, protocols...)
	if err != nil {
		return nil, err
	}
	w := &writer{Stream: s, key: keyOf(s), host: h, now: s, over: make(chan struct{})}
	before, err := h.add(w)
	if err != nil {
		_ = s.Reset()
		return nil, err
	}
	if before != nil {
		_ = before.Reset()
	}
	return w, nil
}

// add makes a writer part of the host, and returns the one before, or nil.
func (h *Host) add(w *writer) (before *writer, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	before = h.writers[w.key]
	h.writers[w.key] = w
	h.running.Go(func() { w.watch(w.Stream) })
	if h.hasDirect(w.key.peer) { // it may have been opened since
		h.startMove(w)
	}
	return before, nil
}

// SetStreamHandler makes handler read the streams that peers write to. A stream ends
// when handler returns.
func (h *Host) SetStreamHandler(id lprotocol.ID, handler network.StreamHandler) {
	h.Host.SetStreamHandler(id, h.reading(handler))
}

// SetStreamHandlerMatch is [Host.SetStreamHandler] for all protocol IDs that match.
func (h *Host) SetStreamHandlerMatch(id lprotocol.ID, match func(lprotocol.ID) bool, handler network.StreamHandler) {
	h.Host.SetStreamHandlerMatch(id, match, h.reading(handler))
}

// reading returns a handler that gives another one a reader of the stream.
func (h *Host) reading(handler network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		r := newReader(h, s)
		if h.cfg.Begun != nil {
			h.cfg.Begun(r.key.peer)
		}
		h.begin(r)
		handler(r)
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.readers[r.key] == r {
			delete(h.readers, r.key)
		}
	}
}

// begin makes a reader part of the host, and greets its peer.
func (h *Host) begin(r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readers[r.key] = r
	if w := h.writers[r.key]; w != nil && !h.closed && h.cfg.Greeting != nil {
		h.running.Go(w.greet)
	}
}
