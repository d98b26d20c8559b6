package call

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A dialLog is a dialer. Its dials take some time, and fail if they are cancelled.
type dialLog struct {
	*dialer
	takes time.Duration

	mu    sync.Mutex
	order []peer.ID
	now   int
	most  int
	ended int // that were cancelled
}

func newDialLog(t *testing.T, most int, takes time.Duration) *dialLog {
	t.Helper()
	l := &dialLog{takes: takes}
	l.dialer = newDialer(most, roomtest.NewGroup(t), l.connect, func(peer.ID) bool { return false }, (*tasks.Pulse)(nil).Limit)
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

// want dials the peers prefix0, prefix1, … of a turn, in that order, and waits for them in
// the background.
func (l *dialLog) want(ctx context.Context, all *sync.WaitGroup, turn *Turn, prefix string, count int) {
	for i := range count {
		all.Go(func() {
			if x, err := l.dial(ctx, turn, peer.ID(fmt.Sprint(prefix, i)), func(Stage) {}); err == nil {
				_ = l.wait(ctx, x)
			}
		})
		synctest.Wait()
	}
}

// Dials that are answered wait for room alone. Of dials that hang, the first begin at once,
// and later ones at the rate. No more than allowed are in flight.
func TestDialBudget(t *testing.T) {
	tests := []struct {
		name  string
		bound int
		takes time.Duration
		dials int
		most  int
		spent time.Duration
	}{
		{"burst", 64, time.Second, 64, 64, time.Second},
		{"answered", 64, 100 * time.Millisecond, 1280, 64, 2 * time.Second},
		{"hanging", 64, 2 * dialTimeout, dialBurst + 10*dialRate, 64, 70 * time.Second},
		{"hanging briefly", 400, 2 * dialTimeout, dialBurst + 100, 400, 15 * time.Second},
		{"in flight", 10, time.Second, 100, 10, 10 * time.Second},
		{"no bound", -1, time.Second, 500, 500, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newDialLog(t, tt.bound, tt.takes)
				var all sync.WaitGroup
				spent := roomtest.Took(func() {
					l.want(t.Context(), &all, NewTurn(), "p", tt.dials)
					all.Wait()
				})
				if (spent-tt.spent).Abs() > 100*time.Millisecond || len(l.order) != tt.dials || l.most > tt.most {
					t.Errorf("%d dials, %d at a time, in %v; want %d, %d, %v", len(l.order), l.most, spent, tt.dials, tt.most, tt.spent)
				}
			})
		})
	}
}

// What is under way, and what waits, is counted.
func TestDialsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newDialLog(t, 2, time.Second)
		c := &Caller{dialer: l.dialer, unproved: newUnproved()}
		var all sync.WaitGroup
		l.want(t.Context(), &all, NewTurn(), "a", 3)
		l.want(t.Context(), &all, NewTurn(), "b", 2)
		if got, want := c.Dials(), (DialStats{Begun: 2, UnderWay: 2, Queued: 3}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		all.Wait()
		synctest.Wait()
		if got, want := c.Dials(), (DialStats{Begun: 5}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// Turns alternate: one with one dial does not wait for another with many.
func TestDialsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newDialLog(t, 1, time.Second)
		var all sync.WaitGroup
		l.want(t.Context(), &all, NewTurn(), "a", 5)
		l.want(t.Context(), &all, NewTurn(), "b", 2)
		l.want(t.Context(), &all, nil, "c", 1)
		all.Wait()
		if want := []peer.ID{"a0", "a1", "b0", "c0", "a2", "b1", "a3", "a4"}; !slices.Equal(l.order, want) {
			t.Errorf("dialled %v, want %v", l.order, want)
		}
	})
}

// Two requests to the same peer share a dial, and each waits as long as it wants.
func TestDialIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newDialLog(t, 1, 2*time.Second)
		brief, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		l.want(brief, &all, NewTurn(), "p", 2)
		l.want(t.Context(), &all, NewTurn(), "p", 1)
		if spent := roomtest.Took(all.Wait); spent != 2*time.Second || len(l.order) != 1 {
			t.Errorf("dialled %v in %v, want p0 alone, in 2s: p1 was given up before its turn", l.order, spent)
		}
	})
}

