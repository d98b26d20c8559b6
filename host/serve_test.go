package host

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// aPeer is a peer that there is not.
var aPeer = peer.ID("\x12\x20" + strings.Repeat("p", 32))

// dialIn opens a stream to a node from a peer of a private network.
func dialIn(d *DHT, from peer.ID) *wire {
	near, far := newWire(
		&wireConn{remote: d.self},
		&wireConn{remote: from, addr: multiaddr.StringCast(private)})
	go d.serve(far)
	return near
}

// A stream carries any number of requests, and they are answered in order, also
// if they were all sent before the first answer.
func TestServePipelined(t *testing.T) { synctest.Test(t, testServePipelined) }

func testServePipelined(t *testing.T) {
	d := newTestNet(t).inert(Config{})
	s := dialIn(d, aPeer)
	var reqs []protocol.Request
	var frames []byte
	for i := range 50 {
		key := []byte("/v/" + string(rune('a'+i%26)))
		for _, req := range []protocol.Request{
			protocol.Ping{},
			protocol.PutValue{Record: protocol.Record{Key: key, Value: []byte("1")}},
			protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: aPeer, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/10.0.0.1/tcp/1")}}}},
			protocol.GetValue{Key: key},
			protocol.FindNode{Target: key},
		} {
			reqs = append(reqs, req)
			frames = protocol.AppendRequestFrame(frames, req)
		}
	}
	if _, err := s.Write(frames); err != nil {
		t.Fatal(err)
	}
	_ = s.CloseWrite()
	r := bufio.NewReader(s)
	for i, req := range reqs {
		if _, ok := req.(protocol.AddProvider); ok {
			continue // has no answer
		}
		msg, err := protocol.ReadFrame(r, protocol.MaxFrame)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		resp, err := protocol.ParseResponse(req, msg)
		if err != nil {
			t.Fatalf("answer %d to %T: %v", i, req, err)
		}
		if _, ok := req.(protocol.GetValue); ok && resp.Record == nil {
			t.Errorf("answer %d has no record, want the one that was put before", i)
		}
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer: %v, want the end", err)
	}
	stats := d.Stats()
	if stats.InboundPing != 50 || stats.InboundAddProvider != 50 || stats.InboundRefused != 0 {
		t.Errorf("Stats() = %+v, want 50 of each kind", stats)
	}
}

// An announcement is answered by a clean end of the stream.
func TestServeAddProvider(t *testing.T) { synctest.Test(t, testServeAddProvider) }

func testServeAddProvider(t *testing.T) {
	d := newTestNet(t).inert(Config{})
	s := dialIn(d, aPeer)
	add := protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{{
		ID: aPeer, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/10.0.0.1/tcp/1")},
	}}}
	if _, err := s.Write(protocol.AppendRequestFrame(nil, add)); err != nil {
		t.Fatal(err)
	}
	_ = s.CloseWrite()
	if all, err := io.ReadAll(s); err != nil || len(all) != 0 {
		t.Errorf("read %q, %v; want the end and nothing else", all, err)
	}
	if _, providers := d.store.Len(); providers != 1 {
		t.Errorf("%d providers are stored, want 1", providers)
	}
}

// What cannot be read, or must not be stored, ends the stream with the code that
// says why, and changes nothing.
func TestServeRefuses(t *testing.T) { synctest.Test(t, testServeRefuses) }

