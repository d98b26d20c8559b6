package kadtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/network"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	msmux "github.com/multiformats/go-multistream"

	"github.com/go-kad/kad/host/kadtest"
)

// anything is a validator that accepts each value.
type anything struct{}

func (anything) Validate(string, []byte) error { return nil }

func (anything) Select(string, [][]byte) (int, error) { return 0, nil }

var validators = map[string]record.Validator{"v": anything{}}

// latency is that of the one link in tests of streams.
const latency = 10 * time.Millisecond

// open returns a stream, and its other end. The link between them has nearly latency.
func open(t *testing.T) (n *kadtest.Network, here, there network.Stream) {
	t.Helper()
	n = kadtest.New(t, kadtest.Config{Latency: latency})
	nodes := n.AddHosts(2)
	arrived := make(chan network.Stream)
	nodes[1].Host.SetStreamHandler("/x", func(s network.Stream) { arrived <- s })
	dial(t, nodes[0], nodes[1])
	here, err := nodes[0].Host.NewStream(t.Context(), nodes[1].ID(), "/none", "/x")
	if err != nil {
		t.Fatal(err)
	}
	return n, here, <-arrived
}

// Bytes arrive after the latency of the link, in order, and then the end. Both
// directions end on their own.
func TestStream(t *testing.T) { synctest.Test(t, testStream) }

func testStream(t *testing.T) {
	_, here, there := open(t)
	for _, part := range []string{"how ", "are ", "you"} {
		if _, err := here.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := here.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	var got []byte
	spent := took(func() {
		var err error
		if got, err = io.ReadAll(there); err != nil {
			t.Error(err)
		}
	})
	if string(got) != "how are you" || spent < latency/2 || spent > 3*latency/2 {
		t.Errorf("read %q after %v", got, spent)
	}
	if _, err := there.Write([]byte("fine")); err != nil {
		t.Fatal(err)
	}
	_ = there.Close()
	if got, err := io.ReadAll(here); string(got) != "fine" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	_ = here.Close()
	if got := len(here.Conn().GetStreams()); got != 0 {
		t.Errorf("%d streams are open", got)
	}
	if here.Protocol() != "/x" || there.Protocol() != "/x" || there.Conn().RemotePeer() != here.Conn().LocalPeer() {
		t.Error("the ends do not know what they are")
	}
}

// A reset ends both ends at once, of which the other one learns the code.
func TestReset(t *testing.T) { synctest.Test(t, testReset) }

func testReset(t *testing.T) {
	_, here, there := open(t)
	_, _ = here.Write([]byte("never read"))
	if err := here.ResetWithError(7); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * latency)
	for name, err := range map[string]error{
		"own read": second(here.Read(make([]byte, 1))), "own write": second(here.Write([]byte("x"))),
		"read": second(there.Read(make([]byte, 1))), "write": second(there.Write([]byte("x"))),
	} {
		var reset *network.StreamError
		remote := name == "read" || name == "write"
		if !errors.As(err, &reset) || reset.ErrorCode != 7 || reset.Remote != remote || !errors.Is(err, network.ErrReset) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_ = there.Reset()
	if got := len(there.Conn().GetStreams()); got != 0 {
		t.Errorf("%d streams are open", got)
	}
}

func second(_ int, err error) error { return err }

// Deadlines end reads, and writes of more than the other end has room for.
func TestDeadlines(t *testing.T) { synctest.Test(t, testDeadlines) }

func testDeadlines(t *testing.T) {
	_, here, there := open(t)
	_ = here.SetDeadline(time.Now().Add(time.Second))
	var err error
	if spent := took(func() { _, err = here.Read(make([]byte, 1)) }); spent != time.Second || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read ended after %v: %v", spent, err)
	}
	_ = here.SetDeadline(time.Now().Add(time.Second))
	much := bytes.Repeat([]byte("much"), 1<<18)
	written := 0
	if spent := took(func() { written, err = here.Write(much) }); spent != time.Second || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write ended after %v: %v", spent, err)
	}
	_ = here.SetDeadline(time.Time{})
	go func() {
		_, _ = here.Write(much[written:])
		_ = here.CloseWrite()
	}()
	if got, err := io.ReadAll(there); err != nil || !bytes.Equal(got, much) {
		t.Errorf("%d of %d bytes arrived, %v", len(got), len(much), err)
	}
}

// A new deadline counts for a read that waits already.
func TestDeadlineWhileReading(t *testing.T) { synctest.Test(t, testDeadlineWhileReading) }

func testDeadlineWhileReading(t *testing.T) {
	_, here, _ := open(t)
	time.AfterFunc(time.Second, func() { _ = here.SetReadDeadline(time.Now()) })
	if _, err := here.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// A protocol that the peer does not speak is refused, after a round trip.
func TestNotSupported(t *testing.T) { synctest.Test(t, testNotSupported) }

func testNotSupported(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: latency})
	nodes := n.AddHosts(2)
	dial(t, nodes[0], nodes[1])
	var err error
	spent := took(func() { _, err = nodes[0].Host.NewStream(t.Context(), nodes[1].ID(), "/none") })
	if !errors.Is(err, msmux.ErrNotSupported[lprotocol.ID]{}) || spent < latency {
		t.Errorf("after %v: %v", spent, err)
	}
	// It is spoken when the stream is opened, and is not when it arrives.
	nodes[1].Host.SetStreamHandler("/x", func(network.Stream) { t.Error("the handler was called") })
	s, err := nodes[0].Host.NewStream(t.Context(), nodes[1].ID(), "/x")
	if err != nil {
		t.Fatal(err)
	}
	nodes[1].Host.RemoveStreamHandler("/x")
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("a stream that nothing serves can be read")
	}
	_ = s.Reset()
}

// The protocols of libp2p run on the hosts, whether or not a stream is negotiated.
func TestPing(t *testing.T) { synctest.Test(t, testPing) }

func testPing(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{})
	nodes := n.AddHosts(2)
	ping.NewPingService(nodes[1].Host)
	dial(t, nodes[0], nodes[1])
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := <-ping.Ping(ctx, nodes[0].Host, nodes[1].ID())
	if result.Error != nil || result.RTT == 0 {
		t.Errorf("pinged in %v, %v", result.RTT, result.Error)
	}
	raw, err := nodes[0].Host.Network().NewStream(t.Context(), nodes[1].ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := msmux.SelectProtoOrFail(ping.ID, raw); err != nil {
		t.Error(err)
	}
	if err := msmux.SelectProtoOrFail("/none", raw); err == nil {
		t.Error("ping echoes another protocol")
	}
	_ = raw.Reset()
}
