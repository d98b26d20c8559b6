package serve

import (
	"bufio"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
)

// What each request takes from the bytes that arrive on a stream in memory to the answer on it.
// An announcement has a ping after it, which says when it was served.
func BenchmarkServe(b *testing.B) {
	n := newNode(b, 256)
	acquaint(n, 150, "/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.1/udp/4001/quic-v1")
	hold(b, n, "/v/key", "1")
	key := []byte("key")
	provider := protocol.Peer{ID: aPeer, Addrs: roomtest.Addrs(
		"/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/192.0.2.7/tcp/4001", "/ip4/192.0.2.7/udp/4001/quic-v1")}
	far := roomtest.NewConn(aPeer, multiaddr.StringCast(privateAddr))
	for _, bench := range []struct {
		name string
		req  protocol.Request
		then protocol.Request // in turn with it; nil: the same
	}{
		{"ping", protocol.Ping{}, nil},
		{"find-node", protocol.FindNode{Target: []byte(calltest.ID(5000))}, nil},
		{"get-value", protocol.GetValue{Key: []byte("/v/key")}, nil},
		{"put-value", protocol.PutValue{Record: protocol.Record{Key: []byte("/v/key"), Value: []byte("1")}}, nil},
		{"add-provider", protocol.AddProvider{Key: key, Providers: []protocol.Peer{provider}}, nil},
		{
			"add-provider-of-other-addresses",
			protocol.AddProvider{Key: key, Providers: []protocol.Peer{provider}},
			protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: aPeer, Addrs: provider.Addrs[1:]}}},
		},
		{"get-providers", protocol.GetProviders{Key: key}, nil},
	} {
		b.Run(bench.name, func(b *testing.B) {
			near, theirs := roomtest.NewStream(roomtest.NewConn(n.host.ID(), nil), far)
			go n.Handle(theirs)
			var frames [2][]byte
			for i, req := range []protocol.Request{bench.req, bench.then} {
				if req == nil {
					req = bench.req
				}
				frames[i] = protocol.AppendRequestFrame(nil, req)
				if _, ok := req.(protocol.AddProvider); ok {
					frames[i] = protocol.AppendRequestFrame(frames[i], protocol.Ping{})
				}
			}
			r, buf := bufio.NewReader(near), []byte(nil)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := near.Write(frames[i%2]); err != nil {
					b.Fatal(err)
				}
				var err error
				if buf, err = protocol.ReadFrameInto(r, buf, protocol.MaxFrame); err != nil {
					b.Fatal(err)
				}
			}
			_ = near.Close()
		})
	}
	b.Run("echo", func(b *testing.B) { benchmarkEcho(b, far) })
	n.Done().Wait()
}

// benchmarkEcho is the limit of what a stream in memory can: it sends back frames of 34 bytes,
// as a ping and a request have.
func benchmarkEcho(b *testing.B, far network.Conn) {
	near, theirs := roomtest.NewStream(far, far)
	var echo sync.WaitGroup
	echo.Go(func() {
		r, buf, frame := bufio.NewReader(theirs), []byte(nil), []byte(nil)
		for {
			var err error
			if buf, err = protocol.ReadFrameInto(r, buf, protocol.MaxFrame); err != nil {
				return
			}
			frame = protocol.AppendFrame(frame[:0], buf)
			if _, err := theirs.Write(frame); err != nil {
				return
			}
		}
	})
	frame := protocol.AppendFrame(nil, make([]byte, 34))
	r, buf := bufio.NewReader(near), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := near.Write(frame); err != nil {
			b.Fatal(err)
		}
		var err error
		if buf, err = protocol.ReadFrameInto(r, buf, protocol.MaxFrame); err != nil {
			b.Fatal(err)
		}
	}
	_ = near.Close()
	echo.Wait()
}
