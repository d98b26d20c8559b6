package host

import (
	"context"
	"sync"

	"github.com/go-kad/kad/routing"
)

// A Trace counts what the lookups of an operation cost. Give the context of
// [WithTrace] to one operation, and read the trace when it has returned.
type Trace struct {
	mu  sync.Mutex
	sum LookupStats
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

// add counts one lookup. A nil trace counts nothing.
func (t *Trace) add(r routing.Result) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sum.Lookups++; t.sum.Lookups == 1 || r.Confidence < t.sum.Confidence {
		t.sum.Confidence = r.Confidence
	}
	t.sum.Requests += r.Requests
	t.sum.Answered += len(r.Answered)
	t.sum.Hops = max(t.sum.Hops, r.Hops)
}

// Stats returns what has been counted so far.
func (t *Trace) Stats() LookupStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sum
}