func testServeRefuses(t *testing.T) {
	frame := func(req protocol.Request) []byte { return protocol.AppendRequestFrame(nil, req) }
	put := func(key, value string) []byte {
		return frame(protocol.PutValue{Record: protocol.Record{Key: []byte(key), Value: []byte(value)}})
	}
	addr := multiaddr.StringCast("/ip4/10.0.0.1/tcp/1")
	add := func(p protocol.Peer) []byte {
		return frame(protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{p}})
	}
	another := peer.ID("\x12\x20" + strings.Repeat("q", 32))
	// The type PUT_VALUE, which is 0, a key, and a record of another key.
	mixed := protocol.AppendFrame(nil, []byte("\x12\x04/v/a\x1a\x09\x0a\x04/v/b\x12\x011"))
	tests := []struct {
		name string
		give []byte
		want network.StreamErrorCode
	}{
		{"no key to find", frame(protocol.FindNode{}), codeMalformed},
		{"no key to get", frame(protocol.GetValue{}), codeMalformed},
		{"no key of providers", frame(protocol.GetProviders{}), codeMalformed},
		{"no key to provide", frame(protocol.AddProvider{Providers: []protocol.Peer{{ID: aPeer, Addrs: []multiaddr.Multiaddr{addr}}}}), codeMalformed},
		{"no key to put", put("", "1"), codeMalformed},
		{"no record to put", protocol.AppendFrame(nil, []byte("\x12\x04/v/a")), codeMalformed},
		{"record of another key", mixed, codeMalformed},
		{"long key to find", frame(protocol.FindNode{Target: make([]byte, protocol.MaxKey+1)}), codeMalformed},
		{"long key to put", put("/v/"+strings.Repeat("k", protocol.MaxKey), "1"), codeMalformed},
		{"long key of providers", frame(protocol.GetProviders{Key: make([]byte, protocol.MaxProviderKey+1)}), codeMalformed},
		{"large value", put("/v/key", "1"+strings.Repeat("x", protocol.MaxValue)), codeMalformed},
		{"garbage", []byte("\x10GET / HTTP/1.1\r\n\r\n"), codeMalformed},
		{"huge frame", []byte("\xff\xff\xff\xff\x0f"), codeMalformed},
		{"padded length", []byte("\x80\x00"), codeMalformed},
		{"unknown type", protocol.AppendFrame(nil, []byte("\x08\x07")), codeMalformed},
		{"wrong namespace", put("/w/key", "1"), codeInvalid},
		{"no namespace", put("key", "1"), codeInvalid},
		{"invalid value", put("/v/key", "one"), codeInvalid},
		{"empty value", put("/v/key", ""), codeInvalid},
		{"old value", put("/v/held", "1"), codeOld},
		{"provider that is not the sender", add(protocol.Peer{ID: another, Addrs: []multiaddr.Multiaddr{addr}}), codeBadPeer},
		{"provider without an address", add(protocol.Peer{ID: aPeer}), codeBadPeer},
		{"no provider", frame(protocol.AddProvider{Key: []byte("key")}), codeBadPeer},
	}
	d := newTestNet(t).inert(Config{})
	hold(t, d, "/v/held", "2")
	for i, tt := range tests {
		s := dialIn(d, aPeer)
		_, _ = s.Write(tt.give) // it may be refused before all of it is written
		_ = s.CloseWrite()
		all, err := io.ReadAll(s)
		var reset *network.StreamError
		if !errors.As(err, &reset) || reset.ErrorCode != tt.want || len(all) != 0 {
			t.Errorf("%s: read %q, %v; want a reset with code %#x", tt.name, all, err, tt.want)
		}
		synctest.Wait()
		values, providers := d.store.Len()
		if values != 1 || providers != 0 || held(t, d, "/v/held") != "2" || d.peers.stats().Contacts != 0 {
			t.Errorf("%s: %d values, %d providers, %d contacts; want nothing changed", tt.name, values, providers, d.peers.stats().Contacts)
		}
		if got := d.Stats().InboundRefused; got != uint64(i+1) {
			t.Errorf("%s: %d refusals are counted, want %d", tt.name, got, i+1)
		}
	}
	if err := refusals(codeOld); !errors.Is(err, ErrOldRecord) || !errors.Is(err, ErrRefused) {
		t.Errorf("the code of an old record stands for %v", err)
	}
}

// A frame that is cut short ends the stream.
func TestServeCutShort(t *testing.T) { synctest.Test(t, testServeCutShort) }

func testServeCutShort(t *testing.T) {
	d := newTestNet(t).inert(Config{})
	s := dialIn(d, aPeer)
	_, _ = s.Write([]byte("\x20half"))
	_ = s.CloseWrite()
	if _, err := io.ReadAll(s); err == nil {
		t.Error("a clean end, want a reset")
	}
}

// A stream that is idle for a minute, or takes a minute to send one request, is
// ended; one that is in use is not.
func TestServeIdle(t *testing.T) { synctest.Test(t, testServeIdle) }