// A dial that has not begun when its turn is left, or its request given up, does not begin.
// One that has begun goes on for dialLinger, and is then cancelled.
func TestDialsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newDialLog(t, 1, 5*time.Second)
		var all sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		leaving := NewTurn()
		l.want(ctx, &all, leaving, "a", 2)
		l.want(ctx, &all, NewTurn(), "b", 1)
		leaving.Leave()
		cancel()
		all.Wait()
		if _, err := l.dial(ctx, nil, "c", func(Stage) {}); !errors.Is(err, kaderr.ErrNotSent) {
			t.Errorf("dial() = %v, want ErrNotSent", err)
		}
		for _, want := range []int{0, 1} {
			synctest.Wait()
			l.mu.Lock()
			if l.ended != want {
				t.Errorf("%d dials were cancelled, want %d", l.ended, want)
			}
			l.mu.Unlock()
			time.Sleep(dialLinger)
		}
		synctest.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		if !slices.Equal(l.order, []peer.ID{"a0"}) || l.queue.len+len(l.waiting) > 0 || len(l.inFlight) > 0 {
			t.Errorf("dialled %v, left %v and %v; want a0 alone", l.order, l.waiting, l.inFlight)
		}
	})
}

// A request that joins a dial which was given up, while that ends, waits for another attempt: that
// it was given up says nothing of the peer.
func TestDialGivenUpIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newDialLog(t, 64, 5*time.Second)
		connect := l.connect
		l.dialer.connect = func(ctx context.Context, to peer.ID) error {
			err := connect(ctx, to)
			if err != nil {
				time.Sleep(10 * time.Millisecond) // until it has ended
			}
			return err
		}
		var all sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		l.want(ctx, &all, nil, "p", 1)
		cancel()
		all.Wait()
		time.Sleep(dialLinger + time.Millisecond)
		x, err := l.dial(t.Context(), nil, "p0", func(Stage) {})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.wait(t.Context(), x); err != nil || len(l.order) != 2 {
			t.Errorf("%v, after %d dials, want 2", err, len(l.order))
		}
	})
}

// A request whose dial is abandoned waits for one that begins anew, and may leave that, too.
func TestAbandonedDialBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newDialLog(t, 1, 5*time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var errs [2]error
		for i, ctx := range []context.Context{t.Context(), ctx} {
			all.Go(func() {
				x, err := l.dial(ctx, nil, "p", func(Stage) {})
				if err == nil {
					err = l.wait(ctx, x)
				}
				errs[i] = err
			})
			synctest.Wait()
		}
		time.Sleep(time.Second)
		l.abandon(time.Now())
		synctest.Wait()
		cancel()
		spent := roomtest.Took(all.Wait)
		if errs[0] != nil || !errors.Is(errs[1], context.Canceled) || spent != 5*time.Second || len(l.order) != 2 {
			t.Errorf("%v after %v and %d dials, want none after 5s and 2", errs, spent, len(l.order))
		}
		synctest.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.inFlight) > 0 || l.ended != 1 {
			t.Errorf("left %v, %d cancelled", l.inFlight, l.ended)
		}
	})
}

// Ten turns that want the same ten peers need ten dials.
func TestDialsAreSharedBeforeTheyBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newDialLog(t, 64, 20*time.Millisecond)
		l.tokens, l.since = 0, time.Now()
		var all sync.WaitGroup
		for c := range 10 {
			turn := NewTurn()
			for i := range 10 {
				all.Go(func() {
					if x, err := l.dial(t.Context(), turn, peer.ID(fmt.Sprint("p", (c+i)%10)), func(Stage) {}); err == nil {
						_ = l.wait(t.Context(), x)
					}
				})
				synctest.Wait()
			}
		}
		spent := roomtest.Took(all.Wait)
		l.mu.Lock()
		defer l.mu.Unlock()
		if spent > time.Second || len(l.order) > 10 {
			t.Errorf("%d dials of 10 peers in %v", len(l.order), spent)
		}
	})
}
