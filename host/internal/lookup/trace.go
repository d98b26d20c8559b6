package lookup

import (
	"context"
	"sync"

	lrouting "github.com/libp2p/go-libp2p/core/routing"
)

// A Trace counts what the lookups of an operation cost. It is safe for concurrent use.
type Trace struct {
	mu      sync.Mutex
	lookups []Stats
}

// Stats says what lookups cost.
type Stats struct {
	Lookups    int     // how many there were
	Requests   int     // peers that were asked
	Answered   int     // peers that answered in time
	Refused    int     // peers that refused
	Late       int     // peers that had not answered when their lookup ended, and were late
	Unasked    int     // peers that could not be asked, because something is lacking here
	Hops       int     // the longest way from a contact of ours to a peer that answered
	Confidence float64 // see routing.Result; of several lookups, the lowest
	Crowded    bool    // see routing.Result; of several lookups, of any
}

type traceKey struct{}

// WithTrace returns a context for an operation, and the trace that its lookups fill.
func WithTrace(ctx context.Context) (context.Context, *Trace) {
	t := new(Trace)
	return context.WithValue(ctx, traceKey{}, t), t
}

// traceOf returns the trace of ctx; nil if there is none.
func traceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

// begin counts one lookup. Call the function that it returns with the result so far.
func (t *Trace) begin() func(Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := len(t.lookups)
	t.lookups = append(t.lookups, Stats{})
	return func(r Result) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.lookups[i] = Stats{
			Requests: r.Requests, Answered: len(r.Answered), Refused: r.Refused, Late: r.Late,
			Unasked: r.Unasked, Hops: r.Hops, Confidence: r.Confidence, Crowded: r.Crowded,
		}
	}
}

// Stats returns what has been counted so far.
func (t *Trace) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := Stats{Lookups: len(t.lookups)}
	for i, l := range t.lookups {
		if i == 0 || l.Confidence < sum.Confidence {
			sum.Confidence = l.Confidence
		}
		sum.Requests += l.Requests
		sum.Answered += l.Answered
		sum.Refused += l.Refused
		sum.Late += l.Late
		sum.Unasked += l.Unasked
		sum.Hops = max(sum.Hops, l.Hops)
		sum.Crowded = sum.Crowded || l.Crowded
	}
	return sum
}

// waitingKey is the key of a context that ends when an operation returns and its work
// goes on.
type waitingKey struct{}

// WhileWaiting returns ctx, for the work of an operation, with the context that ends when
// the operation returns: see [PublishEvent].
func WhileWaiting(ctx, waiting context.Context) context.Context {
	return context.WithValue(ctx, waitingKey{}, waiting)
}

// PublishEvent gives a query event to the listener of ctx, unless the operation has
// returned: the listener may have stopped reading then.
func PublishEvent(ctx context.Context, e *lrouting.QueryEvent) { //nolint:contextcheck // the other one is of the same call
	if waiting, ok := ctx.Value(waitingKey{}).(context.Context); ok {
		ctx = waiting
	}
	if ctx.Err() == nil {
		lrouting.PublishQueryEvent(ctx, e)
	}
}