func testServeIdle(t *testing.T) {
	d := newTestNet(t).inert(Config{})
	ping := protocol.AppendRequestFrame(nil, protocol.Ping{})
	s := dialIn(d, aPeer)
	r := bufio.NewReader(s)
	for range 3 {
		time.Sleep(50 * time.Second)
		if _, err := s.Write(ping); err != nil {
			t.Fatal(err)
		}
		if _, err := protocol.ReadFrame(r, protocol.MaxFrame); err != nil {
			t.Fatal(err)
		}
	}
	idle := took(func() {
		if _, err := r.ReadByte(); err == nil {
			t.Error("read a byte")
		}
	})
	if idle != idleTimeout {
		t.Errorf("ended after %v, want %v", idle, idleTimeout)
	}

	slow := dialIn(d, aPeer)
	dribble := took(func() {
		for d.Stats().InboundStreams > 0 || d.Stats().InboundRefused == 1 {
			_, _ = slow.Write([]byte{'\x20'}) // the length of a frame, then a part of it
			time.Sleep(9 * time.Second)
		}
	})
	if dribble > idleTimeout+10*time.Second {
		t.Errorf("who sends a byte now and then was served for %v", dribble)
	}
}

// Who does not read its answers is not waited for.
func TestServeSlowReader(t *testing.T) { synctest.Test(t, testServeSlowReader) }

func testServeSlowReader(t *testing.T) {
	d := newTestNet(t).inert(Config{})
	hold(t, d, "/v/key", "1"+strings.Repeat("x", protocol.MaxValue-1))
	s := dialIn(d, aPeer)
	get := protocol.AppendRequestFrame(nil, protocol.GetValue{Key: []byte("/v/key")})
	_, _ = s.Write(bytes.Repeat(get, 3))
	time.Sleep(answerTimeout + time.Second)
	if got := d.Stats().InboundStreams; got != 0 {
		t.Errorf("%d streams are served, want none", got)
	}
}

// The streams that are served at a time are bounded, in total and per peer; what
// comes beyond is told that the node is busy. A stream that ends makes room.
func TestServeLimits(t *testing.T) { synctest.Test(t, testServeLimits) }

func testServeLimits(t *testing.T) {
	const limit = 2*maxInboundPerPeer + 1
	d := newTestNet(t).inert(Config{MaxInbound: limit})
	t.Cleanup(d.inbound.close)
	busy := func(s *wire) bool {
		_, _ = s.Write(protocol.AppendRequestFrame(nil, protocol.Ping{}))
		_, err := s.Read(make([]byte, 1))
		var reset *network.StreamError
		if errors.As(err, &reset) && reset.ErrorCode != codeBusy {
			t.Errorf("reset with %#x, want busy", reset.ErrorCode)
		}
		return err != nil
	}
	from := func(i int) peer.ID { return peer.ID("\x12\x20" + strings.Repeat(string(rune('a'+i)), 32)) }
	var first *wire
	for p := range 2 {
		for range maxInboundPerPeer {
			s := dialIn(d, from(p))
			if busy(s) {
				t.Fatal("refused below the limit")
			}
			if first == nil {
				first = s
			}
		}
		if !busy(dialIn(d, from(p))) {
			t.Error("one peer has more streams than one may have")
		}
	}
	if busy(dialIn(d, from(2))) {
		t.Error("refused below the limit")
	}
	if busy(dialIn(d, from(3))) {
		t.Error("a newcomer is shut out by those who hold the most")
	}
	synctest.Wait()
	if got := d.Stats(); got.InboundStreams != limit || got.InboundRefused != 3 {
		t.Errorf("%d streams, %d refused; want %d and 3", got.InboundStreams, got.InboundRefused, limit)
	}
	if got := len(d.inbound.perPeer[from(0)]) + len(d.inbound.perPeer[from(1)]); got != 2*maxInboundPerPeer-1 {
		t.Errorf("%d streams of those who hold the most, want one less", got)
	}
}

