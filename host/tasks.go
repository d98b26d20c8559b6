package host

import (
	"context"
	"sync"
	"time"
)

// tasks are the goroutines that a DHT has started itself. They end when it is
// closed, and Close waits for them.
type tasks struct {
	ctx    context.Context // ends when the DHT is closed, with ErrClosed as cause
	cancel context.CancelCauseFunc

	mu sync.Mutex // orders run before wait
	wg sync.WaitGroup
}

func newTasks() *tasks {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &tasks{ctx: ctx, cancel: cancel}
}

// run starts f in a goroutine, unless the DHT is closed.
func (t *tasks) run(f func(ctx context.Context)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed() {
		return false
	}
	t.wg.Go(func() { f(t.ctx) })
	return true
}

// closed reports whether the DHT is closed.
func (t *tasks) closed() bool { return t.ctx.Err() != nil }

// closeTimeout bounds how long Close waits. What is left then hangs in a
// connection whose peer does not read, and ends with it.
const closeTimeout = 600 * time.Millisecond

// wait waits until all have ended, and what others waits for too, but not longer
// than closeTimeout. Before it, cancel: after that, none starts.
func (t *tasks) wait(others *sync.WaitGroup) {
	t.mu.Lock() // one that was about to start has started, or has seen the end
	done := make(chan struct{})
	t.mu.Unlock()
	go func() {
		defer close(done)
		t.wg.Wait()
		others.Wait()
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
