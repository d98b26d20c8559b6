package deliver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-kad/kad/host/internal/kaderr"
)

// A gate lets some calls through at a time. The others wait.
type gate struct{ slots chan struct{} }

func newGate(limit int) gate { return gate{make(chan struct{}, limit)} }

// pass calls f when there is a slot, and returns its error. A call that takes longer than
// patience goes on, and its slot goes to another one. If ctx ends before the call, the error is
// [notSent].
func (g gate) pass(ctx context.Context, patience time.Duration, f func() error) error {
	return g.use(ctx, func(free func()) error {
		defer time.AfterFunc(patience, free).Stop()
		return f()
	})
}

// use is pass for a call that gives its slot to another one by free, or when it ends.
func (g gate) use(ctx context.Context, f func(free func()) error) error {
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return notSent(ctx)
	}
	free := sync.OnceFunc(func() { <-g.slots })
	defer free()
	if ctx.Err() != nil {
		return notSent(ctx)
	}
	return f(free)
}

// notSent is the failure of what was not sent because ctx has ended.
func notSent(ctx context.Context) error {
	return fmt.Errorf("%w: %w", kaderr.ErrNotSent, context.Cause(ctx))
}