// Where nobody holds more than the others, a newcomer is refused, and a stream
// that ends makes room.
func TestServeLimitOfEquals(t *testing.T) { synctest.Test(t, testServeLimitOfEquals) }

func testServeLimitOfEquals(t *testing.T) {
	d := newTestNet(t).inert(Config{MaxInbound: 2})
	t.Cleanup(d.inbound.close)
	from := func(i int) peer.ID { return peer.ID("\x12\x20" + strings.Repeat(string(rune('a'+i)), 32)) }
	served := func(s *wire) bool {
		_, _ = s.Write(protocol.AppendRequestFrame(nil, protocol.Ping{}))
		_, err := s.Read(make([]byte, 1))
		return err == nil
	}
	first := dialIn(d, from(0))
	if !served(first) || !served(dialIn(d, from(1))) {
		t.Fatal("refused below the limit")
	}
	if served(dialIn(d, from(2))) {
		t.Error("more streams than the limit")
	}
	_ = first.Close()
	synctest.Wait()
	if !served(dialIn(d, from(2))) {
		t.Error("refused although a stream has ended")
	}
}

// A peer that does not read cannot hold up the end: Close returns within a
// second although resets block.
func TestCloseDespiteBlockedReset(t *testing.T) { synctest.Test(t, testCloseDespiteBlockedReset) }

func testCloseDespiteBlockedReset(t *testing.T) {
	d := newTestNet(t).inert(Config{})
	blocked := make(chan struct{})
	s := &stuck{wire: dialIn(d, peer.ID("\x12\x20"+strings.Repeat("a", 32))), until: blocked}
	d.inbound.add(s)
	start := time.Now()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("Close took %v", took)
	}
	close(blocked)
	d.inbound.remove(s)
}

// A stuck stream is one whose reset blocks.
type stuck struct {
	*wire
	until chan struct{}
}

func (s *stuck) Reset() error {
	<-s.until
	return s.wire.Reset()
}

// An answer never exceeds the limit of a frame: not with a thousand providers of
// many addresses each, and not with the largest record.
func TestAnswerFits(t *testing.T) { synctest.Test(t, testAnswerFits) }

func testAnswerFits(t *testing.T) {
	d := newTestNet(t).inert(Config{})
	var addrs []multiaddr.Multiaddr
	for i := range 40 {
		addrs = append(addrs, multiaddr.StringCast("/dns4/"+strings.Repeat("x", 60)+"."+strings.Repeat("y", i%60+1)+".example/tcp/4001"))
	}
	key := []byte("key")
	for i := range 1000 {
		id := peer.ID("\x12\x20" + strings.Repeat(string([]byte{'a' + byte(i%26), byte(i / 26)}), 16))
		from := asker{id, scopePublic}
		if _, err := d.answer(t.Context(), from, protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: id, Addrs: addrs}}}); err != nil {
			t.Fatal(err)
		}
		if i < 40 {
			c := routing.ContactOf(id)
			c.Wire = announce(id, addrs)
			d.peers.seen(c)
		}
	}
	hold(t, d, "/v/key", "1"+strings.Repeat("x", protocol.MaxValue-1))
	for _, req := range []protocol.Request{
		protocol.GetProviders{Key: key},
		protocol.GetValue{Key: []byte("/v/key")},
		protocol.FindNode{Target: key},
	} {
		a, err := d.answer(t.Context(), asker{aPeer, scopePublic}, req)
		if err != nil {
			t.Fatal(err)
		}
		frame := protocol.AppendEncodedResponseFrame(nil, req, a.records, a.closer, a.providers)
		msg, err := protocol.ReadFrame(bufio.NewReader(bytes.NewReader(frame)), protocol.MaxFrame)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := protocol.ParseResponse(req, msg)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%T: %d bytes, %d closer peers, %d providers", req, len(frame), len(resp.Closer), len(resp.Providers))
		if len(resp.Closer) == 0 {
			t.Errorf("%T: no closer peers", req)
		}
		if _, ok := req.(protocol.GetProviders); ok && len(resp.Providers) == 0 {
			t.Error("no providers")
		}
		if _, ok := req.(protocol.GetValue); ok && resp.Record == nil {
			t.Error("no record")
		}
	}
}
