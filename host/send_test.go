package host

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/protocol"
)

// A sentLog keeps what a node sends, and when.
type sentLog struct {
	mu   sync.Mutex
	from *DHT
	sent []sentRequest
}

type sentRequest struct {
	at  time.Time
	to  peer.ID
	req protocol.Request
}

// add is for [memNet.watch].
func (l *sentLog) add(from *DHT, to peer.ID, req protocol.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from == l.from {
		l.sent = append(l.sent, sentRequest{time.Now(), to, req})
	}
}

// A put sends to those who are certain to be among the closest while it looks for
// the others, and returns when its quorum is reached, whatever is left of the lookup.
func TestPutDoesNotWaitForItsLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		var log sentLog
		n.watch = log.add
		d := n.node(Config{})
		n.nodes(149, Config{})
		for i := range 10 { // until it knows the size of the network
			closestTo(t, n, d, fmt.Sprint(i))
		}
		early, before := 0, 0
		for i := range 20 {
			time.Sleep(10 * time.Second)
			log.mu.Lock()
			log.from, log.sent = d, nil
			log.mu.Unlock()
			start := time.Now()
			receipt, err := d.Put(t.Context(), recordKey(i), []byte("1"), Quorum(1))
			if err != nil {
				t.Fatal(err)
			}
			returned := time.Since(start)
			if receipt, err = receipt.Wait(t.Context()); err != nil || len(receipt.Stored) < 20 || len(receipt.Failed) > 0 || receipt.Wanted != len(receipt.Stored) {
				t.Errorf("receipt %v, %v; want it stored by all", receipt, err)
			}
			if lacking := slices.DeleteFunc(n.closest([]byte(recordKey(i)), 20, d), func(id peer.ID) bool { return slices.Contains(receipt.Stored, id) }); len(lacking) > 0 {
				t.Errorf("%d of the closest have not stored it", len(lacking))
			}
			log.mu.Lock()
			var found, put []time.Duration
			for _, s := range log.sent {
				switch req := s.req.(type) {
				case protocol.FindNode:
					if string(req.Target) == recordKey(i) {
						found = append(found, s.at.Sub(start))
					}
				case protocol.PutValue:
					put = append(put, s.at.Sub(start))
				}
			}
			log.mu.Unlock()
			if put[0] < found[len(found)-1] {
				early++
			}
			if returned < found[len(found)-1] {
				before++
			}
		}
		if early < 5 {
			t.Errorf("%d of 20 puts began while the lookup asked others, want 5", early)
		}
		if before == 0 {
			t.Error("no put with a quorum of 1 returned before its lookup had asked all")
		}
	})
}

// Puts of a cold node are stored by the closest, though dials are bounded.
func TestColdPuts(t *testing.T) {
	for _, count := range []int{1, 16} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet(t, 50*time.Millisecond)
				d := n.node(Config{})
				n.nodes(59, Config{})
				time.Sleep(time.Minute)
				n.silent.Store(true)
				h := n.lookUp(d.self)
				for _, other := range h.connections() {
					n.unlink(h, other)
				}
				n.silent.Store(false)
				d.dialer.mu.Lock()
				d.dialer.tokens, d.dialer.since = 0, time.Now()
				d.dialer.mu.Unlock()
				var mu sync.Mutex
				right, wanted, failed := 0, 0, 0
				worst := time.Duration(0)
				var puts sync.WaitGroup
				for i := range count {
					puts.Go(func() {
						start := time.Now()
						receipt, err := d.Put(t.Context(), recordKey(i), []byte("1"))
						spent := time.Since(start)
						if err == nil { // it returned at three quarters of k
							receipt, err = receipt.Wait(t.Context())
						}
						mu.Lock()
						defer mu.Unlock()
						worst = max(worst, spent)
						if err != nil {
							failed++
						}
						want := n.closest([]byte(recordKey(i)), 20, d)
						wanted += len(want)
						for _, id := range receipt.Stored {
							if slices.Contains(want, id) {
								right++
							}
						}
					})
				}
				puts.Wait()
				time.Sleep(2 * time.Second)
				share := float64(right) / float64(wanted)
				if share < 0.95 || failed > 0 || worst > 5*time.Second {
					t.Errorf("%d puts: %.2f of the closest have it, %d errors, the slowest took %v", count, share, failed, worst)
				}
			})
		})
	}
}

// A put whose lookup was spared by what is remembered does not wait for those who
// went silent meanwhile.
func TestPutOfRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		d := n.node(Config{})
		n.nodes(59, Config{})
		time.Sleep(time.Minute)
		closestTo(t, n, d, "/v/key")
		gone := n.closest([]byte("/v/key"), 20, d)
		for _, id := range gone[3:13] {
			n.lookUp(id).mute.Store(true)
		}
		time.Sleep(time.Second)
		start := time.Now()
		receipt, err := d.Put(t.Context(), "/v/key", []byte("1"), Quorum(8))
		spent := time.Since(start)
		if err != nil || spent > time.Second {
			t.Errorf("a put with a quorum of 8 took %v, %v, though 10 of 20 are well and 80 more nodes", spent, err)
		}
		receipt, err = receipt.Wait(t.Context())
		if len(receipt.Stored) < 15 {
			t.Errorf("stored by %d, with 10 of the remembered gone and 89 nodes alive: %v", len(receipt.Stored), err)
		}
		time.Sleep(2 * time.Second)
	})
}

// An announcement does not wait for one that does not acknowledge.
func TestAnnounceToSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		var slow atomic.Pointer[memHost]
		n.watch = func(_ *DHT, to peer.ID, req protocol.Request) {
			if h := slow.Load(); h != nil && to == h.id {
				if _, ok := req.(protocol.AddProvider); ok {
					h.mute.Store(true) // it answered the lookup, and not this
				}
			}
		}
		d := n.nodes(60, Config{})[0]
		key, err := providerKey(testCID("content"))
		if err != nil {
			t.Fatal(err)
		}
		slow.Store(n.lookUp(n.closest(key, 20, d)[7]))
		spent := took(func() {
			if _, err := d.Announce(t.Context(), testCID("content")); err != nil {
				t.Error(err)
			}
		})
		if spent > time.Second {
			t.Errorf("it took %v to announce, for 1 of 20 was silent", spent)
		}
	})
}

// A put that has returned at its quorum does not hang on events that nobody reads
// any more, and has filled its trace.
func TestPutAfterItsQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		d := n.node(Config{})
		n.nodes(59, Config{})
		for i := range 10 {
			closestTo(t, n, d, fmt.Sprint(i))
		}
		base, cancel := context.WithCancel(t.Context())
		defer cancel()
		early := 0
		for i := range 20 {
			ctx, trace := WithTrace(base)
			ctx, events := lrouting.RegisterForQueryEvents(ctx)
			returned := make(chan struct{})
			go func() {
				for {
					select {
					case <-events:
					case <-returned:
						return
					}
				}
			}()
			receipt, err := d.Put(ctx, recordKey(i), []byte("1"), Quorum(1))
			if err != nil {
				t.Fatal(err)
			}
			close(returned)
			if trace.Stats().Requests == 0 {
				early++
			}
			wait, stop := context.WithTimeout(t.Context(), time.Minute)
			if _, err := receipt.Wait(wait); err != nil {
				t.Errorf("put %d has not ended after a minute: %v", i, err)
				stop()
				break
			}
			stop()
		}
		if early > 0 {
			t.Errorf("%d traces were empty when their put had returned", early)
		}
		cancel()
		time.Sleep(2 * time.Second)
	})
}
