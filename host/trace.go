package host

import (
	"context"
	"sync"

	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/routing"
)

// A Trace counts what the lookups of an operation cost. Give the context of
// [WithTrace] to one operation, and read the trace when it has returned. A put or an
// announcement may return before its lookup has ended: its trace is of the time up to
// then, and is complete when [Receipt.Wait] has returned.
type Trace struct {
	mu      sync.Mutex
	lookups []LookupStats
}

// LookupStats says what lookups cost.
type LookupStats struct {
	Lookups  int // how many there were
	Requests int // how many peers were asked
	Answered int // how many of them answered in time
	Hops     int // the longest way from a contact of ours to a peer that answered

	// Confidence is how likely the peers that were found are the closest ones that
	// are alive, from 0 to 1, by the estimated size of the network; of several
	// lookups, the lowest. It is low if a lookup was ended before it had converged,
	// as by the first value of a get. Without lookups it is 0.
	Confidence float64
}

type traceKey struct{}

// WithTrace returns a context for an operation, and the trace that the
// operation fills. For events as they happen, use RegisterForQueryEvents of
// libp2p's core/routing.
func WithTrace(ctx context.Context) (context.Context, *Trace) {
	t := new(Trace)
	return context.WithValue(ctx, traceKey{}, t), t
}

// traceOf returns the trace of ctx; nil if there is none.
func traceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

// begin counts one lookup. What it returns is called with its result so far.
func (t *Trace) begin() func(routing.Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := len(t.lookups)
	t.lookups = append(t.lookups, LookupStats{Lookups: 1})
	return func(r routing.Result) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.lookups[i] = LookupStats{
			Lookups: 1, Requests: r.Requests, Answered: len(r.Answered), Hops: r.Hops, Confidence: r.Confidence,
		}
	}
}

// Stats returns what has been counted so far.
func (t *Trace) Stats() LookupStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	var sum LookupStats
	for i, l := range t.lookups {
		if i == 0 || l.Confidence < sum.Confidence {
			sum.Confidence = l.Confidence
		}
		sum.Lookups++
		sum.Requests += l.Requests
		sum.Answered += l.Answered
		sum.Hops = max(sum.Hops, l.Hops)
	}
	return sum
}

// waitingKey is that of a context that ends when an operation returns whose work goes
// on.
type waitingKey struct{}

// publishEvent tells an event to who listens with ctx, unless the operation has
// returned: nobody may read it then.
func publishEvent(ctx context.Context, e *lrouting.QueryEvent) { //nolint:contextcheck // the other one is of the same call
	if waiting, ok := ctx.Value(waitingKey{}).(context.Context); ok {
		ctx = waiting
	}
	if ctx.Err() == nil {
		lrouting.PublishQueryEvent(ctx, e)
	}
}
