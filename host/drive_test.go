package host

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// answersAfter answers every request after a time.
func answersAfter(d time.Duration) reaction {
	return func(s network.Stream, req protocol.Request) {
		time.Sleep(d)
		says(protocol.Response{})(s, req)
	}
}

// A lookup does not wait for who is late, and is not the worse for it later: the
// late answer keeps the peer out of doubt, and says how long it takes.
func TestLateAnswerCounts(t *testing.T) { synctest.Test(t, testLateAnswerCounts) }

func testLateAnswerCounts(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 5)
	late := puppets[0]
	late.will(answersAfter(700 * time.Millisecond))
	lookup := func() (found int, spent time.Duration) {
		spent = took(func() {
			peers, err := d.ClosestPeers(t.Context(), []byte("key"))
			if err != nil {
				t.Error(err)
			}
			found = len(peers)
		})
		return found, spent
	}
	if found, spent := lookup(); found != 4 || spent > 100*time.Millisecond {
		t.Errorf("%d peers in %v, want the 4 that are quick, without waiting", found, spent)
	}
	c := []routing.Contact{routing.ContactOf(late.ID())}
	d.judge(c)
	before := c[0].Expect
	time.Sleep(stragglerTime)
	d.judge(c)
	if c[0].Doubtful || c[0].Expect <= before || c[0].RoundTrip < 50*time.Millisecond {
		t.Errorf("after its late answer: doubtful %v, expected in %v, before in %v", c[0].Doubtful, c[0].Expect, before)
	}
}

// Who has not answered by the time that stragglers have is in doubt, and the
// request is over.
func TestStragglersEnd(t *testing.T) { synctest.Test(t, testStragglersEnd) }

func testStragglersEnd(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 5)
	puppets[0].will(silent)
	if _, err := d.ClosestPeers(t.Context(), []byte("key")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{false, true} {
		if got := d.peers.doubted(routing.ContactOf(puppets[0].ID())); got != want {
			t.Errorf("in doubt: %v, want %v", got, want)
		}
		time.Sleep(stragglerTime)
		synctest.Wait()
	}
}

// A second after lookups were cancelled, whenever that was, no goroutine of them is
// left, with or without a dial that hangs.
func TestCancelledLookupsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		nodes := n.nodes(40, Config{})
		d := nodes[0]
		n.silent.Store(true)
		for _, dead := range nodes[30:] {
			n.kill(dead)
		}
		time.Sleep(5 * time.Second)
		idle := runtime.NumGoroutine()
		for after := range 10 {
			var lookups sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			for i := range 8 {
				lookups.Go(func() { _, _ = d.ClosestPeers(ctx, []byte{byte(after), byte(i)}) })
			}
			time.Sleep(time.Duration(after) * 20 * time.Millisecond) // none has ended by then
			cancel()
			lookups.Wait()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if now := runtime.NumGoroutine(); now > idle+4 { // a probe that is due takes two
			t.Errorf("%d goroutines, %d before", now, idle)
		}
	})
}

// No request waits for another to the same peer.
func TestRequestsToOnePeerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		d, puppets := crowd(t, n, 1)
		puppets[0].will(answersAfter(200 * time.Millisecond))
		spent := took(func() {
			var requests sync.WaitGroup
			for range 10 {
				requests.Go(func() {
					if _, err := d.request(t.Context(), nil, puppets[0].ID(), protocol.Ping{}, nil); err != nil {
						t.Error(err)
					}
				})
			}
			requests.Wait()
		})
		if spent > 250*time.Millisecond {
			t.Errorf("10 requests to a peer that takes 200ms took %v", spent)
		}
	})
}

// A dial and its answer each have the time that is expected of an answer.
func TestDialHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seeds []routing.Contact
		for _, id := range []peer.ID{"near", "far"} {
			c := routing.ContactOf(id)
			c.Expect = 150 * time.Millisecond
			seeds = append(seeds, c)
		}
		l := routing.NewLookup("self", routing.KeyOf([]byte("target")), seeds, routing.LookupConfig{})
		tasks := newTasks()
		err := drive(t.Context(), tasks, l, func(_ context.Context, c routing.Contact, reaches func(stage)) (protocol.Response, error) {
			if c.ID == "far" {
				time.Sleep(100 * time.Millisecond)
				reaches(connected)
			}
			time.Sleep(100 * time.Millisecond)
			return protocol.Response{}, nil
		}, func(_ context.Context, a answer) { l.Answered(a.from.ID, nil) })
		if got := l.Result().Closest; err != nil || len(got) != 2 { // one has taken 200ms
			t.Errorf("found %v, %v; want both", got, err)
		}
	})
}

// A request that a lookup drops is cancelled, while others go on.
func TestDriveDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := routing.KeyOf([]byte("target"))
		seeds := []routing.Contact{routing.ContactOf("ann"), routing.ContactOf("bob"), routing.ContactOf("cat"), routing.ContactOf("dan")}
		routing.SortByDistance(target, seeds)
		last := seeds[3].ID
		l := routing.NewLookup("self", target, seeds, routing.LookupConfig{Alpha: 1, SlowAfter: 100 * time.Millisecond})
		tasks := newTasks()
		start := time.Now()
		ends := make(chan time.Duration, len(seeds))
		err := drive(t.Context(), tasks, l, func(ctx context.Context, c routing.Contact, _ func(stage)) (protocol.Response, error) {
			if c.ID != last {
				<-ctx.Done()
				ends <- time.Since(start)
			}
			return protocol.Response{}, nil
		}, func(_ context.Context, a answer) { l.Answered(a.from.ID, nil) })
		if got := l.Result().Closest; err != nil || len(got) != 1 || got[0].ID != last {
			t.Errorf("found %v, %v; want the one that answers", got, err)
		}
		// Two may be in flight, slow ones included.
		for _, want := range []time.Duration{200 * time.Millisecond, 300 * time.Millisecond} {
			if got := <-ends; got != want {
				t.Errorf("a request ended after %v, want %v", got, want)
			}
		}
		if got := <-ends; got != 300*time.Millisecond+stragglerTime {
			t.Errorf("the last request ended after %v, want it to be left for %v", got, stragglerTime)
		}
	})
}

// A reader that takes its time does no harm to peers.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		d := n.node(Config{})
		n.nodes(99, Config{})
		time.Sleep(2 * time.Minute)
		key, err := providerKey(testCID("content"))
		if err != nil {
			t.Fatal(err)
		}
		holders := n.closest(key, 20, d)
		if _, err := n.find(holders[0]).Announce(t.Context(), testCID("content")); err != nil {
			t.Fatal(err)
		}
		n.silent.Store(true)
		h := n.lookUp(d.self)
		for _, id := range n.closest(key, 100, d)[1:] {
			n.unlink(h, n.lookUp(id))
		}
		n.silent.Store(false)
		before := d.Stats()
		for range d.Providers(t.Context(), testCID("content"), 0) {
			time.Sleep(15 * time.Second) // it fetches something
		}
		after := d.Stats()
		if after.Suspects > 0 || after.RequestsFailed > before.RequestsFailed {
			t.Errorf("%d suspects, %d failures; all peers are well", after.Suspects, after.RequestsFailed-before.RequestsFailed)
		}
		time.Sleep(2 * time.Second)
	})
}
