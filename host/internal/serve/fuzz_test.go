package serve

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
)

// A session is what strangers do to a node, as the bytes of a fuzz target say: they have some
// streams, and on these send bytes, requests, parts of requests, and ends.
type session struct {
	t       *testing.T
	node    *node
	rest    []byte // what is left of the script
	streams [4]network.Stream
	sent    int
	made    int // bytes that were allocated here: for frames of many, of which a part may be sent, and for both ends of streams
}

// takesMany is the stream of a session whose messages have many requests.
const takesMany = 3

// next returns the next byte of the script; 0 at its end.
func (s *session) next() int {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return int(b)
}

// validFrames returns requests of all kinds, about a few keys.
func validFrames() (frames [][]byte) {
	self := protocol.Peer{ID: calltest.ID(1000), Addrs: roomtest.Addrs("/ip4/20.0.7.7/tcp/4001", "/ip4/10.0.0.1/udp/1/quic-v1")}
	for _, req := range []protocol.Request{
		protocol.Ping{},
		protocol.FindNode{Target: []byte(calltest.ID(3))},
		protocol.FindNode{Target: []byte(calltest.ID(1000))},
		protocol.GetValue{Key: []byte("/v/held")},
		protocol.GetValue{Key: []byte("/v/a")},
		protocol.PutValue{Record: protocol.Record{Key: []byte("/v/a"), Value: []byte("1")}},
		protocol.PutValue{Record: protocol.Record{Key: []byte("/v/a"), Value: make([]byte, 20<<10)}},
		protocol.PutValue{Record: protocol.Record{Key: []byte("/v/held"), Value: append([]byte("3"), make([]byte, 20<<10)...)}},
		protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{self}},
		protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{{ID: aPeer}}, Proof: []byte("no proof")},
		protocol.GetProviders{Key: []byte("key")},
	} {
		frames = append(frames, protocol.AppendRequestFrame(nil, req))
	}
	return frames
}

// open opens one of the streams, whose answers are read and have to be frames.
func (s *session) open(i int) {
	dial := dialFrom
	if i == takesMany {
		dial = dialMany
	}
	near := dial(s.node, calltest.ID(1000+i/2), netAddr(i/2))
	s.streams[i] = near
	s.made += 8 << 10 // a reader, whose buffer has 4 KiB, and both ends of the stream
	go func() {
		var buf []byte
		for r := bufio.NewReader(near); ; {
			var err error
			if buf, err = protocol.ReadFrameInto(r, buf, protocol.MaxFrame); err != nil {
				var reset *network.StreamError
				if !errors.Is(err, io.EOF) && !errors.As(err, &reset) {
					s.t.Errorf("an answer cannot be read: %v", err)
				}
				return
			}
		}
	}()
}

// step does what the next bytes of the script say.
func (s *session) step(valid [][]byte) {
	what := s.next()
	i := what % len(s.streams)
	stream := s.streams[i]
	write := func(b []byte) {
		s.sent += len(b)
		_, _ = stream.Write(b)
	}
	frame := func() []byte {
		one := valid[s.next()%len(valid)]
		if i != takesMany {
			return one
		}
		_, prefix := binary.Uvarint(one)
		times := s.next()
		size := times * (len(one) + protowire.SizeTag(1) + binary.MaxVarintLen32)
		many := make([]byte, 0, size)
		for range times {
			many = protowire.AppendBytes(protowire.AppendTag(many, 1, protowire.BytesType), one[prefix:])
		}
		s.made += 2*size + binary.MaxVarintLen32
		return protocol.AppendFrame(make([]byte, 0, size+binary.MaxVarintLen32), many)
	}
	switch what / len(s.streams) % 8 {
	case 0, 1:
		n := min(s.next(), len(s.rest))
		write(s.rest[:n])
		s.rest = s.rest[n:]
	case 2, 3:
		for range 1 + s.next()%8 {
			write(frame())
		}
	case 4: // the begin of a request
		f := frame()
		write(f[:s.next()%len(f)])
	case 5: // a request with one byte changed
		f := append([]byte(nil), frame()...)
		f[s.next()%len(f)] ^= byte(1 + s.next())
		write(f)
	case 6:
		_ = stream.CloseWrite()
		s.open(i)
	default:
		if what > 128 {
			_ = stream.Reset()
			s.open(i)
			return
		}
		time.Sleep(time.Duration(s.next()) * 100 * time.Millisecond)
	}
}

// allocated returns how many bytes were allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// FuzzServe has strangers do anything on several streams. The node does not panic, serves
// the next peer, holds on to no stream, no memory and no place, ends all of its goroutines, and
// allocates in proportion to what it is sent.
func FuzzServe(f *testing.F) {
	valid := validFrames()
	for i := range valid {
		f.Add([]byte{2 * 4, 0, byte(i)})
	}
	f.Add([]byte{4 * 4, 7, 40, 7*4 + 1, 255, 4 * 4, 1, 3})                                        // half a request, for a while
	f.Add([]byte{2*4 + takesMany, 0, 5, 100, 2*4 + takesMany, 3, 8, 255, 5, 8, 0, 1, 7*4 + 1, 9}) // many
	f.Add([]byte{0, 5, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 3, 0x80, 0, 0})                           // lengths
	f.Add([]byte{2 * 4, 7, 3, 3, 3, 3, 3, 3, 3, 3, 6 * 4, 5*4 + 3, 5, 7, 9, 7})                   // pipelined, and one that is wrong
	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) { testSession(t, script, valid) })
	})
}

func testSession(t *testing.T, script []byte, valid [][]byte) {
	n := newNode(t, 3) // one less than there are streams
	acquaint(n, 30, "/ip4/192.0.2.1/tcp/4001")
	hold(t, n, "/v/held", "2")
	s := &session{t: t, node: n, rest: script}
	before := allocated()
	for i := range s.streams {
		s.open(i)
	}
	for len(s.rest) > 0 {
		s.step(valid)
	}
	for _, stream := range s.streams {
		_ = stream.CloseWrite()
	}
	time.Sleep(10 * time.Second) // requests that press have their turns
	synctest.Wait()
	// A request of a few bytes is answered with 20 peers, and a value is copied a few times.
	if got, limit := allocated()-before, uint64(1<<20+1000*(s.sent+len(script))+s.made); got > limit {
		t.Errorf("%d bytes are allocated for %d, want at most %d", got, s.sent, limit)
	}
	checkIdle(t, n)
	if !pings(dialFrom(n, aPeer, netAddr(50))) {
		t.Error("the next peer is not served")
	}
	n.Close()
	n.Done().Wait()
}

// checkIdle checks that a node holds nothing for streams, of which none is left.
func checkIdle(t *testing.T, n *node) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.streams) > 0 || len(n.shares) > 0 || n.memory != 0 {
		t.Errorf("%d streams, %d peers and %d bytes are left", len(n.streams), len(n.shares), n.memory)
	}
	queues := []*queue{&n.queue, &n.pressed.queue}
	for _, acc := range n.used.of {
		queues = append(queues, &acc.pace.queue)
	}
	for _, q := range queues {
		if len(q.running)+len(q.waiting) > 0 {
			t.Errorf("%d running and %d waiting requests are left", len(q.running), len(q.waiting))
		}
	}
}
