package call

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
)

// A scriptedStream is a stream to a public peer, which answers as a function says.
type scriptedStream struct {
	network.Stream // nil: what is not implemented is not used

	answer func(ended <-chan struct{}) ([]byte, error) // ended is closed by CloseWrite
	ended  chan struct{}
	end    sync.Once
	sent   bytes.Buffer
	in     io.Reader
	closed bool // its connection
}

// endedBy reads to the end of b, and then fails with err.
type endedBy struct {
	io.Reader
	err error
}

func (r *endedBy) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if errors.Is(err, io.EOF) {
		err = r.err
	}
	return n, err
}

func newScriptedStream(answer func(ended <-chan struct{}) ([]byte, error)) *scriptedStream {
	return &scriptedStream{answer: answer, ended: make(chan struct{})}
}

func (s *scriptedStream) Conn() network.Conn          { return &publicConn{closed: s.closed} }
func (s *scriptedStream) Write(b []byte) (int, error) { return s.sent.Write(b) }
func (s *scriptedStream) CloseWrite() error           { s.end.Do(func() { close(s.ended) }); return nil }

func (s *scriptedStream) Read(b []byte) (int, error) {
	if s.in == nil {
		answer, err := s.answer(s.ended)
		s.in = &endedBy{bytes.NewReader(answer), err}
	}
	return s.in.Read(b)
}

// A publicConn is a connection to a public address.
type publicConn struct {
	network.Conn

	closed bool
}

func (c *publicConn) IsClosed() bool { return c.closed }
func (c *publicConn) Close() error   { c.closed = true; return nil }

func (*publicConn) RemoteMultiaddr() multiaddr.Multiaddr { return calltest.Addr(calltest.ID(1)) }

