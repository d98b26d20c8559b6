package resume

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/host/carry"
)

const (
	defaultWindow   = 1 << 20
	defaultPatience = 2 * time.Minute

	// maxAccepted and maxAcceptedOfPeer bound the streams that other peers have opened here.
	maxAccepted       = 64
	maxAcceptedOfPeer = 8

	helloTimeout = 5 * time.Second
	closeTimeout = time.Second // of streams that are closed, at the end of their endpoint

	// codeReset ends a stream of libp2p together with the Stream on it.
	codeReset network.StreamErrorCode = 0x6b61
)

// A Config configures an [Endpoint]. The zero value of a field means its default.
type Config struct {
	// Connect connects the host to a peer, wherever that is, and waits for a direct
	// connection if it can. It is called while a stream has no direct connection, again and
	// again. With a DHT of this module:
	//
	//	func(ctx context.Context, id peer.ID) error {
	//		_, err := dht.Connect(ctx, id)
	//		return err
	//	}
	//
	// If nil, the Connect of the host, which dials the addresses that are known, and asks the
	// routing of the host if it has one.
	Connect func(ctx context.Context, id peer.ID) error

	// Accept handles a stream that another peer has opened, in a goroutine of its own. The
	// stream is closed when Accept returns. If nil, no stream is accepted. At most 64 streams
	// are open at a time, and 8 of one peer; more are refused.
	Accept func(*Stream)

	// Patience is how long a stream without a path looks for one before it fails. If zero, 2
	// minutes; negative means without an end.
	Patience time.Duration

	// Window is how many bytes that are not read yet are kept in each direction, by the
	// side that sends and the side that receives. The rate of a stream is at most a window
	// for each round trip. If zero, 1 MiB.
	Window int

	hold   time.Duration // directPatience; tests have less
	linger time.Duration // lingering; tests have less
}

// An Endpoint opens and accepts streams of one protocol. Its methods are safe for concurrent
// use.
type Endpoint struct {
	host     lhost.Host
	protocol lprotocol.ID
	cfg      Config
	ctx      context.Context // of all that runs in the background
	stop     context.CancelFunc
	running  sync.WaitGroup
	watcher  *network.NotifyBundle
	left     chan struct{} // buffered, length 1: a stream is forgotten

	mu       sync.Mutex
	closed   bool
	streams  map[*Stream]struct{}
	accepted map[key]*Stream // those that others have opened
}

// A key names a stream that another peer has opened.
type key struct {
	peer peer.ID
	id   id
}

// New returns an endpoint of a protocol on a host, which both peers need. Close it before the
// host.
func New(h lhost.Host, protocol lprotocol.ID, cfg Config) *Endpoint {
	if cfg.Patience == 0 {
		cfg.Patience = defaultPatience
	}
	if cfg.Window <= 0 {
		cfg.Window = defaultWindow
	}
	cfg.hold = cmp.Or(cfg.hold, directPatience)
	cfg.linger = cmp.Or(cfg.linger, lingering)
	if cfg.Connect == nil {
		cfg.Connect = func(ctx context.Context, id peer.ID) error { return h.Connect(ctx, peer.AddrInfo{ID: id}) }
	}
	e := &Endpoint{
		host: h, protocol: protocol, cfg: cfg, left: make(chan struct{}, 1),
		streams: make(map[*Stream]struct{}), accepted: make(map[key]*Stream),
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.watcher = &network.NotifyBundle{ConnectedF: func(_ network.Network, conn network.Conn) { e.connected(conn.RemotePeer()) }}
	h.Network().Notify(e.watcher)
	h.SetStreamHandler(protocol, e.accept)
	return e
}

// ErrClosed is returned after the end of an [Endpoint]. It is a [net.ErrClosed].
var ErrClosed = fmt.Errorf("resume: the endpoint is closed: %w", net.ErrClosed)

// Open opens a stream to a peer, and waits until that has accepted it, but not longer than
// ctx. A peer that does not speak the protocol, or refuses, is an error at once.
func (e *Endpoint) Open(ctx context.Context, id peer.ID) (*Stream, error) {
	s := e.newStream(id)
	s.opener = true
	_, _ = rand.Read(s.id[:]) // it never fails
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, ErrClosed
	}
	e.begin(s)
	e.mu.Unlock()
	if err := s.await(ctx, func() bool { return s.begun }); err != nil {
		if ctx.Err() != nil {
			err = errors.Join(err, s.Status().Err)
		}
		_ = s.Reset()
		return nil, fmt.Errorf("resume: %s was not reached: %w", id, err)
	}
	return s, nil
}

