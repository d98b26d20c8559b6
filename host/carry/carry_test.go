package carry

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/carry/internal/pathtest"
)

// The search of libp2p for a router with UPnP outlives its host by some seconds.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/koron/go-ssdp.Search"))
}

const (
	patience = time.Minute

	letters lprotocol.ID = "/test/letters"
	digits  lprotocol.ID = "/test/digits"
)

// carryOn returns a host on top of another one, which ends with the test.
func carryOn(t *testing.T, h lhost.Host, cfg Config) *Host {
	t.Helper()
	c := New(h, cfg)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// An inbox has what the streams of a protocol have brought.
type inbox struct {
	messages chan string
	ended    chan error // of each stream
}

// receive makes a host read streams of a protocol.
func receive(h lhost.Host, id lprotocol.ID) *inbox {
	in := &inbox{messages: make(chan string, 10_000), ended: make(chan error, 10)}
	h.SetStreamHandler(id, func(s network.Stream) {
		buffered := bufio.NewReader(s)
		for {
			message, err := readMessage(buffered, 1<<20)
			if err != nil {
				if isEnd(err) {
					_ = s.Close()
				} else {
					_ = s.Reset()
				}
				in.ended <- err
				return
			}
			_, n := binary.Uvarint(message)
			in.messages <- string(message[n:])
		}
	})
	return in
}

// expect waits for messages.
func (in *inbox) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, want := range want {
		if got := in.next(t); got != want {
			t.Fatalf("received %q, want %q", got, want)
		}
	}
}

// next returns the next message.
func (in *inbox) next(t *testing.T) string {
	t.Helper()
	select {
	case got := <-in.messages:
		return got
	case <-time.After(patience):
		t.Fatal("no message is received")
		return ""
	}
}

// awaitEnd waits for the end of a stream.
func (in *inbox) awaitEnd(t *testing.T) error {
	t.Helper()
	select {
	case err := <-in.ended:
		return err
	case <-time.After(patience):
		t.Fatal("the stream does not end")
		return nil
	}
}

// open opens a stream to write to.
func open(t *testing.T, from *Host, to lhost.Host, id lprotocol.ID) network.Stream {
	t.Helper()
	s, err := from.NewStream(t.Context(), to.ID(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func send(t *testing.T, s network.Stream, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(m))), m...)); err != nil {
			t.Fatal(err)
		}
	}
}

// plain returns the host below a Host.
func plain(h lhost.Host) lhost.Host {
	if c, ok := h.(*Host); ok {
		return c.Host
	}
	return h
}

// isDirect reports whether a stream that was opened with a Host is on a direct connection.
func isDirect(s network.Stream) bool { return !IsRelayed(s.(*writer).current().Conn()) }

// count returns numbers as messages.
func count(from, to int) (messages []string) {
	for i := from; i < to; i++ {
		messages = append(messages, fmt.Sprint(i))
	}
	return messages
}

// Streams begin on a relayed connection, move to the direct one each for itself, lose
// nothing, and do not depend on the relay any more.
func TestMove(t *testing.T) {
	relay, ann, bob := pathtest.Relay(t), carryOn(t, pathtest.Host(t), Config{}), carryOn(t, pathtest.Host(t), Config{})
	lettersIn, digitsIn := receive(bob, letters), receive(bob, digits)
	pathtest.Relayed(t, ann.Host, plain(bob), relay)
	if c := ann.Network().Connectedness(bob.ID()); c != network.Connected {
		t.Errorf("the connection through the relay is shown as %v", c)
	}
	toLetters, toDigits := open(t, ann, bob, letters), open(t, ann, bob, digits)
	send(t, toLetters, "a", "b")
	send(t, toDigits, count(0, 100)...)
	pathtest.Direct(t, ann, bob)
	send(t, toDigits, count(100, 500)...)
	pathtest.Eventually(t, "both streams move", func() bool { return isDirect(toLetters) && isDirect(toDigits) })
	lettersIn.expect(t, "a", "b")
	digitsIn.expect(t, count(0, 500)...)
	_ = relay.Close()
	send(t, toLetters, "c")
	send(t, toDigits, count(500, 600)...)
	lettersIn.expect(t, "c")
	digitsIn.expect(t, count(500, 600)...)
	_ = toLetters.Close()
	if err := lettersIn.awaitEnd(t); !isEnd(err) {
		t.Errorf("a stream that was closed ends with %v", err)
	}
	if _, err := toLetters.Read(make([]byte, 1)); err == nil {
		t.Error("a closed stream can be read")
	}
	_ = toDigits.Reset()
	if err := digitsIn.awaitEnd(t); isEnd(err) {
		t.Error("a stream that was reset comes to an orderly end")
	}
}

