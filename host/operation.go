package host

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/go-kad/kad/host/internal/observe"
)

// A Tracer begins a span, for a tool that shows what an operation consists of: the operation
// that the user calls, below it its lookups, and below these the requests to peers. It returns
// the context for what belongs to the span, and a function that ends the span, with the error
// of the operation, lookup or request, or nil. Package host/tracing makes a Tracer that uses
// OpenTelemetry.
//
// It is called by several goroutines at once, and must not block. The span of a request may
// end after the span that it belongs to.
type Tracer func(ctx context.Context, name string, attrs ...slog.Attr) (context.Context, func(err error, attrs ...slog.Attr))

// The outcomes of operations.
const (
	opDone uint8 = iota
	opNotFound
	opUnanswered
	opNotReady
	opNotStored
	opGivenUp
	opFailed
)

// An operation is what a user of a DHT has called, while it runs.
type operation struct {
	dht   *DHT
	kind  observe.Operation
	ctx   context.Context
	began time.Time
	leave func()
	span  func(error, ...slog.Attr) // ends its span; nil: there is none
}

// begin begins an operation. It returns the context of the operation, which ends with the DHT,
// too. If there is no error, ended is to be called.
func begin(ctx context.Context, d *DHT, kind observe.Operation) (context.Context, operation, error) {
	ctx, leave, err := d.tasks.Begin(ctx)
	if err != nil {
		return ctx, operation{}, err
	}
	o := operation{dht: d, kind: kind, ctx: ctx, began: time.Now(), leave: leave}
	if d.observer.Traced() {
		ctx, o.span = d.observer.Span(ctx, "kad."+kind.String())
	}
	return ctx, o, nil
}

// public returns an error of a room as users see it. If the time of the operation was over
// before there was a peer to ask, the error says why there is none.
func (o operation) public(err error) error {
	ended := context.Cause(o.ctx)
	bare := err != nil && slices.Contains([]error{o.ctx.Err(), ended}, err)
	if bare && !errors.Is(ended, ErrClosed) && !o.dht.table.Live() && !o.dht.table.Single() {
		err = o.dht.table.NotReady(ended)
	}
	return public(err)
}

// ended ends an operation with its error.
func (o operation) ended(err error) {
	outcome := opOutcome(o.ctx, err)
	o.leave()
	o.dht.observer.Operations.Add(o.kind, outcome, time.Since(o.began))
	if o.span != nil {
		o.span(err, slog.String("kad.outcome", operationOutcome(outcome)))
	}
}

// opOutcome returns what became of an operation with a context.
func opOutcome(ctx context.Context, err error) uint8 {
	_, sent := errors.AsType[*PutError](err)
	switch {
	case err == nil:
		return opDone
	case errors.Is(err, ErrNoContacts):
		return opNotReady
	case errors.Is(err, ErrUnanswered):
		return opUnanswered
	case errors.Is(err, ErrNotFound):
		return opNotFound
	case ctx.Err() != nil:
		return opGivenUp
	case sent:
		return opNotStored
	default:
		return opFailed
	}
}

// operationOutcome returns the name of an outcome of an operation.
func operationOutcome(o uint8) string {
	return [...]string{"done", "not_found", "unanswered", "not_ready", "not_stored", "given_up", "failed"}[o]
}
