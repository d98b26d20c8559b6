package lookup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// bound gives the engine of a node a limit, whose job is asked as late as said, until the test
// ends.
func (n *node) bound(t *testing.T, late time.Duration) {
	t.Helper()
	woken := make(chan struct{}, 1)
	n.limiter.wake = func() { tasks.Poke(woken) }
	n.limiter.pulse = roomtest.NewPulse(t, late)
	roomtest.RunLate(t, n.Job(), woken, late)
}

// underWay returns how many lookups are.
func (n *node) underWay() int {
	n.limiter.mu.Lock()
	defer n.limiter.mu.Unlock()
	return n.limiter.underWay
}

// begin begins so many lookups at once, and returns what waits for their ends.
func (n *node) begin(t *testing.T, lookups int) *sync.WaitGroup {
	t.Helper()
	find := n.Closest(0)
	all := new(sync.WaitGroup)
	for i := range lookups {
		all.Go(func() {
			if _, err := find(t.Context(), fmt.Append(nil, "key ", i), nil); err != nil {
				t.Errorf("lookup %d: %v", i, err)
			}
		})
	}
	return all
}

// burst runs so many lookups at once, and returns how many were under way at most at any
// moment of the first second, and how many after four. Enough peers answer each of them.
func (n *node) burst(t *testing.T, lookups int) (most, later int) {
	t.Helper()
	all := n.begin(t, lookups)
	for range 1000 {
		time.Sleep(time.Millisecond)
		most = max(most, n.underWay())
	}
	time.Sleep(3 * time.Second)
	later = n.underWay()
	all.Wait()
	return most, later
}

// A burst of lookups is bounded, and none fails. A machine that keeps up soon runs all of
// them at once; on one that is late, few are under way. The next burst begins anew.
func TestBurst(t *testing.T) {
	const lookups = 150
	for _, tt := range []struct {
		name        string
		late        time.Duration
		least, most int // of the lookups that are under way at once
		later       int // how many are after a while
	}{
		{"in time", 0, lookups - limitFirst, lookups, lookups},
		{"late", 100 * time.Millisecond, limitFirst, limitFirst + 10, limitFirst + 26},
		{"starved", time.Second, limitFirst, limitFirst, limitLeast},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, ids := newNetwork(t)
				for _, id := range ids {
					n.net.Add(id, calltest.After(250*time.Millisecond, calltest.Knows(testK, ids...)))
				}
				n.bound(t, tt.late)
				for range 2 {
					if most, later := n.burst(t, lookups); most < tt.least || most > tt.most || later > tt.later {
						t.Errorf("%d lookups were under way at once, want %d to %d; later %d, want %d at most", most, tt.least, tt.most, later, tt.later)
					}
				}
			})
		})
	}
}

// The limit is doubled while timers are in time, halved while they are so late that the machine
// is starved, and else is one more than are under way: then one of them may wait for another.
func TestLimitSteps(t *testing.T) {
	for _, tt := range []struct {
		limit, underWay, ended int
		late                   time.Duration
		want                   int
	}{
		{16, 16, 0, 0, 32},
		{16, 20, 9, limitLate - 1, 32},
		{16, 16, 9, limitLate, 17},
		{16, 20, 9, limitLate, 21},
		{16, 16, 9, tasks.StarvedAfter - 1, 17},
		{16, 16, 1, tasks.StarvedAfter, 8},
		{8, 16, 1, tasks.StarvedAfter, 4},
		{2 * limitLeast, 9, 1, time.Hour, limitLeast},
		{limitLeast, 9, 1, time.Hour, limitLeast},
		{8, 16, 0, tasks.StarvedAfter, 17}, // none has ended: they may all wait for others
	} {
		l := limiter{limit: tt.limit, underWay: tt.underWay, ended: tt.ended, late: tt.late}
		if l.step(); l.limit != tt.want {
			t.Errorf("%+v becomes %d", tt, l.limit)
		}
	}
}

// A machine that keeps up runs 256 lookups at once after a tenth of a second: most of what they
// take is the time of their answers.
func TestBurstBeginsSoon(t *testing.T) {
	const lookups = 256
	synctest.Test(t, func(t *testing.T) {
		n, ids := newNetwork(t)
		for _, id := range ids {
			n.net.Add(id, calltest.After(250*time.Millisecond, calltest.Knows(testK, ids...)))
		}
		n.bound(t, 0)
		all := n.begin(t, lookups)
		time.Sleep(100 * time.Millisecond)
		if got := n.underWay(); got != lookups {
			t.Errorf("%d lookups are under way, want %d", got, lookups)
		}
		all.Wait()
	})
}

// Lookups whose readers begin others, and wait for them, do not wait for each other for ever.
func TestReaderBeginsLookups(t *testing.T) {
	for _, late := range []time.Duration{0, 100 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			n, _ := newNetwork(t)
			n.bound(t, late)
			var all sync.WaitGroup
			start := time.Now()
			for i := range 40 {
				all.Go(func() {
					s, err := n.Prepare(t.Context(), []byte{byte(i)}, protocol.FindNode{Target: []byte{byte(i)}}, Plan{})
					if err != nil {
						t.Error(err)
						return
					}
					s.Heard = func(routing.Contact, protocol.Response) {
						if _, err := n.Find(t.Context(), []byte{byte(i), 1}, Plan{}); err != nil {
							t.Error(err)
						}
						s.Lookup().Stop()
					}
					if _, err := s.Run(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if took := time.Since(start); took > time.Minute {
				t.Errorf("they took %v", took)
			}
			if n.underWay() != 0 {
				t.Errorf("%d are under way at the end", n.underWay())
			}
		})
	}
}

// A lookup whose context ends while it waits says so, and holds nothing.
func TestGivenUpBeforeItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := newNetwork(t)
		n.bound(t, time.Second)
		hold := make(chan struct{})
		var all sync.WaitGroup
		for range limitFirst {
			all.Go(func() {
				s, err := n.Prepare(t.Context(), []byte("held"), protocol.FindNode{Target: []byte("held")}, Plan{})
				if err != nil {
					t.Error(err)
					return
				}
				s.Heard = func(routing.Contact, protocol.Response) { <-hold }
				if _, err := s.Run(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		before := n.Lookups()
		_, err := n.Find(ctx, []byte("key"), Plan{})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errWaiting) {
			t.Errorf("it ended with %v", err)
		}
		if n.Lookups() != before {
			t.Error("it counts as a lookup")
		}
		close(hold)
		all.Wait()
		if n.underWay() != 0 || len(n.limiter.waiting) != 0 {
			t.Errorf("%d are under way, %d wait", n.underWay(), len(n.limiter.waiting))
		}
	})
}

// A lookup that is let in when its context has ended holds nothing if it does not begin.
func TestLetInTooLate(t *testing.T) {
	l := limiter{wake: func() {}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if err := l.enter(ctx); err == nil {
			l.leave()
		} else if errors.Is(err, errWaiting) {
			t.Errorf("%v, though none is", err)
		}
	}
	if l.underWay != 0 || len(l.waiting) != 0 {
		t.Errorf("%d are under way, %d wait", l.underWay, len(l.waiting))
	}
}
