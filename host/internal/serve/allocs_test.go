package serve

import (
	"bufio"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
)

// How many objects a request takes, from the bytes that arrive on a stream to the answer on
// it. The stream and the reader of the test take 3 of them, those of a ping, and an
// announcement has a ping after it. It takes no more while a program, such as the page, reads the
// events. The counters, which are the metrics, count in any case.
func TestAllocations(t *testing.T) {
	if roomtest.RaceEnabled {
		t.Skip("the race detector allocates, too")
	}
	n := newNode(t, 256)
	acquaint(n, 150, "/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.1/udp/4001/quic-v1")
	hold(t, n, "/v/key", "1")
	key := []byte("key")
	add := protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: aPeer, Addrs: roomtest.Addrs("/ip4/10.0.0.1/tcp/1")}}}
	far := roomtest.NewConn(aPeer, multiaddr.StringCast(privateAddr))
	for _, tt := range []struct {
		req protocol.Request
		max float64
	}{
		{protocol.Ping{}, 1},
		{protocol.FindNode{Target: []byte(calltest.ID(5000))}, 4},
		{protocol.GetValue{Key: []byte("/v/key")}, 7},
		{protocol.PutValue{Record: protocol.Record{Key: []byte("/v/key"), Value: []byte("1")}}, 14},
		{add, 8},
		{protocol.GetProviders{Key: key}, 4},
	} {
		alone := objects(t, n, far, tt.req)
		n.cfg.Observer = observe.New(nil)
		ctx, cancel := context.WithCancel(t.Context())
		_ = n.cfg.Observer.Events(ctx, ctx)
		watched := objects(t, n, far, tt.req)
		cancel()
		n.cfg.Observer = nil
		if max(alone, watched) > tt.max {
			t.Errorf("%T: %.0f objects, %.0f while the events are read; want at most %.0f", tt.req, alone, watched, tt.max)
		}
	}
}

// objects returns how many objects it takes to serve a request of a peer.
func objects(t *testing.T, n *node, from network.Conn, req protocol.Request) float64 {
	t.Helper()
	near, theirs := roomtest.NewStream(roomtest.NewConn(n.host.ID(), nil), from)
	go n.Handle(theirs)
	frame := protocol.AppendRequestFrame(nil, req)
	if _, ok := req.(protocol.AddProvider); ok { // it has no answer: a ping says when it was served
		frame = protocol.AppendRequestFrame(frame, protocol.Ping{})
	}
	r := bufio.NewReader(near)
	got := testing.AllocsPerRun(1000, func() {
		if _, err := near.Write(frame); err != nil {
			t.Fatal(err)
		}
		if _, err := protocol.ReadFrame(r, protocol.MaxFrame); err != nil {
			t.Fatal(err)
		}
	})
	_ = near.Close()
	n.Done().Wait()
	return got
}

// How many objects a stream with one request takes, from its begin to its end: its buffers are
// those of an earlier stream. The two ends of it in the test are among them.
func TestAllocationsOfStream(t *testing.T) {
	if roomtest.RaceEnabled {
		t.Skip("the race detector allocates, too")
	}
	n := newNode(t, 256)
	acquaint(n, 150, "/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.1/udp/4001/quic-v1")
	from := roomtest.NewConn(aPeer, multiaddr.StringCast("/ip4/1.2.3.4/tcp/1"))
	frame := protocol.AppendRequestFrame(nil, protocol.FindNode{Target: []byte(calltest.ID(5000))})
	r, buf := bufio.NewReader(nil), []byte(nil)
	got := testing.AllocsPerRun(1000, func() {
		near, theirs := roomtest.NewStream(roomtest.NewConn(n.host.ID(), nil), from)
		var err error
		if _, err = near.Write(frame); err != nil {
			t.Fatal(err)
		}
		_ = near.CloseWrite()
		n.Handle(theirs)
		r.Reset(near)
		if buf, err = protocol.ReadFrameInto(r, buf, protocol.MaxFrame); err != nil {
			t.Fatal(err)
		}
	})
	if got > 30 {
		t.Errorf("%.0f objects, want at most 30", got)
	}
}

// A stream that is in use for long has at least the time of its limits, less slack, for each
// request, and sets them seldom.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := new(deadlineStream)
		d := &deadlines{stream: stream, node: t.Context()}
		defer d.end()
		for range 600 {
			now := time.Now()
			d.reading(now)
			work := d.working(now)
			d.writing(now)
			until, _ := work.Deadline()
			for name, left := range map[string]time.Duration{
				"to read": stream.read.Sub(now) - idleTimeout, "to write": stream.write.Sub(now) - answerTimeout, "to work": until.Sub(now) - answerTimeout,
			} {
				if left > 0 || left <= -slack {
					t.Fatalf("%v more than the limit %s", left, name)
				}
			}
			if work.Err() != nil {
				t.Fatal("the context of a request has ended")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if stream.set > 2*60/2 {
			t.Errorf("deadlines were set %d times in a minute, want twice every %v", stream.set, slack)
		}
	})
}

// A deadlineStream has deadlines, and nothing else.
type deadlineStream struct {
	network.Stream

	read, write time.Time
	set         int
}

func (s *deadlineStream) SetReadDeadline(t time.Time) error {
	s.read, s.set = t, s.set+1
	return nil
}

func (s *deadlineStream) SetWriteDeadline(t time.Time) error {
	s.write, s.set = t, s.set+1
	return nil
}
