package serve

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
)

// heldKeys is how many keys a node holds that holds many.
const heldKeys = 100_000

// What each request takes from the bytes that arrive on a stream in memory to the answer on it,
// with the client, which is another goroutine. An announcement has a ping after it, which says when
// it was served. The echo of each, its limit, reads the same bytes, and answers with as many.
func BenchmarkServe(b *testing.B) {
	n := newNode(b, 256)
	acquaint(n, 150, "/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.1/udp/4001/quic-v1")
	hold(b, n, "/v/key", "1")
	key := []byte("key")
	provider := protocol.Peer{ID: aPeer, Addrs: roomtest.Addrs(
		"/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/192.0.2.7/tcp/4001", "/ip4/192.0.2.7/udp/4001/quic-v1")}
	add := protocol.AddProvider{Key: key, Providers: []protocol.Peer{provider}}
	addOther := protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: aPeer, Addrs: provider.Addrs[1:]}}}
	one := protocol.GetProviders{Key: []byte("key of one")}
	twenty := protocol.GetProviders{Key: []byte("key of twenty")}
	none := protocol.GetProviders{Key: []byte("key of none")}
	provide(b, n, one.Key, 1, provider.Addrs)
	provide(b, n, twenty.Key, 20, provider.Addrs)
	exchange{name: "ping", req: protocol.Ping{}}.benchmark(b, n)
	exchange{name: "find-node", req: protocol.FindNode{Target: []byte(calltest.ID(5000))}}.benchmark(b, n)
	exchange{name: "get-value", req: protocol.GetValue{Key: []byte("/v/key")}}.benchmark(b, n)
	exchange{name: "put-value", req: protocol.PutValue{Record: protocol.Record{Key: []byte("/v/key"), Value: []byte("1")}}}.benchmark(b, n)
	exchange{name: "add-provider", req: add}.benchmark(b, n)
	exchange{name: "add-provider-of-other-addresses", req: add, then: addOther}.benchmark(b, n)
	exchange{name: "get-providers", req: one, providers: 1}.benchmark(b, n)
	exchange{name: "get-providers-20", req: twenty, providers: 20}.benchmark(b, n)
	exchange{name: "get-providers-none", req: none}.benchmark(b, n)

	for i := range heldKeys {
		provide(b, n, binary.BigEndian.AppendUint64(nil, uint64(i)), 1, provider.Addrs)
	}
	exchange{name: "get-providers-20-of-many", req: twenty, providers: 20}.benchmark(b, n)
	exchange{name: "get-providers-none-of-many", req: none}.benchmark(b, n)
	n.Done().Wait()
}

// provide has a node hold announcements of a key by as many peers.
func provide(b *testing.B, n *node, key []byte, count int, addrs []multiaddr.Multiaddr) {
	b.Helper()
	for i := range count {
		id := calltest.ID(10_000 + i)
		add := protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: id, Addrs: addrs}}}
		if _, err := n.Answer(b.Context(), holder.From{ID: id, At: scope.Private}, add, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

// An exchange is a request, which is measured beside its echo.
type exchange struct {
	name      string
	req       protocol.Request
	then      protocol.Request // in turn with it; nil: the same
	providers int              // how many the answer is to have
}

// benchmark measures it, and an echo that answers with as many bytes.
func (e exchange) benchmark(b *testing.B, n *node) {
	frames := [2][]byte{requestFrame(e.req), requestFrame(e.req)}
	if e.then != nil {
		frames[1] = requestFrame(e.then)
	}
	far := roomtest.NewConn(aPeer, multiaddr.StringCast(privateAddr))
	near, theirs := roomtest.NewStream(roomtest.NewConn(n.host.ID(), nil), far)
	go n.Handle(theirs)
	answer, err := ask(near, bufio.NewReader(near), nil, frames[0])
	if err != nil {
		b.Fatal(err)
	}
	_ = near.Close()
	if get, ok := e.req.(protocol.GetProviders); ok {
		if resp, err := protocol.ParseResponse(get, answer); err != nil || len(resp.Providers) != e.providers {
			b.Fatalf("%s: %d providers, %v; want %d", e.name, len(resp.Providers), err, e.providers)
		}
	}
	b.Run(e.name, func(b *testing.B) { benchmarkStream(b, n.Handle, far, frames, len(answer)) })
	b.Run("echo-"+e.name, func(b *testing.B) {
		ended, perAnswer := make(chan struct{}), 1
		if _, ok := e.req.(protocol.AddProvider); ok {
			perAnswer = 2
		}
		frame := protocol.AppendFrame(nil, answer)
		benchmarkStream(b, func(s network.Stream) {
			defer close(ended)
			echo(s, perAnswer, frame)
		}, far, frames, len(answer))
		<-ended
	})
}

// requestFrame returns the frame of a request, and of what says that it was served if it has no
// answer.
func requestFrame(req protocol.Request) []byte {
	frame := protocol.AppendRequestFrame(nil, req)
	if _, ok := req.(protocol.AddProvider); ok {
		frame = protocol.AppendRequestFrame(frame, protocol.Ping{})
	}
	return frame
}

// ask writes a request, and reads the answer into buf.
func ask(s network.Stream, r *bufio.Reader, buf, frame []byte) ([]byte, error) {
	if _, err := s.Write(frame); err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	return protocol.ReadFrameInto(r, buf, protocol.MaxFrame)
}

// benchmarkStream measures exchanges on one stream, with answers of so many bytes.
func benchmarkStream(b *testing.B, handle func(network.Stream), far network.Conn, frames [2][]byte, size int) {
	near, theirs := roomtest.NewStream(far, far)
	go handle(theirs)
	r, buf := bufio.NewReader(near), []byte(nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var err error
		if buf, err = ask(near, r, buf, frames[i%2]); err != nil || len(buf) != size {
			b.Fatalf("an answer of %d bytes, %v; want %d", len(buf), err, size)
		}
	}
	_ = near.Close()
}

// echo is the limit of what a stream in memory can: it reads frames as a server does, and writes
// the same answer to each request, which has so many of them.
func echo(s network.Stream, perAnswer int, answer []byte) {
	r, buf := bufio.NewReader(s), []byte(nil)
	for i := 1; ; i++ {
		var err error
		if buf, err = protocol.ReadFrameInto(r, buf, protocol.MaxFrame); err != nil {
			return
		}
		if i%perAnswer != 0 {
			continue
		}
		if _, err := s.Write(answer); err != nil {
			return
		}
	}
}
