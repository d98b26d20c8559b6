package lookup

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A lookup waits for the turns of its dials: peers that are not dialled yet are not late, and
// what it finds is right.
func TestLookupWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ids := newNetworkThatDials(t, 1)
		n.net.Disconnect(ids...)
		before := len(n.net.Dialled())
		r, spent := n.find(t, "key")
		if !slices.Equal(peersOf(r.Closest), nearest("key", ids)) || r.Late > 0 {
			t.Errorf("found %v, %d late; want %v", peersOf(r.Closest), r.Late, nearest("key", ids))
		}
		if dials := len(n.net.Dialled()) - before; dials < testK || spent < testK*calltest.RoundTrip {
			t.Errorf("%d dials in %v: they did not wait for each other", dials, spent)
		}
	})
}

// goroutines returns how many there are in the bubble.
func goroutines() int {
	buf := make([]byte, 1<<20)
	return bytes.Count(buf[:runtime.Stack(buf, true)], []byte(", synctest bubble"))
}

// Lookups that are cancelled leave no goroutine, with or without a dial that hangs.
func TestCancelledLookupsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ids := newNetwork(t)
		for _, id := range ids[40:] {
			n.net.Disconnect(id)
			n.net.Hang(id)
		}
		synctest.Wait()
		idle := goroutines()
		for after := range 10 {
			var lookups sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			for i := range 8 {
				lookups.Go(func() {
					if _, err := n.Find(ctx, []byte{byte(after), byte(i)}, Plan{}); !errors.Is(err, context.Canceled) {
						t.Errorf("a lookup ended with %v before it was cancelled", err)
					}
				})
			}
			time.Sleep(time.Duration(after) * time.Millisecond)
			cancel()
			lookups.Wait()
		}
		time.Sleep(time.Second) // the dials that hang are cancelled by then
		synctest.Wait()
		if now := goroutines(); now > idle {
			t.Errorf("%d goroutines, %d before", now, idle)
		}
	})
}

// A reader of the answers that takes its time does no harm to peers.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ids := newNetworkThatDials(t, 4)
		n.net.Disconnect(ids...)
		s, err := n.Prepare(t.Context(), []byte("key"), protocol.FindNode{Target: []byte("key")}, Plan{})
		if err != nil {
			t.Fatal(err)
		}
		s.Heard = func(routing.Contact, protocol.Response) { time.Sleep(15 * time.Second) }
		if _, err := s.Run(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(call.StragglerTime)
		if i := slices.IndexFunc(ids, func(id peer.ID) bool { return n.expected(id).Doubtful }); i >= 0 {
			t.Errorf("peer %d is in doubt, though all are well", i)
		}
		if _, failed, _ := n.call.Stats(); failed > 0 {
			t.Errorf("%d requests failed", failed)
		}
	})
}

// Peers in doubt are asked where there are no others: they may be back.
func TestDoubtedSeedsAreBetterThanNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 2)
		for i := range 2 {
			n.net.Add(calltest.ID(i+1), calltest.Silent)
		}
		if r, _ := n.find(t, "key"); len(r.Closest) != 0 {
			t.Fatal("silent peers are in a result")
		}
		time.Sleep(call.StragglerTime)
		synctest.Wait()
		for i := range 2 {
			if !n.expected(calltest.ID(i + 1)).Doubtful {
				t.Fatal("a silent peer is not in doubt")
			}
			n.net.Add(calltest.ID(i+1), calltest.Names())
		}
		if r, _ := n.find(t, "key"); len(r.Closest) != 2 {
			t.Errorf("found %d, want both", len(r.Closest))
		}
	})
}

// What a lookup lacks is asked after each answer: once it lacks nothing, it does not wait for
// late peers any more, and until then it does.
func TestLacksAfterEachAnswer(t *testing.T) {
	const late = 6 * time.Second
	for found, least := range map[bool]time.Duration{true: 0, false: late} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 4)
			n.net.Add(calltest.ID(1), calltest.After(late, calltest.Names()))
			s, err := n.Prepare(t.Context(), []byte("key"), protocol.FindNode{Target: []byte("key")}, Plan{})
			if err != nil {
				t.Fatal(err)
			}
			lacks := true
			s.Lacks = func() bool { return lacks }
			s.Heard = func(routing.Contact, protocol.Response) { lacks = !found }
			spent := roomtest.Took(func() { _, err = s.Run(t.Context()) })
			if err != nil || (spent >= late) != !found || spent < least {
				t.Errorf("found early: %v; the lookup took %v, %v; the late answer comes after %v", found, spent, err, late)
			}
		})
	}
}

// A lookup that lacks something from the beginning keeps its requests to the closest peers, also
// if more peers are late than it has requests at a time, and none has answered yet.
func TestLacksBeforeTheFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 60)
		for i := range 60 {
			n.net.Add(calltest.ID(i+1), calltest.After(6*time.Second, calltest.Names()))
		}
		s, err := n.Prepare(t.Context(), []byte("key"), protocol.FindNode{Target: []byte("key")}, Plan{})
		if err != nil {
			t.Fatal(err)
		}
		s.Lacks = func() bool { return true }
		r, err := s.Run(t.Context())
		if want := n.table.Closest(s.key, testK); err != nil || r.Requests <= 20 || !slices.Equal(peersOf(r.Closest), peersOf(want)) {
			t.Errorf("after %d requests, found %v, %v; want %v", r.Requests, peersOf(r.Closest), err, peersOf(want))
		}
	})
}