// A stream that is opened when there is a direct connection too uses that.
func TestOpenedOnDirectConnection(t *testing.T) {
	relay, ann, bob := pathtest.Relay(t), carryOn(t, pathtest.Host(t), Config{}), carryOn(t, pathtest.Host(t), Config{})
	in := receive(bob, letters)
	pathtest.Relayed(t, ann.Host, plain(bob), relay)
	pathtest.Direct(t, ann, bob)
	s := open(t, ann, bob, letters)
	pathtest.Eventually(t, "the stream is direct", func() bool { return isDirect(s) })
	send(t, s, "a")
	in.expect(t, "a")
}

// A peer without this package reads streams, which stay where they are.
func TestPlainPeer(t *testing.T) {
	relay, ann, bob := pathtest.Relay(t), carryOn(t, pathtest.Host(t), Config{}), pathtest.Host(t)
	in := receive(bob, letters)
	pathtest.Relayed(t, ann.Host, plain(bob), relay)
	s := open(t, ann, bob, letters)
	send(t, s, "a")
	pathtest.Direct(t, ann, bob)
	send(t, s, "b")
	in.expect(t, "a", "b")
	if isDirect(s) {
		t.Error("the stream has moved to a peer that does not know how")
	}
	_ = relay.Close()
	if err := in.awaitEnd(t); isEnd(err) {
		t.Errorf("the stream through a dead relay ends with %v", err)
	}
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("the writer does not see the end")
	}
}

// The relay is closed while only one of two peers has moved. The stream of the other one
// ends, and that peer forgets what the first said. It is told again when it begins another
// stream, while the stream that has moved goes on.
func TestHalfMoved(t *testing.T) {
	begun := make(chan peer.ID, 10)
	relay, bob := pathtest.Relay(t), carryOn(t, pathtest.Host(t), Config{})
	ann := carryOn(t, pathtest.Host(t), Config{
		Begun:    func(id peer.ID) { begun <- id },
		Greeting: func() []byte { return []byte("\x05hello") },
	})
	toAnn, toBob := receive(ann, letters), receive(bob, letters)
	pathtest.Relayed(t, ann.Host, plain(bob), relay)
	fromAnn, fromBob := open(t, ann, bob, letters), open(t, bob, ann, letters)
	send(t, fromBob, "b")
	toAnn.expect(t, "b") // nothing was written yet that would have to be repeated
	send(t, fromAnn, "a")
	toBob.expect(t, "a")
	bob.mu.Lock()
	bob.closed = true // bob does not move
	bob.mu.Unlock()
	pathtest.Direct(t, ann, bob)
	pathtest.Eventually(t, "ann moves", func() bool { return isDirect(fromAnn) })
	_ = relay.Close()
	_ = toAnn.awaitEnd(t)
	bob.mu.Lock()
	bob.closed = false
	bob.mu.Unlock()
	send(t, open(t, bob, ann, letters), "c")
	toAnn.expect(t, "c")
	toBob.expect(t, "hello")
	send(t, fromAnn, "d")
	// The greeting for bob's first stream may have waited until there was something to repeat.
	if got := toBob.next(t); got != "hello" && got != "d" {
		t.Fatalf("received %q", got)
	} else if got == "hello" {
		toBob.expect(t, "d")
	}
	for range 2 {
		if id := <-begun; id != bob.ID() {
			t.Errorf("a stream of %s has begun", id)
		}
	}
}

// A stream that a protocol closes has half a second to be read, also when the host is
// closed at once.
func TestCloseWaitsForReader(t *testing.T) {
	ann, bob := New(pathtest.Host(t), Config{}), carryOn(t, pathtest.Host(t), Config{})
	in := receive(bob, letters)
	pathtest.Direct(t, ann, bob)
	s := open(t, ann, bob, letters)
	const messages = 2000
	send(t, s, count(0, messages)...)
	_ = s.Close()
	_ = ann.Close()
	_ = ann.Host.Close()
	in.expect(t, count(0, messages)...)
	if err := in.awaitEnd(t); !isEnd(err) {
		t.Errorf("the stream ends with %v", err)
	}
	if _, err := ann.NewStream(t.Context(), bob.ID(), letters); err == nil {
		t.Error("a closed host opens streams")
	}
	if err := ann.Close(); err != nil {
		t.Error(err)
	}
}

// Close resets streams that their protocol leaves open.
func TestCloseResets(t *testing.T) {
	ann, bob := New(pathtest.Host(t), Config{}), carryOn(t, pathtest.Host(t), Config{})
	in := receive(bob, letters)
	pathtest.Direct(t, ann, bob)
	s := open(t, ann, bob, letters)
	send(t, s, "a")
	in.expect(t, "a")
	start := time.Now()
	_ = ann.Close()
	if took := time.Since(start); took > 2*readTimeout {
		t.Errorf("Close took %v", took)
	}
	if err := in.awaitEnd(t); isEnd(err) {
		t.Errorf("the stream ends with %v", err)
	}
}

