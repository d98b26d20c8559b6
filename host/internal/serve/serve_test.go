package serve

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/observe"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/protocol"
)

// dialIn opens a stream to a node from a peer of a private network.
func dialIn(n *node, from peer.ID) network.Stream {
	near, far := roomtest.NewStream(
		roomtest.NewConn(n.host.ID(), nil),
		roomtest.NewConn(from, multiaddr.StringCast(privateAddr)))
	go n.Handle(far)
	return near
}

// A stream carries any number of requests, which are answered in order, also if all are
// sent before the first answer.
func TestServePipelined(t *testing.T) { synctest.Test(t, testServePipelined) }

func testServePipelined(t *testing.T) {
	d := newNode(t, 256)
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
	kinds := 0
	d.Times().Each(func(kind string, outcome uint8, times observe.Times) {
		if kinds++; outcome != uint8(table.Answered) || times.Count != 50 {
			t.Errorf("%s, outcome %d: %d; want 50 answered", kind, outcome, times.Count)
		}
	})
	if kinds != 5 || d.Refused() > 0 {
		t.Errorf("%d kinds, %d streams refused; want 5 and none", kinds, d.Refused())
	}
}

// An announcement is answered by a clean end of the stream.
func TestServeAddProvider(t *testing.T) { synctest.Test(t, testServeAddProvider) }

func testServeAddProvider(t *testing.T) {
	d := newNode(t, 256)
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
	if _, providers := d.holder.Len(); providers != 1 {
		t.Errorf("%d providers are stored, want 1", providers)
	}
}

// A request that cannot be read, or a record that must not be stored, ends the stream
// with the code that says why, and changes nothing.
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
		{"proof over the limit", frame(protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{{ID: aPeer}}, Proof: make([]byte, protocol.MaxProof+1)}), codeMalformed},
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
	d := newNode(t, 256)
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
		values, providers := d.holder.Len()
		if values != 1 || providers != 0 || held(t, d, "/v/held") != "2" || d.table.Stats().Contacts != 0 {
			t.Errorf("%s: %d values, %d providers, %d contacts; want nothing changed", tt.name, values, providers, d.table.Stats().Contacts)
		}
		if got := d.Refused(); got != uint64(i+1) {
			t.Errorf("%s: %d refusals are counted, want %d", tt.name, got, i+1)
		}
	}
}

// A peer that leaves, with its stream or with its connection, is refused nothing.
func TestLeft(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{&network.StreamError{Remote: true}, true},
		{fmt.Errorf("%w: connection closed: connection reset by peer", network.ErrReset), true}, // yamux, over TCP
		{&network.ConnError{Remote: true}, true},
		{fmt.Errorf("timeout: no recent network activity: %w", net.ErrClosed), true}, // QUIC
		{fmt.Errorf("%w: %w", errLeft, &network.StreamError{}), true},
		{&network.StreamError{}, false}, // the server has ended it
		{protocol.ErrMalformed, false},
		{kaderr.ErrBusy, false},
		{io.ErrUnexpectedEOF, false},
	} {
		if got := left(tt.err); got != tt.want {
			t.Errorf("left(%v) = %v", tt.err, got)
		}
	}
}

// A frame that is cut short ends the stream.
func TestServeCutShort(t *testing.T) { synctest.Test(t, testServeCutShort) }

func testServeCutShort(t *testing.T) {
	d := newNode(t, 256)
	s := dialIn(d, aPeer)
	_, _ = s.Write([]byte("\x20half"))
	_ = s.CloseWrite()
	if _, err := io.ReadAll(s); err == nil {
		t.Error("a clean end, want a reset")
	}
}

// A stream that is idle for a minute, or takes a minute to send one request, is ended;
// a stream in use is not.
func TestServeIdle(t *testing.T) { synctest.Test(t, testServeIdle) }

func testServeIdle(t *testing.T) {
	d := newNode(t, 256)
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
	idle := roomtest.Took(func() {
		if _, err := r.ReadByte(); err == nil {
			t.Error("read a byte")
		}
	})
	if idle > idleTimeout || idle < idleTimeout-slack {
		t.Errorf("ended after %v, want %v", idle, idleTimeout)
	}
	if d.Refused() > 0 {
		t.Error("the end of a stream that was idle counts as refused")
	}

	slow := dialIn(d, aPeer)
	dribble := roomtest.Took(func() {
		for d.Len() > 0 || d.Refused() == 0 {
			_, _ = slow.Write([]byte{'\x20'}) // the length of a frame, then a part of it
			time.Sleep(9 * time.Second)
		}
	})
	if dribble > idleTimeout+10*time.Second {
		t.Errorf("a peer that sends a byte now and then was served for %v", dribble)
	}
}

