package host

import (
	"context"
	"sync"
)

// tasks are the goroutines that a DHT has started itself. They end when it is
// closed, and Close waits for them.
type tasks struct {
	ctx context.Context // of the DHT

	mu     sync.Mutex // orders run before close
	closed bool
	wg     sync.WaitGroup
}

// run starts f in a goroutine, unless the DHT is closed.
func (t *tasks) run(f func(ctx context.Context)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Go(func() { f(t.ctx) })
	return true
}

// close starts no more, and waits for those that run. Their context must have
// been cancelled.
func (t *tasks) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.wg.Wait()
}
