package serve

import (
	"bufio"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
)

// press has a peer send requests on a stream without waiting for answers, and counts these.
func press(s network.Stream, answers *atomic.Int64) {
	var many []byte
	for range 100 {
		many = protocol.AppendRequestFrame(many, protocol.FindNode{Target: []byte("target")})
	}
	go func() {
		_, _ = s.Write(many[:1])
		many = append(many[1:], many[0]) // no request ends where a part of the flood does
		for {
			if _, err := s.Write(many); err != nil {
				return
			}
		}
	}()
	go func() {
		for r := bufio.NewReader(s); ; answers.Add(1) {
			if _, err := protocol.ReadFrame(r, protocol.MaxFrame); err != nil {
				return
			}
		}
	}()
}

// Peers that do not wait for their answers have, all together, so many answers in a second, and
// each network as many as another, however many streams it has. Another peer does not wait
// for them, and has all that there is for busy networks if it asks often.
func TestPeersThatPress(t *testing.T) { synctest.Test(t, testPeersThatPress) }

func testPeersThatPress(t *testing.T) {
	const seconds = 10
	d := newNode(t, 256)
	var many, few atomic.Int64
	var streams []network.Stream
	for i := range 100 {
		s := dialFrom(d, calltest.ID(i/5), netAddr(7))
		streams = append(streams, s)
		press(s, &many)
	}
	s := dialFrom(d, calltest.ID(1000), netAddr(8))
	streams = append(streams, s)
	press(s, &few)
	for range seconds * 10 {
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		s := dialFrom(d, aPeer, netAddr(9))
		if !pings(s) {
			t.Error("a peer that does not press is not served")
		}
		_ = s.Reset()
		if took := time.Since(began); took > 0 {
			t.Errorf("a peer that does not press waits for %v", took)
		}
	}
	asks, other := dialFrom(d, aPeer, netAddr(9)), dialFrom(d, calltest.ID(1001), netAddr(10))
	took := roomtest.Took(func() {
		r := bufio.NewReader(asks)
		for i := range 1000 {
			if i%100 == 0 && !pings(other) {
				t.Fatal("a peer that asks seldom is not served")
			}
			_, _ = asks.Write(protocol.AppendRequestFrame(nil, protocol.Ping{}))
			if _, err := protocol.ReadFrame(r, protocol.MaxFrame); err != nil {
				t.Fatal(err)
			}
		}
	})
	if most := time.Duration(float64(1000*(minCost+transportCost)) / busyShare / float64(runtime.GOMAXPROCS(0))); took > most {
		t.Errorf("a peer that asks often, and waits for its answers, waits for %v, want up to %v as the only busy one", took, most)
	}
	_ = other.Reset()
	_ = asks.Reset()
	all := many.Load() + few.Load()
	t.Logf("in %d s %d answers of 100 streams of 20 peers of one network, and %d of one stream of another", seconds, many.Load(), few.Load())
	// The clock stands still while an answer is made, so that each counts minCost.
	want := int64(float64(seconds*time.Second/minCost) * pressedShare * float64(runtime.GOMAXPROCS(0)))
	if all < want*9/10 || all > want*11/10 {
		t.Errorf("%d answers, want %d", all, want)
	}
	if few.Load() < all*4/10 {
		t.Errorf("one stream has %d of %d answers, want half of them", few.Load(), all)
	}
	for _, s := range streams {
		_ = s.Reset()
	}
	time.Sleep(time.Second) // each that waits has its turn, and finds that its stream has ended
	synctest.Wait()
	checkIdle(t, d)
	d.Close()
	d.Done().Wait()
}

// A peer presses from the ninth request at a time on, or with some requests behind the one that is
// read.
func TestPresses(t *testing.T) {
	d := newNode(t, 256)
	for _, tt := range []struct {
		busy, arrived int
		want          bool
	}{
		{0, 0, false},
		{pressedRequests, pressedBytes - 1, false},
		{pressedRequests + 1, 0, true},
		{1, pressedBytes, true},
	} {
		d.shares[aPeer] = &share{streams: 1, busy: tt.busy}
		if got := d.presses(aPeer, tt.arrived); got != tt.want {
			t.Errorf("%d requests, and %d bytes behind one: presses %v", tt.busy, tt.arrived, got)
		}
	}
	delete(d.shares, aPeer)
	if d.presses(aPeer, pressedBytes-1) {
		t.Error("a peer without a stream presses")
	}
}

// A contact of the table has some turns for each one of a stranger.
func TestContactsHaveMoreTurns(t *testing.T) {
	q := queue{places: 1}
	in := func(id int, known bool) *inbound {
		_, far := roomtest.NewStream(nil, roomtest.NewConn(calltest.ID(id), roomtest.Addrs(netAddr(id))[0]))
		in := &inbound{stream: far, peer: calltest.ID(id), known: known}
		in.locate()
		return in
	}
	running := in(0, false)
	q.begin(running, time.Time{})
	const peers, streams = 3, 3
	var all []*inbound
	for i := range peers * streams {
		all = append(all, in(1+i%peers, i%peers == 0))
	}
	var turns [peers]int
	for range 600 {
		for _, other := range all {
			if other != running && other.turn == nil {
				q.begin(other, time.Time{})
			}
		}
		running.placed = false
		q.end(running, time.Millisecond, time.Time{})
		for i, other := range all {
			if other.placed {
				running = other
				turns[i%peers]++
			}
		}
	}
	t.Logf("a contact has %d turns, strangers have %d and %d", turns[0], turns[1], turns[2])
	if turns[0] < 2*turns[1] || turns[1] < 50 || turns[1] < turns[2]*9/10 {
		t.Errorf("a contact has %d turns, strangers have %d and %d", turns[0], turns[1], turns[2])
	}
}