// A peer that does not read its answers is not waited for.
func TestServeSlowReader(t *testing.T) { synctest.Test(t, testServeSlowReader) }

func testServeSlowReader(t *testing.T) {
	d := newNode(t, 256)
	hold(t, d, "/v/key", "1"+strings.Repeat("x", protocol.MaxValue-1))
	s := dialIn(d, aPeer)
	get := protocol.AppendRequestFrame(nil, protocol.GetValue{Key: []byte("/v/key")})
	_, _ = s.Write(bytes.Repeat(get, 3))
	time.Sleep(answerTimeout + time.Second)
	if got := d.Len(); got != 0 {
		t.Errorf("%d streams are served, want none", got)
	}
}

// The streams that are served at a time are bounded, in total and per peer. A stream
// beyond that is reset, with the code that the node is busy.
func TestServeLimits(t *testing.T) { synctest.Test(t, testServeLimits) }

func testServeLimits(t *testing.T) {
	const limit = 2*maxInboundPerPeer + 1
	d := newNode(t, limit)
	t.Cleanup(d.Close)
	busy := func(s network.Stream) bool {
		_, _ = s.Write(protocol.AppendRequestFrame(nil, protocol.Ping{}))
		_, err := s.Read(make([]byte, 1))
		var reset *network.StreamError
		if errors.As(err, &reset) && reset.ErrorCode != kaderr.CodeBusy {
			t.Errorf("reset with %#x, want busy", reset.ErrorCode)
		}
		return err != nil
	}
	from := func(i int) peer.ID { return peer.ID("\x12\x20" + strings.Repeat(string(rune('a'+i)), 32)) }
	var idle []network.Stream // the stream of each peer that is idle for longest
	for p := range 2 {
		first := dialIn(d, from(p)) // opened first, and in use again and again
		time.Sleep(100 * time.Millisecond)
		for i := range maxInboundPerPeer - 1 {
			s := dialIn(d, from(p))
			if busy(s) || busy(first) {
				t.Fatal("refused below the limit")
			}
			if i == 0 {
				idle = append(idle, s)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if !busy(dialIn(d, from(p))) {
			t.Error("one peer has more streams than one may have")
		}
	}
	if busy(dialIn(d, from(2))) {
		t.Error("refused below the limit")
	}
	if busy(dialIn(d, from(3))) {
		t.Error("a newcomer is shut out by the peers that hold the most")
	}
	synctest.Wait()
	if got := d.Refused(); d.Len() != limit || got != 3 {
		t.Errorf("%d streams, %d refused; want %d and 3", d.Len(), got, limit)
	}
	if got, want := d.Limits(), (Limits{Streams: 3}); got != want {
		t.Errorf("the bounds that were reached: %+v, want %+v", got, want)
	}
	if got := d.streamsOf(from(0)) + d.streamsOf(from(1)); got != 2*maxInboundPerPeer-1 {
		t.Errorf("%d streams of the peers that hold the most, want one less", got)
	}
	if busy(idle[0]) == busy(idle[1]) {
		t.Error("the stream that was idle for longest was not the one that is reset")
	}
}

// Where no peer holds more than the others, a newcomer is refused while all streams are in
// use, and takes the place of a stream that is not.
func TestServeLimitOfEquals(t *testing.T) { synctest.Test(t, testServeLimitOfEquals) }

func testServeLimitOfEquals(t *testing.T) {
	d := newNode(t, 2)
	t.Cleanup(d.Close)
	from := func(i int) peer.ID { return peer.ID("\x12\x20" + strings.Repeat(string(rune('a'+i)), 32)) }
	first := dialIn(d, from(0))
	if !pings(first) || !pings(dialIn(d, from(1))) {
		t.Fatal("refused below the limit")
	}
	if pings(dialIn(d, from(2))) {
		t.Error("more streams than the limit")
	}
	_ = first.Close()
	synctest.Wait()
	if !pings(dialIn(d, from(2))) {
		t.Error("refused although a stream has ended")
	}
	time.Sleep(minIdle)
	if !pings(dialIn(d, from(3))) {
		t.Error("refused although a stream is idle")
	}
}

// A request that is slow to arrive is not ended for a peer that has more streams, all in use,
// until it has taken as long as an answer may.
func TestServeSlowRequest(t *testing.T) { synctest.Test(t, testServeSlowRequest) }

func testServeSlowRequest(t *testing.T) {
	d := newNode(t, 4)
	t.Cleanup(d.Close)
	slow := dialIn(d, calltest.ID(1))
	frame := protocol.AppendRequestFrame(nil, protocol.FindNode{Target: []byte("target")})
	_, _ = slow.Write(frame[:1])
	var many []network.Stream
	for range 3 {
		many = append(many, dialIn(d, calltest.ID(2)))
	}
	for waited := time.Duration(0); waited < 2*answerTimeout; waited += time.Second {
		for _, s := range many {
			if !pings(s) {
				t.Fatal("a stream in use has ended")
			}
		}
		synctest.Wait() // all have been read
		served := pings(dialIn(d, calltest.ID(2)))
		if want := waited >= answerTimeout; served != want {
			t.Fatalf("after %v, the fourth stream of a peer is served: %v", waited, served)
		}
		if served {
			return
		}
		time.Sleep(time.Second)
	}
}

// Requests that wait for a store that hangs hold up others for a moment: what needs no store, and
// what the store answers at once. No more than maxLate of them do so beside the usual ones.
func TestServeWhileStoreHangs(t *testing.T) { synctest.Test(t, testServeWhileStoreHangs) }

func testServeWhileStoreHangs(t *testing.T) {
	d := newNode(t, 256)
	t.Cleanup(d.Close)
	var waiting, most atomic.Int64
	d.cfg.OnRequest = func(_ network.Conn, req protocol.Request) error { // stands for a store
		if _, ok := req.(protocol.PutValue); ok {
			most.Store(max(most.Load(), waiting.Add(1)))
			defer waiting.Add(-1)
			time.Sleep(time.Minute)
		}
		return nil
	}
	const writers = maxLate
	put := protocol.AppendRequestFrame(nil, protocol.PutValue{Record: protocol.Record{Key: []byte("/v/key"), Value: []byte("1")}})
	write := func(count int) {
		for i := range count {
			_, _ = dialIn(d, calltest.ID(i)).Write(put)
		}
		synctest.Wait()
	}
	write(writers)
	began := time.Now()
	if !pings(dialIn(d, calltest.ID(writers))) {
		t.Error("a ping is not answered")
	}
	if took := time.Since(began); took > time.Duration(writers/d.queue.places+1)*slowAnswer { // when all writes have come to the store
		t.Errorf("a ping is answered after %v", took)
	}
	time.Sleep(10 * time.Second)
	began = time.Now()
	if !pings(dialIn(d, calltest.ID(writers))) || time.Since(began) > 0 {
		t.Errorf("a ping while the store has all writes is answered after %v", time.Since(began))
	}
	write(6 * writers)
	time.Sleep(3 * time.Minute) // they end
	if got := int(most.Load()); got > maxLate+d.queue.places {
		t.Errorf("%d requests wait for the store at a time, want up to %d", got, maxLate+d.queue.places)
	}
	if d.mu.Lock(); len(d.queue.running)+len(d.queue.waiting) > 0 {
		t.Errorf("%d requests have a place at the end, and %d wait", len(d.queue.running), len(d.queue.waiting))
	}
	d.mu.Unlock()
}

// A contact of the table takes the place of a stranger, also if that is in use; a stranger
// takes none of a contact.
func TestServeContactsFirst(t *testing.T) { synctest.Test(t, testServeContactsFirst) }

func testServeContactsFirst(t *testing.T) {
	d := newNode(t, 2)
	t.Cleanup(d.Close)
	contacts := acquaint(d, 3, privateAddr)
	stranger := func(i int) peer.ID { return calltest.ID(100 + i) }
	if !pings(dialIn(d, stranger(0))) || !pings(dialIn(d, stranger(1))) {
		t.Fatal("refused below the limit")
	}
	for _, c := range contacts[:2] {
		if !pings(dialIn(d, c.ID)) {
			t.Error("a contact has no room among strangers")
		}
	}
	if pings(dialIn(d, contacts[2].ID)) {
		t.Error("a contact takes the place of another that is in use")
	}
	time.Sleep(time.Second)
	if pings(dialIn(d, stranger(2))) {
		t.Error("a stranger takes the place of a contact")
	}
}

// pings reports whether a stream is served.
func pings(s network.Stream) bool {
	_, _ = s.Write(protocol.AppendRequestFrame(nil, protocol.Ping{}))
	_, err := s.Read(make([]byte, 1))
	return err == nil
}

// Many identities with one stream each, which ping again and again, or have begun a frame,
// shut out neither newcomers nor contacts.
func TestServeManyIdentities(t *testing.T) {
	for _, test := range []struct {
		name     string
		every    time.Duration // pings; 0: half a frame
		addr     string        // with the number of the network, of so many
		networks int
	}{
		{"a ping a second", time.Second, privateAddr, 1},
		{"half frames", 0, privateAddr, 1},
		{"33 addresses, a ping a second", time.Second, fourthAddr, 33},
		{"33 addresses, 20 pings a second", 50 * time.Millisecond, fourthAddr, 33},
		{"half frames of 33 addresses", 0, fourthAddr, 33},
		{"4 IPv6 networks, a ping a second", time.Second, sixthAddr, 4},
		{"4 IPv6 networks, 20 pings a second", 50 * time.Millisecond, sixthAddr, 4},
		{"half frames of 4 IPv6 networks", 0, sixthAddr, 4},
		{"half frames of an address for each identity", 0, fourthAddr, 256},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				testServeManyIdentities(t, test.every, func(i int) string {
					return strings.ReplaceAll(test.addr, "N", strconv.Itoa(i%test.networks))
				})
			})
		})
	}
}

