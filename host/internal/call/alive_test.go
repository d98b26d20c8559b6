package call

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	msmux "github.com/multiformats/go-multistream"

	"github.com/go-kad/kad/host/internal/call/calltest"
)

// A pipeConn is a connection with a function as its other end; it hangs if that is nil.
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

func (c *pipeConn) As(any) bool { return false } // its round trip is unknown

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

// A connection is dead, and closed, only if the other end says nothing at all.
func TestAlive(t *testing.T) {
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
				new(Caller).closeDead(t.Context(), []network.Conn{conn})
				if took := time.Since(start); conn.closed.Load() != c.want || took > silence {
					t.Errorf("closed: %v after %v, want %v", conn.closed.Load(), took, c.want)
				}
			})
		})
	}
}

// An older connection has less time the shorter its round trip is.
func TestPatience(t *testing.T) {
	for roundTrip, want := range map[time.Duration]time.Duration{
		0:                      silence, // unknown
		10 * time.Millisecond:  olderSilence,
		100 * time.Millisecond: 800 * time.Millisecond,
		600 * time.Millisecond: 4800 * time.Millisecond,
	} {
		if got := patienceFor(roundTrip); got != want {
			t.Errorf("with a round trip of %v: %v, want %v", roundTrip, got, want)
		}
	}
}

// A connection does not count as dead because the wait was given up.
func TestAliveGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), silence/2)
		defer cancel()
		if !new(Caller).alive(ctx, new(pipeConn), silence) {
			t.Error("dead, though the wait was given up")
		}
	})
}

// The connections of a peer are asked once at a time, and so many peers at most.
func TestOlder(t *testing.T) {
	var o older
	for i := range maxOlder {
		if !o.begin(calltest.ID(i)) {
			t.Fatalf("peer %d is not asked", i)
		}
	}
	if o.begin(calltest.ID(0)) || o.begin(calltest.ID(maxOlder)) {
		t.Error("asked twice, or too many")
	}
	o.end(calltest.ID(0))
	if !o.begin(calltest.ID(maxOlder)) {
		t.Error("there is room again")
	}
}
