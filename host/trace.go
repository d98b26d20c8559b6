package host

import (
	"context"

	"github.com/go-kad/kad/host/internal/lookup"
)

// A Trace counts what the lookups of an operation cost. Give the context of
// [WithTrace] to one operation, and read the trace when it has returned. A put or an
// announcement may return before its lookup has ended: its trace is of the time up to
// then, and is complete when [Receipt.Wait] has returned.
type Trace struct{ trace *lookup.Trace }

// LookupStats says what lookups cost.
type LookupStats struct {
	Lookups  int // how many there were
	Requests int // how many peers were asked
	Answered int // how many of them answered in time
	Refused  int // how many of them refused
	Late     int // how many of them had not answered when the lookup ended, or were overdue
	Unasked  int // how many requests failed here: no stream, memory or file descriptor was left
	Hops     int // the longest way from a contact of ours to a peer that answered

	// Confidence is how likely the peers that were found are the closest ones that
	// are alive, from 0 to 1, by the estimated size of the network; of several
	// lookups, the lowest. It is low if a lookup was ended before it had converged,
	// as by the first value of a get. Without lookups it is 0.
	Confidence float64
}

// WithTrace returns a context for an operation, and the trace that the
// operation fills. For events as they happen, use RegisterForQueryEvents of
// libp2p's core/routing.
func WithTrace(ctx context.Context) (context.Context, *Trace) {
	ctx, trace := lookup.WithTrace(ctx)
	return ctx, &Trace{trace}
}

// Stats returns what has been counted so far.
func (t *Trace) Stats() LookupStats {
	if t.trace == nil {
		return LookupStats{}
	}
	return LookupStats(t.trace.Stats())
}