const (
	fourthAddr = "/ip4/20.N.7.7/tcp/4001"
	sixthAddr  = "/ip6/2a01:N::7/tcp/4001"
)

func testServeManyIdentities(t *testing.T, every time.Duration, addrOf func(i int) string) {
	const places = 256
	d := newNode(t, places)
	defer d.Close()
	contacts := acquaint(d, 100, privateAddr)
	open := func(id peer.ID, addr string) network.Stream {
		near, far := roomtest.NewStream(roomtest.NewConn(d.host.ID(), nil), roomtest.NewConn(id, multiaddr.StringCast(addr)))
		go d.Handle(far)
		return near
	}
	over := make(chan struct{})
	var hostile sync.WaitGroup
	for i := range places {
		addr := addrOf(i)
		hostile.Go(func() { // opens another stream when it loses one
			for {
				s := open(calltest.ID(1000+i), addr)
				if every == 0 {
					_, _ = s.Write([]byte{200, 1})
				}
				for every == 0 || pings(s) {
					select {
					case <-over:
						_ = s.Reset()
						return
					case <-time.After(cmp.Or(every, time.Second/4)):
					}
					if every == 0 {
						if _, err := s.Write([]byte{0}); err != nil {
							break
						}
					}
				}
				select {
				case <-over:
					return
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
		time.Sleep(3 * time.Millisecond)
	}
	newcomers, known := 0, 0
	for i := range 100 {
		s := open(calltest.ID(2000+i), fmt.Sprintf("/ip4/%d.9.9.9/tcp/4001", 60+i))
		if pings(s) {
			newcomers++
		}
		_ = s.Close()
		s = open(contacts[i%len(contacts)].ID, fmt.Sprintf("/ip4/20.%d.9.9/tcp/4001", i)) // some are in the same networks
		if pings(s) {
			known++
		}
		_ = s.Close()
		time.Sleep(20 * time.Millisecond)
	}
	close(over)
	hostile.Wait()
	t.Logf("%d of 100 newcomers and %d of 100 contacts were served", newcomers, known)
	if min(newcomers, known) < 90 {
		t.Errorf("%d of 100 newcomers and %d of 100 contacts were served, want 90 of both", newcomers, known)
	}
}

// A peer that does not read does not hold up the end: Close returns at once, although
// resets block, and Done is what waits for the streams.
func TestCloseDespiteBlockedReset(t *testing.T) { synctest.Test(t, testCloseDespiteBlockedReset) }

func testCloseDespiteBlockedReset(t *testing.T) {
	d := newNode(t, 256)
	near := dialIn(d, aPeer)
	_, far := roomtest.NewStream(nil, roomtest.NewConn(aPeer, multiaddr.StringCast(privateAddr)))
	s := &stuck{Stream: far, until: make(chan struct{})}
	go d.Handle(s)
	synctest.Wait()
	if d.Len() != 2 {
		t.Fatalf("%d streams are served, want 2", d.Len())
	}
	if took := roomtest.Took(d.Close); took != 0 {
		t.Errorf("Close took %v", took)
	}
	if _, err := near.Read(make([]byte, 1)); err == nil {
		t.Error("a stream was not reset")
	}
	if busy := dialIn(d, aPeer); !refused(busy) {
		t.Error("a stream is served after Close")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Done().Wait()
	}()
	synctest.Wait()
	select {
	case <-ended:
		t.Error("Done does not wait for a stream that is still served")
	default:
	}
	close(s.until)
	<-ended
}

// Reset ends the streams that are served, and new ones are served afterwards.
func TestReset(t *testing.T) { synctest.Test(t, testReset) }

func testReset(t *testing.T) {
	d := newNode(t, 256)
	t.Cleanup(d.Close)
	s := dialIn(d, aPeer)
	synctest.Wait()
	d.Reset()
	synctest.Wait()
	if !refused(s) {
		t.Error("a stream was not reset")
	}
	synctest.Wait()
	if got := d.Len(); got != 0 {
		t.Errorf("%d streams are left", got)
	}
	if refused(dialIn(d, aPeer)) {
		t.Error("a stream is not served after Reset")
	}
}

// refused reports whether a stream is reset, and not answered.
func refused(s network.Stream) bool {
	_, _ = s.Write(protocol.AppendRequestFrame(nil, protocol.Ping{}))
	_, err := s.Read(make([]byte, 1))
	return err != nil
}

// Asked is called for a request that was served, and not for one that was refused.
func TestAsked(t *testing.T) { synctest.Test(t, testAsked) }

func testAsked(t *testing.T) {
	d := newNode(t, 256)
	for i, req := range []protocol.Request{
		protocol.Ping{},
		protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{{ID: aPeer, Addrs: roomtest.Addrs(privateAddr)}}},
		protocol.PutValue{Record: protocol.Record{Key: []byte("/v/key"), Value: []byte("x")}},
	} {
		s := dialIn(d, aPeer)
		_, _ = s.Write(protocol.AppendRequestFrame(nil, req))
		_ = s.CloseWrite()
		_, _ = io.ReadAll(s)
		synctest.Wait()
		if got := int(d.asked.Load()); got != min(i+1, 2) {
			t.Errorf("after %T: called %d times", req, got)
		}
	}
}

// A stuck stream is a stream with a reset that blocks.
type stuck struct {
	network.Stream
	until chan struct{}
}

func (s *stuck) Reset() error {
	<-s.until
	return s.Stream.Reset()
}

// An answer never exceeds the limit of a frame: not with a thousand providers of
// many addresses each, and not with the largest record.
func TestAnswerFits(t *testing.T) { synctest.Test(t, testAnswerFits) }

func testAnswerFits(t *testing.T) {
	d := newNode(t, 256)
	var addrs []multiaddr.Multiaddr
	for i := range 40 {
		addrs = append(addrs, multiaddr.StringCast("/dns4/"+strings.Repeat("x", 60)+"."+strings.Repeat("y", i%60+1)+".example/tcp/4001"))
	}
	key := []byte("key")
	for i := range 1000 {
		id := peer.ID("\x12\x20" + strings.Repeat(string([]byte{'a' + byte(i%26), byte(i / 26)}), 16))
		from := holder.From{ID: id, At: scope.Public}
		if _, err := d.Answer(t.Context(), from, protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: id, Addrs: addrs}}}, time.Now()); err != nil {
			t.Fatal(err)
		}
		if i < 40 {
			d.meet(id, addrs)
		}
	}
	hold(t, d, "/v/key", "1"+strings.Repeat("x", protocol.MaxValue-1))
	for _, req := range []protocol.Request{
		protocol.GetProviders{Key: key},
		protocol.GetValue{Key: []byte("/v/key")},
		protocol.FindNode{Target: key},
	} {
		a, err := d.Answer(t.Context(), holder.From{ID: aPeer, At: scope.Public}, req, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		frame := protocol.AppendEncodedResponseFrame(nil, req, a.Records, a.Closer, a.Providers)
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
