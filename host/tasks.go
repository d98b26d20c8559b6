package host

import (
	"context"
	"sync"
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

// wait waits until all have ended. Before it, cancel: after that, none starts.
func (t *tasks) wait() {
	t.mu.Lock()   // one that was about to start has started, or has seen the end
	t.mu.Unlock() //nolint:staticcheck // nothing to do in between
	t.wg.Wait()
}
