package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
)

// A dialLog is what a dialer of a test dials. Each dial takes a time, and fails if
// it is given up.
type dialLog struct {
	*dialer
	takes time.Duration

	mu    sync.Mutex
	order []peer.ID
	now   int
	most  int
	ended int // that were given up
}

func newDialLog(t *testing.T, cfg Config, takes time.Duration) *dialLog {
	t.Helper()
	l := &dialLog{takes: takes}
	tasks := newTasks()
	t.Cleanup(func() { tasks.cancel(ErrClosed); tasks.wait(new(sync.WaitGroup)) })
	l.dialer = newDialer(cfg.withDefaults(), tasks, l.connect, func(peer.ID) bool { return false })
	return l
}

func (l *dialLog) connect(ctx context.Context, to peer.ID) error {
	l.mu.Lock()
	l.order = append(l.order, to)
	l.now++
	l.most = max(l.most, l.now)
	l.mu.Unlock()
	err := error(nil)
	select {
	case <-time.After(l.takes):
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now--
	if err != nil {
		l.ended++
	}
	return err
}

// want dials peers of a caller, prefix0, prefix1, …, in that order, and waits for
// them in the background.
func (l *dialLog) want(ctx context.Context, all *sync.WaitGroup, who *caller, prefix string, count int) {
	for i := range count {
		all.Go(func() {
			if x, err := l.dial(ctx, who, peer.ID(fmt.Sprint(prefix, i)), func(stage) {}); err == nil {
				_ = l.wait(ctx, x)
			}
		})
		synctest.Wait()
	}
}

// The first dials begin at once, later ones as the rate has it, and no more than may
// be are in flight.
func TestDialBudget(t *testing.T) {
	tests := []struct {
		name  string
		cfg   Config
		takes time.Duration
		dials int
		most  int
		spent time.Duration
	}{
		{"burst", Config{}, time.Second, 64, 64, time.Second},
		{"sustained", Config{}, 0, dialBurst + 40, 64, 2 * time.Second},
		{"in flight", Config{MaxDials: 10, DialRate: -1}, time.Second, 100, 10, 10 * time.Second},
		{"no bound", Config{MaxDials: -1, DialRate: -1}, time.Second, 500, 500, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newDialLog(t, tt.cfg, tt.takes)
				var all sync.WaitGroup
				spent := took(func() {
					l.want(t.Context(), &all, newCaller(), "p", tt.dials)
					all.Wait()
				})
				if (spent-tt.spent).Abs() > 100*time.Millisecond || len(l.order) != tt.dials || l.most > tt.most {
					t.Errorf("%d dials, %d at a time, in %v; want %d, %d, %v", len(l.order), l.most, spent, tt.dials, tt.most, tt.spent)
				}
			})
		})
	}
}

// Callers take turns: one that wants one peer dialled does not wait for another
// that wants many.
func TestDialsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newDialLog(t, Config{MaxDials: 1, DialRate: -1}, time.Second)
		var all sync.WaitGroup
		l.want(t.Context(), &all, newCaller(), "a", 5)
		l.want(t.Context(), &all, newCaller(), "b", 2)
		l.want(t.Context(), &all, nil, "c", 1)
		all.Wait()
		if want := []peer.ID{"a0", "a1", "b0", "c0", "a2", "b1", "a3", "a4"}; !slices.Equal(l.order, want) {
			t.Errorf("dialled %v, want %v", l.order, want)
		}
	})
}

// Two who want the same peer dialled share a dial, and each waits as long as it
// wants.
func TestDialIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newDialLog(t, Config{MaxDials: 1}, 2*time.Second)
		brief, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		l.want(brief, &all, newCaller(), "p", 2)
		l.want(t.Context(), &all, newCaller(), "p", 1)
		if spent := took(all.Wait); spent != 2*time.Second || len(l.order) != 1 {
			t.Errorf("dialled %v in %v, want p0 alone, in 2s: p1 was given up before its turn", l.order, spent)
		}
	})
}

