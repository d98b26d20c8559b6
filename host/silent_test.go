package host

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	msmux "github.com/multiformats/go-multistream"
)

// A pipeConn is a connection whose other end is a function, or hangs if there is none.
type pipeConn struct {
	network.Conn // nil: what is not implemented is not used

	serve  func(rw net.Conn)
	closed atomic.Bool
}

func (c *pipeConn) NewStream(ctx context.Context) (network.Stream, error) {
	if c.serve == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	here, there := net.Pipe()
	go c.serve(there)
	return &pipeStream{pipe: here}, nil
}

func (c *pipeConn) Close() error { c.closed.Store(true); return nil }

// A pipeStream is a stream of one.
type pipeStream struct {
	network.Stream // nil, like that

	pipe net.Conn
}

func (s *pipeStream) Read(b []byte) (int, error)  { return s.pipe.Read(b) }
func (s *pipeStream) Write(b []byte) (int, error) { return s.pipe.Write(b) }
func (s *pipeStream) Close() error                { return s.pipe.Close() }
func (s *pipeStream) Reset() error                { return s.pipe.Close() }

// Only who says nothing at all is silent.
func TestSilent(t *testing.T) {
	speaks := func(ids ...string) func(net.Conn) {
		return func(rw net.Conn) {
			mux := msmux.NewMultistreamMuxer[string]()
			for _, id := range ids {
				mux.AddHandler(id, nil)
			}
			_, _, _ = mux.Negotiate(rw)
			_, _ = io.Copy(io.Discard, rw)
		}
	}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		want  bool
	}{
		"speaks ping":      {serve: speaks(ping.ID)},
		"speaks something": {serve: speaks("/other")},
		"resets":           {serve: func(rw net.Conn) { _ = rw.Close() }},
		"late":             {serve: func(rw net.Conn) { time.Sleep(silence - time.Millisecond); speaks(ping.ID)(rw) }},
		"reads only":       {serve: func(rw net.Conn) { _, _ = io.Copy(io.Discard, rw) }, want: true},
		"hangs":            {want: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := &pipeConn{serve: c.serve}
				start := time.Now()
				closeSilent(t.Context(), []network.Conn{conn})
				if took := time.Since(start); conn.closed.Load() != c.want || took > silence {
					t.Errorf("closed: %v after %v, want %v", conn.closed.Load(), took, c.want)
				}
			})
		})
	}
}

// Nobody is called silent because we stopped to listen.
func TestSilentGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), silence/2)
		defer cancel()
		if isSilent(ctx, new(pipeConn), silence) {
			t.Error("silent, though nobody waited")
		}
	})
}

// A peer is asked by one at a time, and no more than so many peers are.
func TestOlderAsker(t *testing.T) {
	var o olderAsker
	for i := range maxOlderAsked {
		if !o.begin(idOf(i)) {
			t.Fatalf("peer %d is not asked", i)
		}
	}
	if o.begin(idOf(0)) || o.begin(idOf(maxOlderAsked)) {
		t.Error("asked twice, or too many")
	}
	o.end(idOf(0))
	if !o.begin(idOf(maxOlderAsked)) {
		t.Error("there is room again")
	}
}

// A peer that was killed and is back is used at its new connection, also if the old
// one, which has more streams, has not ended yet.
func TestAskOlder(t *testing.T) { synctest.Test(t, testAskOlder) }

func testAskOlder(t *testing.T) {
	w := newSimWorld(t)
	server, _ := w.host("40.1.0.1", Config{})
	before, _ := w.host("192.168.1.2", Config{Mode: ModeClient})
	if err := before.Connect(t.Context(), info(server)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := before.NewStream(t.Context(), server.ID(), ping.ID); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	w.cut("192.168.1.2")
	after, _ := w.host("192.168.1.3", Config{Mode: ModeClient}, libp2p.Identity(before.Peerstore().PrivKey(before.ID())))
	if err := after.Connect(t.Context(), info(server)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(silence + time.Second)
	conns := server.Network().ConnsToPeer(after.ID())
	if len(conns) != 1 || !strings.Contains(conns[0].RemoteMultiaddr().String(), "192.168.1.3") {
		t.Errorf("the server has %v, want the new connection only", conns)
	}

	// One that answers stays.
	other, _ := w.host("192.168.1.4", Config{Mode: ModeClient}, libp2p.Identity(before.Peerstore().PrivKey(before.ID())))
	if err := other.Connect(t.Context(), info(server)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(silence + time.Second)
	if conns := server.Network().ConnsToPeer(after.ID()); len(conns) != 2 {
		t.Errorf("the server has %v, want both", conns)
	}
}
