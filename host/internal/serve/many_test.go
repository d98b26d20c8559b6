package serve

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
)

// dialMany opens a stream for many requests to a node from a peer at an address.
func dialMany(n *node, from peer.ID, addr string) network.Stream {
	near, far := roomtest.NewStream(roomtest.NewConn(n.host.ID(), nil), roomtest.NewConn(from, multiaddr.StringCast(addr)))
	go n.HandleMany(far)
	return near
}

// exchangeMany writes a frame on a stream for many requests, and returns the answer.
func exchangeMany(n *node, frame []byte) (answer []byte, err error) {
	near := dialMany(n, aPeer, privateAddr)
	defer near.Close()
	if _, err := near.Write(frame); err != nil {
		return nil, err
	}
	return protocol.ReadFrame(bufio.NewReader(near), protocol.MaxFrame)
}

// codeAlone returns with what code the stream is reset that brings a request alone: 0 if it is
// served.
func codeAlone(t *testing.T, n *node, req protocol.Request) network.StreamErrorCode {
	t.Helper()
	s := dialIn(n, aPeer)
	defer s.Close()
	if _, err := s.Write(protocol.AppendRequestFrame(protocol.AppendRequestFrame(nil, req), protocol.Ping{})); err != nil {
		t.Fatal(err)
	}
	_, err := protocol.ReadFrame(bufio.NewReader(s), protocol.MaxFrame)
	reset, ok := errors.AsType[*network.StreamError](err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	if reset == nil {
		return 0
	}
	return reset.ErrorCode
}

// Each of many requests is served as if it had come alone, and refused for the same reason;
// the others are served all the same. Requests that store nothing are refused.
func TestServeMany(t *testing.T) { synctest.Test(t, testServeMany) }

func testServeMany(t *testing.T) {
	announces := func(key string, from ...protocol.Peer) protocol.Request {
		return protocol.AddProvider{Key: []byte(key), Providers: from}
	}
	puts := func(key, value string) protocol.Request {
		return protocol.PutValue{Record: protocol.Record{Key: []byte(key), Value: []byte(value)}}
	}
	sender := protocol.Peer{ID: aPeer, Addrs: roomtest.Addrs("/ip4/10.0.0.1/tcp/1")}
	reqs := []protocol.Request{
		announces("key", sender), puts("/v/a", "1"), puts("/v/a", "x"), puts("/v/old", "1"), puts("/none/a", "1"),
		announces("other", protocol.Peer{ID: calltest.ID(7), Addrs: sender.Addrs}),
		announces("none"), puts("", "1"), puts("/v/b", "2"),
	}
	alone, together := newNode(t, 256), newNode(t, 256)
	for _, n := range []*node{alone, together} {
		hold(t, n, "/v/old", "2")
	}
	var want []uint32
	for _, req := range reqs {
		want = append(want, uint32(codeAlone(t, alone, req)))
	}
	if slices.Index(want, 0) < 0 || slices.Max(want) == 0 {
		t.Fatalf("alone: %x; some are to be refused, and some not", want)
	}
	msg, err := exchangeMany(together, protocol.AppendManyFrame(nil, reqs))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := protocol.ParseOutcomes(msg, len(reqs)); err != nil || !slices.Equal(got, want) {
		t.Errorf("together: %x, %v; alone: %x", got, err, want)
	}
	av, ap := alone.holder.Len()
	if v, p := together.holder.Len(); v != av || p != ap || v != 3 || p != 1 {
		t.Errorf("%d values and %d announcements are held, and alone %d and %d", v, p, av, ap)
	}
	if refused := together.Refused(); refused != alone.Refused() {
		t.Errorf("%d are counted as refused, alone %d", refused, alone.Refused())
	}
	for _, req := range []protocol.Request{protocol.Ping{}, protocol.FindNode{Target: []byte("x")}, protocol.GetValue{Key: []byte("/v/a")}} {
		msg, err := exchangeMany(together, protocol.AppendManyFrame(nil, []protocol.Request{req}))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := protocol.ParseOutcomes(msg, 1); err != nil || got[0] != uint32(codeMalformed) {
			t.Errorf("%T: %x, %v", req, got, err)
		}
	}
}

// A message with too many requests, or none, resets the stream.
func TestServeTooMany(t *testing.T) { synctest.Test(t, testServeTooMany) }

func testServeTooMany(t *testing.T) {
	n := newNode(t, 256)
	for _, count := range []int{0, protocol.MaxMany, protocol.MaxMany + 1} {
		var reqs []protocol.Request
		for i := range count {
			reqs = append(reqs, protocol.PutValue{Record: protocol.Record{Key: fmt.Appendf(nil, "/v/%d", i), Value: []byte("1")}})
		}
		_, err := exchangeMany(n, protocol.AppendManyFrame(nil, reqs))
		reset, _ := errors.AsType[*network.StreamError](err)
		if refused := count != protocol.MaxMany; refused != (reset != nil && reset.ErrorCode == kaderr.CodeOf(protocol.ErrMalformed)) {
			t.Errorf("%d requests: %v", count, err)
		}
	}
}

// manyPuts returns the frame of a message with so many requests.
func manyPuts(count int) []byte {
	reqs := make([]protocol.Request, count)
	for i := range reqs {
		reqs[i] = protocol.PutValue{Record: protocol.Record{Key: fmt.Appendf(nil, "/v/%d", i), Value: []byte("1")}}
	}
	return protocol.AppendManyFrame(nil, reqs)
}

// Messages with many requests count as these: identities that send one after the other on all of
// their streams have no more than the share of peers that press, and take no time of others. A
// burst of an honest peer has a fair part of it.
func TestHostileMany(t *testing.T) { synctest.Test(t, testHostileMany) }

func testHostileMany(t *testing.T) {
	n := newNode(t, 256)
	alone := roomtest.Took(func() { _, _ = exchangeMany(n, manyPuts(128)) })
	if alone > 0 {
		t.Errorf("a burst of a peer takes %v where no other one presses, want none", alone)
	}
	flood := manyPuts(protocol.MaxMany)
	for i := range 100 {
		s := dialMany(n, calltest.ID(1000+i/8), netAddr(i%5))
		go func() {
			for r := bufio.NewReader(s); ; {
				if _, err := s.Write(flood); err != nil {
					return
				}
				if _, err := protocol.ReadFrame(r, protocol.MaxFrame); err != nil {
					return
				}
			}
		}()
	}
	time.Sleep(100 * time.Millisecond)
	before := served(n)
	time.Sleep(100 * time.Millisecond)
	// An answer takes no time here, and counts minCost.
	perSecond := int64(pressedShare * float64(runtime.GOMAXPROCS(0)) * float64(time.Second/minCost))
	got := 10 * (served(n) - before)
	t.Logf("%d requests a second of the flood, at most %d", got, perSecond)
	if got > perSecond+perSecond/100 || got < perSecond*9/10 {
		t.Errorf("%d requests a second of the flood are answered, want %d", got, perSecond)
	}
	if waited := roomtest.Took(func() {
		if !pings(dialFrom(n, calltest.ID(5000), netAddr(80))) {
			t.Error("a peer that does not press is not served")
		}
	}); waited > 0 {
		t.Errorf("a peer that does not press waits for %v", waited)
	}
	s := dialMany(n, calltest.ID(5001), netAddr(81))
	var answer []byte
	waited := roomtest.Took(func() {
		_, _ = s.Write(manyPuts(128))
		answer, _ = protocol.ReadFrame(bufio.NewReader(s), protocol.MaxFrame)
	})
	// Of six networks, each has a sixth.
	fair := time.Duration(float64(time.Second) * 6 * 128 / float64(perSecond))
	t.Logf("a burst of 128 takes %v beside the flood, %v if it is fair", waited, fair)
	if codes, err := protocol.ParseOutcomes(answer, 128); err != nil || slices.Max(codes) > 0 || waited > 2*fair {
		t.Errorf("after %v: %x, %v", waited, codes, err)
	}
	n.Close()
	n.cfg.Tasks.Cancel()
	synctest.Wait()
	checkIdle(t, n)
}

// What of a message is not answered in the time of an answer is refused: the node is busy.
func TestTimeOfMany(t *testing.T) { synctest.Test(t, testTimeOfMany) }

func testTimeOfMany(t *testing.T) {
	n := newNode(t, 256)
	n.cfg.OnRequest = func(network.Conn, protocol.Request) error {
		time.Sleep(answerTimeout / 4) // as a slow disk
		return nil
	}
	var codes []uint32
	took := roomtest.Took(func() {
		msg, err := exchangeMany(n, manyPuts(128))
		if err != nil {
			t.Fatal(err)
		}
		codes, _ = protocol.ParseOutcomes(msg, 128)
	})
	busy := slices.Repeat([]uint32{uint32(kaderr.CodeBusy)}, 124)
	if want := append(make([]uint32, 4), busy...); !slices.Equal(codes, want) || took > answerTimeout {
		t.Errorf("after %v: %x, want 4 that are stored", took, codes)
	}
}

// Many requests have the quota of as many that come alone.
func TestQuotaOfMany(t *testing.T) { synctest.Test(t, testQuotaOfMany) }

func testQuotaOfMany(t *testing.T) {
	const quota, count = 50_000, 100
	alone, together := newNodeWith(t, 256, quota), newNodeWith(t, 256, quota)
	var want []uint32
	for i := range count {
		put := protocol.PutValue{Record: protocol.Record{Key: fmt.Appendf(nil, "/v/%d", i), Value: []byte("1")}}
		want = append(want, uint32(codeAlone(t, alone, put)))
		synctest.Wait() // its stream has ended
	}
	overQuota := uint32(kaderr.CodeOf(kaderr.ErrOverQuota))
	if want[0] != 0 || want[count-1] != overQuota {
		t.Fatalf("alone: %x; the last ones are to be over the quota", want)
	}
	msg, err := exchangeMany(together, manyPuts(count))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := protocol.ParseOutcomes(msg, count); err != nil || !slices.Equal(got, want) {
		t.Errorf("together: %x, %v; alone: %x", got, err, want)
	}
}

// Config.OnRequest is asked about each of many requests.
func TestOnRequestOfMany(t *testing.T) { synctest.Test(t, testOnRequestOfMany) }

func testOnRequestOfMany(t *testing.T) {
	n := newNode(t, 256)
	n.cfg.OnRequest = func(_ network.Conn, req protocol.Request) error {
		if put, ok := req.(protocol.PutValue); ok && string(put.Record.Key) == "/v/1" {
			return errors.New("not this one")
		}
		return nil
	}
	msg, err := exchangeMany(n, manyPuts(3))
	if err != nil {
		t.Fatal(err)
	}
	want := []uint32{0, uint32(kaderr.CodeOf(kaderr.ErrForbidden)), 0}
	if got, err := protocol.ParseOutcomes(msg, 3); err != nil || !slices.Equal(got, want) {
		t.Errorf("%x, %v; want %x", got, err, want)
	}
}

// What a message with many requests has to be refused for costs little: the cheapest requests,
// fields of no meaning, and a frame that never ends.
func TestHostileMessagesOfMany(t *testing.T) { synctest.Test(t, testHostileMessagesOfMany) }

func testHostileMessagesOfMany(t *testing.T) {
	n := newNode(t, 256)
	empty := bytes.Repeat([]byte{0x0a, 0x00}, protocol.MaxMany)
	unknown := bytes.Repeat([]byte{0x12, 0x00}, maxRequest/2-8)
	for _, tt := range []struct {
		name  string
		frame []byte
		most  uint64 // bytes allocated
	}{
		{"empty requests", protocol.AppendFrame(nil, empty), 256 << 10},
		{"one request too many", protocol.AppendFrame(nil, append(slices.Clip(empty), 0x0a, 0x00)), 128 << 10},
		{"unknown fields", protocol.AppendFrame(nil, unknown), 5 * maxRequest},
		{"too large", []byte{0xff, 0xff, 0xff, 0x7f}, 128 << 10},
	} {
		before := allocated()
		answer, err := exchangeMany(n, tt.frame)
		if got := allocated() - before; got > tt.most {
			t.Errorf("%s: %d bytes are allocated, want at most %d", tt.name, got, tt.most)
		} else {
			t.Logf("%s: %d bytes are allocated", tt.name, got)
		}
		codes, parseErr := protocol.ParseOutcomes(answer, protocol.MaxMany)
		if err == nil && (parseErr != nil || slices.Min(codes) == 0) {
			t.Errorf("%s: answered %x, %v", tt.name, codes, parseErr)
		}
	}
	begun := dialMany(n, aPeer, privateAddr)
	took := roomtest.Took(func() {
		_, _ = begun.Write(manyPuts(128)[:100])
		if _, err := begun.Read(make([]byte, 1)); err == nil {
			t.Error("half a message is answered")
		}
	})
	if took > idleTimeout {
		t.Errorf("half a message is waited for for %v", took)
	}
	time.Sleep(time.Second) // what waits for its share has it
	synctest.Wait()
	checkIdle(t, n)
}

// A peer that leaves while its request is read, or before its answer is written, is not one
// that was refused.
func TestLeavingIsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 256)
		request := protocol.AppendRequestFrame(nil, protocol.Ping{})
		for _, frame := range [][]byte{request[:1], request} {
			s := dialIn(n, aPeer)
			if _, err := s.Write(frame); err != nil {
				t.Fatal(err)
			}
			_ = s.Reset()
			synctest.Wait()
		}
		if refused := n.Refused(); refused != 0 {
			t.Errorf("%d are counted as refused", refused)
		}
	})
}
