// Package tasks runs the goroutines of a node: Group starts them and waits for them,
// Loop is the one background goroutine, and Each works on many items, a few at a time.
package tasks

import (
	"context"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/host/internal/kaderr"
)

// A Group has the goroutines that a node has started. They end when it is closed, and
// Close waits for them.
type Group struct {
	ctx    context.Context // ends when the node is closed, with ErrClosed as cause
	cancel context.CancelCauseFunc

	mu sync.Mutex // orders Go before Close
	wg sync.WaitGroup
}

// NewGroup returns an open group without goroutines.
func NewGroup() *Group {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Group{ctx: ctx, cancel: cancel}
}

// Context returns a context that ends when the group is closed, with
// [kaderr.ErrClosed] as its cause.
func (g *Group) Context() context.Context { return g.ctx }

// Closed reports whether the group is closed.
func (g *Group) Closed() bool { return g.ctx.Err() != nil }

// Go starts f in a goroutine. It returns false, and does not start f, if the group is
// closed.
func (g *Group) Go(f func(ctx context.Context)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.Closed() {
		return false
	}
	g.wg.Go(func() { f(g.ctx) })
	return true
}

// Begin returns the context of an operation: it ends with that of the caller, or when
// the group is closed. The function that it returns releases it. If the group is closed
// already, the error is [kaderr.ErrClosed].
func (g *Group) Begin(ctx context.Context) (context.Context, func(), error) {
	if g.Closed() {
		return ctx, func() {}, kaderr.ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(g.ctx, func() { cancel(kaderr.ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}, nil
}

// Cancel ends the context of all goroutines. After it, none starts.
func (g *Group) Cancel() { g.cancel(kaderr.ErrClosed) }

// closeTimeout bounds how long Wait waits. A goroutine that is left then hangs in a
// connection whose peer does not read, and ends with it.
const closeTimeout = 600 * time.Millisecond

// Wait waits until all goroutines have ended, and others too, for at most 600ms. Call
// Cancel first.
func (g *Group) Wait(others *sync.WaitGroup) {
	g.mu.Lock() // a Go that was about to start has started, or has seen the end
	done := make(chan struct{})
	g.mu.Unlock()
	go func() {
		defer close(done)
		g.wg.Wait()
		others.Wait()
	}()
	waiting, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	select {
	case <-done:
	case <-waiting.Done():
	}
}

// Pause waits for a time, and reports whether that is over: else ctx has ended before, or over
// could be read.
func Pause(ctx context.Context, d time.Duration, over <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-over:
	case <-ctx.Done():
	}
	return false
}

// Each calls f with each item, up to limit at a time, and returns when all calls have
// returned: the first error that one of them returned. It starts no further call once
// ctx has ended, and then returns its cause. A call that f failed does not end the others.
func Each[T any](ctx context.Context, limit int, items iter.Seq[T], f func(ctx context.Context, item T) error) error {
	var calls errgroup.Group
	calls.SetLimit(limit)
	for item := range items {
		if ctx.Err() != nil {
			break
		}
		calls.Go(func() error { return f(ctx, item) })
	}
	if err := calls.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// Slots bound how many goroutines of one kind run at a time: as many as the channel has places.
type Slots chan struct{}

// Try starts f in a goroutine of a group, and reports whether it did: there was a slot, and the
// group is open.
func (s Slots) Try(g *Group, f func(ctx context.Context)) bool {
	select {
	case s <- struct{}{}:
	default:
		return false
	}
	started := g.Go(func(ctx context.Context) {
		defer func() { <-s }()
		f(ctx)
	})
	if !started {
		<-s
	}
	return started
}

// Poke wakes the goroutine that listens on wake, unless it is being woken. The channel
// has a buffer of one.
func Poke(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// Pending reports whether a channel exists and is open.
func Pending(done <-chan struct{}) bool {
	select {
	case <-done:
		return false
	default:
		return done != nil
	}
}

// Locked runs a call under a lock, with the time read after the lock was taken: so the
// times of the calls do not go back, as routing.Table asks.
func Locked(mu *sync.Mutex, call func(now time.Time)) {
	mu.Lock()
	defer mu.Unlock()
	call(time.Now())
}
