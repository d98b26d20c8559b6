package tasks

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/kaderr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The zero time is no time.
func TestEarliest(t *testing.T) {
	none, a, b := time.Time{}, time.Unix(1, 0), time.Unix(2, 0)
	for _, tt := range [][3]time.Time{{none, none, none}, {none, b, b}, {a, none, a}, {a, b, a}, {b, a, a}} {
		if got := Earliest(tt[0], tt[1]); !got.Equal(tt[2]) {
			t.Errorf("Earliest(%v, %v) = %v", tt[0], tt[1], got)
		}
	}
}

// Goroutines end with the group, with its cause; after that, none starts.
func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		var cause error
		if !g.Go(func(ctx context.Context) { <-ctx.Done(); cause = context.Cause(ctx) }) {
			t.Fatal("an open group starts nothing")
		}
		ctx, end, err := g.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		g.Cancel()
		g.Wait(new(sync.WaitGroup))
		if !errors.Is(cause, kaderr.ErrClosed) || !g.Closed() {
			t.Errorf("the cause is %v, closed: %v", cause, g.Closed())
		}
		if g.Go(func(context.Context) {}) {
			t.Error("a closed group starts a goroutine")
		}
		if <-ctx.Done(); !errors.Is(context.Cause(ctx), kaderr.ErrClosed) {
			t.Errorf("an operation ends with %v", context.Cause(ctx))
		}
		if _, _, err := g.Begin(t.Context()); !errors.Is(err, kaderr.ErrClosed) {
			t.Errorf("an operation that begins later: %v, want ErrClosed", err)
		}
	})
}

// Wait does not wait for a goroutine that hangs for longer than 600ms.
func TestGroupWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		release := make(chan struct{})
		g.Go(func(context.Context) { <-release })
		g.Cancel()
		start := time.Now()
		g.Wait(new(sync.WaitGroup))
		if took := time.Since(start); took != closeTimeout {
			t.Errorf("Wait took %v, want %v", took, closeTimeout)
		}
		close(release)
	})
}

// Each calls with every item, so many at a time, and returns the first error.
func TestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most, called := 0, 0, 0
		failed := errors.New("failed")
		err := Each(t.Context(), 3, slices.Values([]int{1, 2, 3, 4, 5, 6, 7}), func(_ context.Context, item int) error {
			mu.Lock()
			running, called = running+1, called+1
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			if item == 2 {
				return failed
			}
			return nil
		})
		if !errors.Is(err, failed) || most != 3 || called != 7 {
			t.Errorf("%v, %d at a time, %d calls; want the error, 3, 7", err, most, called)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		called = 0
		err = Each(ctx, 1, slices.Values([]int{1, 2}), func(context.Context, int) error { called++; return nil })
		if !errors.Is(err, context.Canceled) || called != 0 {
			t.Errorf("after the end of ctx: %v, %d calls", err, called)
		}
	})
}

// The loop runs each job when it is due, no more runs of one at a time than its limit,
// and asks again when a run has ended.
func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup()
		l := NewLoop(g)
		start := time.Now()
		next := start.Add(time.Minute)
		var at []time.Duration
		var runs, most, running int
		left := 3
		l.Add(
			Job{Name: "timed", Due: func(now time.Time, _ *Start) time.Time {
				if !now.Before(next) {
					at = append(at, now.Sub(start))
					next = now.Add(time.Hour)
				}
				return next
			}},
			Job{Name: "many", Limit: 2, Due: func(_ time.Time, s *Start) time.Time {
				for left > 0 && s.Room() > 0 {
					left--
					running++
					most = max(most, running)
					s.Run(func(context.Context) error { time.Sleep(time.Second); return nil }, func(time.Time, error) { runs++; running-- })
				}
				return time.Time{}
			}},
		)
		events := make(chan any, 1)
		var handled any
		g.Go(func(ctx context.Context) { l.Run(ctx, events, func(_ time.Time, e any) { handled = e }) })
		events <- "event"
		synctest.Wait()
		if handled != "event" {
			t.Errorf("handled %v", handled)
		}
		time.Sleep(2*time.Hour + time.Minute)
		synctest.Wait()
		if want := []time.Duration{time.Minute, time.Hour + time.Minute, 2*time.Hour + time.Minute}; !slices.Equal(at, want) {
			t.Errorf("due at %v, want %v", at, want)
		}
		if runs != 3 || most != 2 {
			t.Errorf("%d runs, %d at a time; want 3, 2", runs, most)
		}
		left = 1
		l.Wake()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if runs != 4 {
			t.Errorf("%d runs after a wake, want 4", runs)
		}
		g.Cancel()
		g.Wait(new(sync.WaitGroup))
	})
}

// Due has the jobs that have said when they are due, the first one first.
func TestDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		job := func(name string, after time.Duration) Job {
			return Job{Name: name, Due: func(now time.Time, _ *Start) time.Time {
				if after == 0 || now.Sub(start) >= time.Minute && name == "once" {
					return time.Time{}
				}
				return start.Add(after)
			}}
		}
		g := NewGroup()
		l := NewLoop(g)
		l.Add(job("late", time.Hour), job("never", 0), job("once", time.Minute))
		if got := l.Due(); len(got) != 0 {
			t.Errorf("before the loop runs: %v", got)
		}
		g.Go(func(ctx context.Context) { l.Run(ctx, nil, nil) })
		synctest.Wait()
		if got := l.Due(); len(got) != 2 || got[0].Job != "once" || !got[0].At.Equal(start.Add(time.Minute)) || got[1].Job != "late" {
			t.Errorf("at the start: %v; want once in a minute, and late", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := l.Due(); len(got) != 1 || got[0].Job != "late" {
			t.Errorf("later: %v; want late", got)
		}
		g.Cancel()
		g.Wait(new(sync.WaitGroup))
	})
}

// The end of an operation ends its context, and leaves nothing of it behind.
func TestEndOfOperation(t *testing.T) {
	g := NewGroup()
	defer g.Cancel()
	used := func() weak.Pointer[[1024]byte] {
		kept := new([1024]byte)
		ctx, end, _ := g.Begin(context.WithValue(t.Context(), weak.Pointer[int]{}, kept))
		if end(); ctx.Err() == nil {
			t.Error("its context goes on")
		}
		return weak.Make(kept)
	}()
	if runtime.GC(); used.Value() != nil {
		t.Error("the group keeps what has ended")
	}
}

// A slot that a closed group does not use is free.
func TestSlotsOfClosed(t *testing.T) {
	g := NewGroup()
	g.Cancel()
	if s := make(Slots, 1); s.Try(g, func(context.Context) {}) || len(s) != 0 {
		t.Errorf("%d slots are taken, want 0", len(s))
	}
}

// A job runs once at a time if it says nothing else.
func TestRoom(t *testing.T) {
	l := NewLoop(NewGroup())
	room := 0
	l.Add(Job{Due: func(_ time.Time, s *Start) time.Time { room = s.Room(); return time.Time{} }})
	if l.ask(time.Now()); room != 1 {
		t.Errorf("room for %d", room)
	}
}