// What has not begun when its caller leaves, or gives up, is not dialled. What has
// begun goes on for dialLinger, and is then given up.
func TestDialsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newDialLog(t, Config{MaxDials: 1, DialRate: -1}, 5*time.Second)
		var all sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		leaving := newCaller()
		l.want(ctx, &all, leaving, "a", 2)
		l.want(ctx, &all, newCaller(), "b", 1)
		leaving.leave()
		cancel()
		all.Wait()
		if _, err := l.dial(ctx, nil, "c", func(stage) {}); !errors.Is(err, errNotSent) {
			t.Errorf("dial() = %v, want errNotSent", err)
		}
		for _, want := range []int{0, 1} {
			synctest.Wait()
			l.mu.Lock()
			if l.ended != want {
				t.Errorf("%d dials were given up, want %d", l.ended, want)
			}
			l.mu.Unlock()
			time.Sleep(dialLinger)
		}
		synctest.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		if !slices.Equal(l.order, []peer.ID{"a0"}) || len(l.queues) > 0 || len(l.inFlight) > 0 {
			t.Errorf("dialled %v, left %v and %v; want a0 alone", l.order, l.queues, l.inFlight)
		}
	})
}

// A request to a peer that is connected does not wait for the turn of any dial.
func TestConnectedPeersNeedNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		a := n.node(Config{MaxDials: 1})
		b := n.join(Config{})
		time.Sleep(5 * time.Second)
		n.silent.Store(true)
		dead := n.join(Config{})
		time.Sleep(5 * time.Second)
		n.kill(dead)
		var hanging sync.WaitGroup
		hanging.Go(func() {
			a.host.Peerstore().AddAddrs(dead.self, dead.host.Addrs(), time.Hour)
			if _, err := a.request(t.Context(), nil, dead.self, protocol.Ping{}, nil); err == nil {
				t.Error("the dead answer")
			}
		})
		synctest.Wait()
		spent := took(func() {
			if _, err := a.request(t.Context(), nil, b.self, protocol.Ping{}, nil); err != nil {
				t.Error(err)
			}
		})
		a.dialer.mu.Lock()
		if n := len(a.dialer.inFlight); n != 1 || spent > 200*time.Millisecond {
			t.Errorf("took %v beside %d dials, want a round trip, beside one", spent, n)
		}
		a.dialer.mu.Unlock()
		hanging.Wait()
	})
}

// A lookup waits for the turn of its dials: they are not late, and what it finds is
// right.
func TestLookupWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		d := n.nodes(60, Config{K: 8})[0]
		n.silent.Store(true)
		for _, other := range n.lookUp(d.self).connections() {
			n.unlink(n.lookUp(d.self), other)
		}
		d.dialer.mu.Lock()
		d.dialer.rate, d.dialer.tokens, d.dialer.since = 1, 0, time.Now()
		d.dialer.mu.Unlock()
		start := time.Now()
		found, err := d.ClosestPeers(t.Context(), []byte("key"))
		if err != nil || time.Since(start) < 5*time.Second {
			t.Errorf("%v after %v, though its dials take longer", err, time.Since(start))
		}
		for i, want := range n.closest([]byte("key"), 8, d) {
			if i >= len(found) || found[i].ID != want {
				t.Errorf("%d: found %v, want %v", i, found, want)
				break
			}
		}
	})
}

// Ten callers that want the same ten peers need ten dials.
func TestDialsAreSharedBeforeTheyBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newDialLog(t, Config{MaxDials: 64, DialRate: 20}, 20*time.Millisecond)
		l.tokens, l.since = 0, time.Now()
		var all sync.WaitGroup
		for c := range 10 {
			who := newCaller()
			for i := range 10 {
				all.Go(func() {
					if x, err := l.dial(t.Context(), who, peer.ID(fmt.Sprint("p", (c+i)%10)), func(stage) {}); err == nil {
						_ = l.wait(t.Context(), x)
					}
				})
				synctest.Wait()
			}
		}
		spent := took(all.Wait)
		l.mu.Lock()
		defer l.mu.Unlock()
		if spent > time.Second || len(l.order) > 10 {
			t.Errorf("%d dials of 10 peers in %v", len(l.order), spent)
		}
	})
}

// Joining keeps within the dial budget.
func TestJoinKeepsToTheDialBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		var beside atomic.Int64
		var from atomic.Pointer[DHT]
		n.watch = func(d *DHT, to peer.ID, _ protocol.Request) {
			if d == from.Load() && !d.connected(to) {
				beside.Add(1)
			}
		}
		n.nodes(60, Config{})
		d := n.join(Config{MaxDials: 1, DialRate: 1})
		from.Store(d)
		start := time.Now()
		if err := d.Bootstrap(t.Context()); err != nil {
			t.Error(err)
		}
		if got := beside.Load(); got > 0 {
			t.Errorf("%d dials beside the dialer within %v, though MaxDials and DialRate are 1", got, time.Since(start))
		}
	})
}