// A stream to the same peer with the same protocol replaces the one before.
func TestReplaced(t *testing.T) {
	ann, bob := carryOn(t, pathtest.Host(t), Config{}), carryOn(t, pathtest.Host(t), Config{})
	in := receive(bob, letters)
	pathtest.Direct(t, ann, bob)
	first := open(t, ann, bob, letters)
	send(t, first, "a")
	in.expect(t, "a")
	second := open(t, ann, bob, letters)
	if err := in.awaitEnd(t); isEnd(err) {
		t.Errorf("the first stream ends with %v", err)
	}
	send(t, second, "b")
	in.expect(t, "b")
}

// What is too large, or no message, resets the stream.
func TestMaxMessage(t *testing.T) {
	ann, bob := carryOn(t, pathtest.Host(t), Config{}), carryOn(t, pathtest.Host(t), Config{MaxMessage: 10})
	in := receive(bob, letters)
	pathtest.Direct(t, ann, bob)
	s := open(t, ann, bob, letters)
	send(t, s, "short", strings.Repeat("x", 11))
	in.expect(t, "short")
	if err := in.awaitEnd(t); !errors.Is(err, errMessageSize) {
		t.Errorf("the stream ends with %v, want %v", err, errMessageSize)
	}
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("the writer does not see the end")
	}
}

// Nothing moves a stream that does not exist, and a peer cannot move one of another.
func TestMoveOfNothing(t *testing.T) {
	ann, bob := carryOn(t, pathtest.Host(t), Config{}), carryOn(t, pathtest.Host(t), Config{})
	pathtest.Direct(t, ann, bob)
	for _, header := range []string{"", "\x0d/test/letters", "\xff\xff\xff\xff\x01", "\x00"} {
		s, err := ann.Host.NewStream(t.Context(), bob.ID(), moveProtocol)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Write([]byte(header))
		_ = s.CloseWrite()
		_ = s.SetReadDeadline(time.Now().Add(patience))
		if n, err := s.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("header %q is agreed to", header)
		}
		_ = s.Reset()
	}
}

// Lost is called when a reader has not come to the end of the stream before a move.
func TestLost(t *testing.T) {
	lost := make(chan peer.ID, 10)
	relay, bob := pathtest.Relay(t), pathtest.Host(t)
	ann := carryOn(t, pathtest.Host(t), Config{Lost: func(id peer.ID) { lost <- id }})
	// Bob agrees to move, and resets the stream that was first.
	first := make(chan network.Stream, 1)
	bob.SetStreamHandler(letters, func(s network.Stream) { first <- s })
	bob.SetStreamHandler(moveProtocol, func(s network.Stream) {
		if _, err := readMessage(bufio.NewReader(s), maxProtocol); err != nil {
			t.Error(err)
		}
		_, _ = s.Write([]byte{1})
		_ = (<-first).Reset()
	})
	pathtest.Relayed(t, ann.Host, plain(bob), relay)
	s := open(t, ann, bob, letters)
	send(t, s, "a")
	pathtest.Direct(t, ann, bob)
	select {
	case id := <-lost:
		if id != bob.ID() {
			t.Errorf("lost by %s", id)
		}
	case <-time.After(patience):
		t.Error("Lost is not called")
	}
	if !isDirect(s) {
		t.Error("the stream has not moved")
	}
}

// A handler for several protocols reads all of them.
func TestHandlerMatch(t *testing.T) {
	ann, bob := carryOn(t, pathtest.Host(t), Config{}), carryOn(t, pathtest.Host(t), Config{})
	got := make(chan lprotocol.ID, 2)
	bob.SetStreamHandlerMatch(letters, func(id lprotocol.ID) bool { return strings.HasPrefix(string(id), "/test/") },
		func(s network.Stream) {
			got <- s.Protocol()
			_, _ = io.Copy(io.Discard, s)
			_ = s.Close()
		})
	pathtest.Direct(t, ann, bob)
	var ids []lprotocol.ID
	for _, id := range []lprotocol.ID{letters, digits} {
		send(t, open(t, ann, bob, id), "a")
		ids = append(ids, <-got)
	}
	if !slices.Equal(ids, []lprotocol.ID{letters, digits}) {
		t.Errorf("protocols: %v", ids)
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x02hi"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, in []byte) {
		message, err := readMessage(bufio.NewReader(strings.NewReader(string(in))), 100)
		if err != nil {
			return
		}
		size, n := binary.Uvarint(message)
		if int(size) != len(message)-n || size > 100 || !strings.Contains(string(in), string(message[n:])) {
			t.Errorf("%x was read from %x", message, in)
		}
	})
}
