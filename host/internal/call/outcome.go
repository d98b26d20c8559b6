package call

import (
	"context"
	"errors"
	"time"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

// An outcomeError is the error of a request, with its outcome.
type outcomeError struct {
	outcome table.Outcome
	cause   error
}

func (f *outcomeError) Error() string { return f.cause.Error() }

// Unwrap returns the error without the outcome.
func (f *outcomeError) Unwrap() error { return f.cause }

// OutcomeOf returns what became of a request, by its error, which may be wrapped. The
// error of a request that no Caller has made shows as much as it can: Silent if nothing
// speaks for anything else.
func OutcomeOf(err error) table.Outcome {
	var f *outcomeError
	switch {
	case err == nil:
		return table.Answered
	case errors.As(err, &f):
		return f.outcome
	case errors.Is(err, kaderr.ErrNotSent):
		return table.Unsent
	case errors.Is(err, kaderr.ErrRefused):
		return table.Refused
	case isOwnFailure(err):
		return table.OwnFailure
	default:
		return table.Silent
	}
}

// outcome returns what became of a request that was under way between two times and failed.
// ctx is that of the requester, limited that of the request, which has a time limit.
//
// When a context has ended, the error is its consequence: a refusal too, since the end of
// the context resets the stream. If it shows at once that there is no way to the peer, it is
// our own failure as long as no other peer answers: else the peer is alone with that, as one
// that has an IPv6 address only.
func (c *Caller) outcome(ctx, limited context.Context, began, ended time.Time, err error) table.Outcome {
	switch {
	case c.closed():
		return table.OwnFailure
	case ctx.Err() != nil && ended.Sub(began) >= c.lateAfter():
		return table.Late
	case ctx.Err() != nil:
		return table.Unsent
	case limited.Err() != nil:
		return table.Silent
	case c.cfg.Pulse.Starved() && unheard(err):
		return table.OwnFailure
	case noWay(err) && ended.Sub(began) < noWayTime && ended.Sub(c.lanes.lastGranted(&c.lanes.all)) >= noWayTime:
		return table.OwnFailure
	default:
		return OutcomeOf(err)
	}
}

// outcomeBefore returns what became of a request that was given up before its dial.
func (c *Caller) outcomeBefore(err error) table.Outcome {
	if c.closed() {
		return table.OwnFailure
	}
	return OutcomeOf(err)
}

// outcomeInQueue returns what became of a request that has found no room here: something is
// lacking here if its time is over, and else it was given up.
func (c *Caller) outcomeInQueue(ctx, limited context.Context) table.Outcome {
	if c.closed() || ctx.Err() == nil && limited.Err() != nil {
		return table.OwnFailure
	}
	return table.Unsent
}

// StragglerTime is how long requests go on that are under way when their lookup has ended.
// No lookup waits for one peer for longer.
const StragglerTime = time.Second

// lateAfter returns how long a request must have been under way to be late when the
// requester gives up: 750 ms at most, or more on a machine that is late itself.
func (c *Caller) lateAfter() time.Duration {
	return c.cfg.Pulse.Stretched(routing.LateAfter(min(c.cfg.SlowAfter, StragglerTime)))
}

// noWayTime is how long no peer must have answered until a request that finds no way to its
// peer has failed here, and in what time it must have found that: a neighbour that is gone
// shows after three seconds.
const noWayTime = time.Second

// closed reports whether the node or its host is closed. Its connections end then, with
// the same errors as if the peers had gone.
func (c *Caller) closed() bool {
	s, ok := c.cfg.Host.Network().(interface{ Done() <-chan struct{} })
	return c.cfg.Tasks.Closed() || ok && !tasks.Pending(s.Done())
}