// begin lets a stream look for paths. The lock is held, and the endpoint open.
func (e *Endpoint) begin(s *Stream) {
	e.streams[s] = struct{}{}
	e.running.Go(s.keep)
}

// leave removes a stream that is over from those that other peers have opened: its peer may open
// another one.
func (e *Endpoint) leave(s *Stream) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if k := (key{s.peer, s.id}); e.accepted[k] == s {
		delete(e.accepted, k)
	}
}

// forget removes a stream, of whose end the other side has heard.
func (e *Endpoint) forget(s *Stream) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.streams, s)
	select {
	case e.left <- struct{}{}:
	default:
	}
}

// all returns the streams.
func (e *Endpoint) all() []*Stream {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.streams))
}

// connected tells the streams to a peer that there is another connection to it.
func (e *Endpoint) connected(id peer.ID) {
	for _, s := range e.all() {
		if s.peer == id {
			s.mu.Lock()
			s.news = true
			s.mu.Unlock()
			s.poke()
		}
	}
}

// accept handles a path that another peer has opened.
func (e *Endpoint) accept(on network.Stream) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		_ = on.Reset()
		return
	}
	e.running.Add(1)
	defer e.running.Done()
	e.mu.Unlock()

	_ = on.SetDeadline(time.Now().Add(helloTimeout))
	defer context.AfterFunc(e.ctx, func() { _ = on.Reset() })()
	h, err := readHello(on)
	if err != nil {
		_ = on.Reset()
		return
	}
	s, fresh, refusal := e.find(key{on.Conn().RemotePeer(), h.id}, h.first)
	if refusal != answerYes {
		_, _ = on.Write(welcome{answer: refusal}.bytes())
		_ = on.Close()
		return
	}
	p := newPath(s, on, h.window)
	got, err := s.adopt(p, h.got)
	if err != nil {
		_ = on.Reset()
		if fresh {
			s.fail(err)
		}
		return
	}
	if _, err := on.Write(welcome{answerYes, got, int64(e.cfg.Window)}.bytes()); err != nil {
		p.broke(err)
	} else {
		p.run()
	}
	if fresh {
		e.running.Go(func() { // this is one of running itself
			defer s.Close() //nolint:errcheck // it returns none
			e.cfg.Accept(s)
		})
	}
}

// find returns the stream of a hello, which is fresh if the hello is the first.
func (e *Endpoint) find(k key, first bool) (s *Stream, fresh bool, refusal answer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.accepted[k]; s != nil {
		return s, false, answerYes
	}
	of := 0
	for other := range e.accepted {
		if other.peer == k.peer {
			of++
		}
	}
	switch {
	case !first || e.closed || e.cfg.Accept == nil:
		return nil, false, answerGone
	case len(e.accepted) >= maxAccepted, of >= maxAcceptedOfPeer:
		return nil, false, answerFull
	}
	s = e.newStream(k.peer)
	s.id, s.begun = k.id, true
	e.accepted[k] = s
	e.begin(s)
	return s, true, answerYes
}

// Close ends all streams. Streams that were closed have up to a second to send what was
// written to them; see [Stream.Flush] for more. It waits up to a second more until the other
// sides have heard that their streams have ended, and then for all calls of Config.Accept.
// Closing twice is fine.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.host.RemoveStreamHandler(e.protocol)
	e.await(func(streams []*Stream) bool { return !slices.ContainsFunc(streams, (*Stream).isClosing) })
	e.host.Network().StopNotify(e.watcher)
	for _, s := range e.all() {
		s.fail(ErrClosed)
	}
	e.await(func(streams []*Stream) bool { return len(streams) == 0 })
	e.stop()
	e.running.Wait()
	return nil
}

// await waits until a condition holds for the streams, or up to a second. Only Close calls it.
func (e *Endpoint) await(holds func([]*Stream) bool) {
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	for !holds(e.all()) {
		select {
		case <-e.left:
		case <-timeout.C:
			return
		}
	}
}

// hasConn reports whether there is an open connection to a peer, or a direct one.
func (e *Endpoint) hasConn(id peer.ID, direct bool) bool {
	return slices.ContainsFunc(e.host.Network().ConnsToPeer(id), func(conn network.Conn) bool {
		return !conn.IsClosed() && (!direct || !carry.IsRelayed(conn))
	})
}