// A request ends as its stream does. Its writing side is ended after 200 ms without an
// answer, because some peers wait for that.
func TestExchange(t *testing.T) {
	find := protocol.FindNode{Target: []byte("x")}
	add := protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{{ID: calltest.ID(0)}}}
	frame := protocol.AppendResponseFrame(nil, find, protocol.Response{Closer: []protocol.Peer{{ID: calltest.ID(2)}}})
	reset := func(code network.StreamErrorCode) error { return &network.StreamError{ErrorCode: code, Remote: true} }
	broken := fmt.Errorf("%w: connection closed: %w", network.ErrReset, io.EOF) // as yamux says it
	says := func(b []byte, err error) func(<-chan struct{}) ([]byte, error) {
		return func(<-chan struct{}) ([]byte, error) { return b, err }
	}
	for _, tt := range []struct {
		name   string
		req    protocol.Request
		answer func(ended <-chan struct{}) ([]byte, error)
		want   error
		after  time.Duration
		ended  bool // the writing side was ended
		closed bool // the connection has ended
	}{
		{name: "answers", req: find, answer: says(frame, io.EOF)},
		{name: "answers late", req: find, after: time.Second, ended: true, answer: func(<-chan struct{}) ([]byte, error) {
			time.Sleep(time.Second)
			return frame, io.EOF
		}},
		{name: "waits for the end", req: find, after: 200 * time.Millisecond, ended: true, answer: func(ended <-chan struct{}) ([]byte, error) {
			<-ended
			return frame, io.EOF
		}},
		{name: "ends without an answer", req: find, answer: says(nil, io.EOF), want: kaderr.ErrRefused},
		{name: "is busy", req: find, answer: says(nil, reset(kaderr.CodeBusy)), want: kaderr.ErrBusy},
		{name: "resets without a reason", req: find, answer: says(nil, reset(0)), want: kaderr.ErrRefused},
		{name: "breaks off", req: find, answer: says(frame[:3], io.ErrUnexpectedEOF), want: io.ErrUnexpectedEOF},
		{name: "loses the connection", req: find, answer: says(nil, broken), want: network.ErrReset},
		{name: "loses the connection meanwhile", req: find, answer: says(frame[:3], broken), want: network.ErrReset},
		{name: "loses a relayed connection", req: find, answer: says(nil, reset(0)), closed: true, want: errConnEnded},
		{name: "loses a relayed connection for want of room there", req: find, answer: says(nil, reset(network.StreamResourceLimitExceeded)), closed: true, want: errConnEnded},
		{name: "loses the connection and does not say it", req: find, answer: says(nil, errors.New("connection closed")), closed: true, want: errConnEnded},
		{name: "ends without an answer, with its connection", req: find, answer: says(nil, io.EOF), closed: true, want: errConnEnded},
		{name: "answers and ends the connection", req: find, answer: says(frame, io.EOF), closed: true},
		{name: "loses a relayed connection with an announcement", req: add, answer: says(nil, reset(0)), closed: true, want: errConnEnded, ended: true},
		{name: "takes an announcement and ends the connection", req: add, answer: says(nil, io.EOF), closed: true, ended: true},
		{name: "sends something else", req: find, answer: says([]byte{1, 0xff}, io.EOF), want: protocol.ErrMalformed},
		{name: "takes an announcement", req: add, answer: says(nil, io.EOF), ended: true},
		{name: "echoes an announcement", req: add, answer: says(frame, io.EOF), ended: true},
		{name: "loses the connection with an announcement", req: add, answer: says(nil, broken), want: network.ErrReset, ended: true},
		{name: "resets an announcement", req: add, answer: says(nil, reset(0)), want: kaderr.ErrRefused, ended: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScriptedStream(tt.answer)
				s.closed = tt.closed
				var err error
				spent := roomtest.Took(func() { _, _, err = newStream(s, nil, new(observe.Traffic)).exchange(tt.req) })
				if !errors.Is(err, tt.want) || spent != tt.after || errors.Is(err, kaderr.ErrRefused) != errors.Is(tt.want, kaderr.ErrRefused) {
					t.Errorf("exchange() = %v after %v, want %v after %v", err, spent, tt.want, tt.after)
				}
				time.Sleep(time.Second)
				select {
				case <-s.ended:
					if !tt.ended {
						t.Error("the writing side was ended")
					}
				default:
					if tt.ended {
						t.Error("the writing side was not ended")
					}
				}
			})
		})
	}
}

// A public peer is given no private address, and is believed none.
func TestExchangeRestrictsAddresses(t *testing.T) {
	public, private := calltest.Addr(calltest.ID(2)), multiaddr.StringCast("/ip4/192.168.1.1/tcp/1")
	both := protocol.Peer{ID: calltest.ID(2), Addrs: []multiaddr.Multiaddr{public, private}}
	find := protocol.FindNode{Target: []byte("x")}
	s := newScriptedStream(func(<-chan struct{}) ([]byte, error) {
		return protocol.AppendResponseFrame(nil, find, protocol.Response{Closer: []protocol.Peer{both}}), io.EOF
	})
	resp, _, err := newStream(s, nil, new(observe.Traffic)).exchange(find)
	if err != nil || len(resp.Closer) != 1 || len(resp.Closer[0].Addrs) != 1 || !resp.Closer[0].Addrs[0].Equal(public) {
		t.Errorf("heard %v, %v; want the public address only", resp.Closer, err)
	}
	s = newScriptedStream(func(<-chan struct{}) ([]byte, error) { return nil, io.EOF })
	if _, _, err := newStream(s, nil, new(observe.Traffic)).exchange(protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{both}}); err != nil {
		t.Fatal(err)
	}
	msg, err := protocol.ReadFrame(bufio.NewReader(&s.sent), protocol.MaxFrame)
	if err != nil {
		t.Fatal(err)
	}
	req, err := protocol.ParseRequest(msg)
	if add, ok := req.(protocol.AddProvider); err != nil || !ok || len(add.Providers) != 1 || len(add.Providers[0].Addrs) != 1 {
		t.Errorf("sent %v, %v; want the public address only", req, err)
	}
}
