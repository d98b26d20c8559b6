package call

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// newHost returns a real host with an address on this machine, or without one.
func newHost(t *testing.T, addrs ...string) lhost.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings(addrs...), libp2p.EnableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// connect connects a host to another one.
func connect(t *testing.T, from, to lhost.Host) {
	t.Helper()
	if err := from.Connect(t.Context(), peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

// A hangingUp is a host whose connections to a peer end while a stream to it is opened.
type hangingUp struct{ lhost.Host }

func (h *hangingUp) NewStream(ctx context.Context, to peer.ID, ids ...lprotocol.ID) (network.Stream, error) {
	if err := h.Network().ClosePeer(to); err != nil {
		return nil, err
	}
	return h.Host.NewStream(ctx, to, ids...)
}

// A request says that its connection has ended, and does not dial, if that happens while its
// stream is opened.
func TestConnectionEndsBeforeStream(t *testing.T) {
	const local = "/ip4/127.0.0.1/tcp/0"
	here, there := newHost(t), newHost(t, local)
	there.SetStreamHandler("/test", func(s network.Stream) { _ = s.Reset() })
	for _, h := range []lhost.Host{&hangingUp{here}, here} {
		if h != here {
			connect(t, here, there)
		}
		s := NewStreams(h, "/test", "/many", nil, func() {})
		_, err := s.Request(t.Context(), there.ID(), protocol.FindNode{Target: []byte("x")})
		if !connectionEnded(err) || here.Network().Connectedness(there.ID()) == network.Connected {
			t.Errorf("%v, and then it is %v", err, here.Network().Connectedness(there.ID()))
		}
	}
}

// A request whose connection the peer ends, as its connection manager does, is made again on a new
// one.
func TestEndedConnectionIsNotTakenAgain(t *testing.T) {
	for _, addr := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		for range 5 {
			c, there := realCallerAt(t, addr)
			var asked atomic.Int32
			there.SetStreamHandler("/test", func(s network.Stream) {
				if asked.Add(1) == 1 {
					_ = s.Conn().CloseWithError(network.ConnGarbageCollected)
				} else {
					_ = s.ResetWithError(network.StreamProtocolViolation)
				}
			})
			connect(t, c.cfg.Host, there)
			_, err := c.Request(t.Context(), nil, routing.ContactOf(there.ID()), protocol.Ping{}, nil)
			if OutcomeOf(err) != table.Refused || asked.Load() != 2 {
				t.Errorf("%s: asked %d times: %v, which is %v", addr, asked.Load(), err, OutcomeOf(err))
			}
		}
	}
}

// A connStream is a stream of a connection that can be closed.
type connStream struct {
	*scriptedStream

	conn publicConn
}

func (s *connStream) Conn() network.Conn { return &s.conn }

// A connection whose end a stream tells is closed before the request can be made again, also if it
// does not count as closed yet. What ends the stream alone closes nothing.
func TestToldEndClosesConnection(t *testing.T) {
	for _, tt := range []struct {
		err  error
		ends bool
	}{
		{&network.ConnError{ErrorCode: network.ConnGarbageCollected, Remote: true}, true},
		{fmt.Errorf("idle: %w", net.ErrClosed), true},
		{&network.StreamError{Remote: true}, false},
		{network.ErrReset, false},
		{io.ErrUnexpectedEOF, false},
		{os.ErrDeadlineExceeded, false},
	} {
		on := &connStream{scriptedStream: newScriptedStream(nil)}
		err := newStream(on, nil, new(observe.Traffic)).failure(tt.err)
		if on.conn.closed != tt.ends || errors.Is(err, errConnEnded) != tt.ends {
			t.Errorf("%v: closed %v, %v", tt.err, on.conn.closed, err)
		}
	}
}

// When a relay ends a relayed connection, the requests on it are not refused by the peer, and
// are sent again.
func TestRelayEndsConnection(t *testing.T) {
	for _, transport := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		here, there, between := newHost(t), newHost(t), newHost(t, transport)
		relaying, err := relay.New(between, relay.WithInfiniteLimits())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = relaying.Close() })
		connect(t, here, between)
		connect(t, there, between)
		if _, err := client.Reserve(t.Context(), there, peer.AddrInfo{ID: between.ID(), Addrs: between.Addrs()}); err != nil {
			t.Fatal(err)
		}
		there.SetStreamHandler("/test", func(network.Stream) { _ = between.Network().ClosePeer(there.ID()) })
		circuit := multiaddr.StringCast("/p2p/" + between.ID().String() + "/p2p-circuit")
		if err := here.Connect(t.Context(), peer.AddrInfo{ID: there.ID(), Addrs: []multiaddr.Multiaddr{circuit}}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		s := NewStreams(here, "/test", "/many", nil, func() {})
		_, err = s.Request(ctx, there.ID(), protocol.FindNode{Target: []byte("x")})
		if !connectionEnded(err) || errors.Is(err, kaderr.ErrRefused) {
			t.Errorf("%s: %v", transport, err)
		}
	}
}
