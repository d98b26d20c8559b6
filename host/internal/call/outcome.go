package call

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

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

// noWay reports whether an error says that there is no way from here to a peer: no route, no
// address of ours, or a local firewall. A dial says so if it does for each address that was
// tried.
func noWay(err error) bool {
	failed, dial := errors.AsType[*swarm.DialError](err)
	if !dial {
		return isAny(err, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL, syscall.EPERM, syscall.EACCES)
	}
	tried := slices.DeleteFunc(slices.Clone(failed.DialErrors), func(e swarm.TransportError) bool {
		return isAny(e.Cause, swarm.ErrDialRefusedBlackHole, swarm.ErrNoTransport, swarm.ErrDialBackoff)
	})
	return len(tried) > 0 && !slices.ContainsFunc(tried, func(e swarm.TransportError) bool { return !noWay(e.Cause) })
}

// unheard reports whether a request failed because something that was awaited did not come in
// the time of a transport, or in that of libp2p: a connection, or what keeps one alive. A dial
// says so if it does for each address that was tried.
func unheard(err error) bool {
	if errors.Is(err, kaderr.ErrNotSent) {
		return false // it has waited for us
	}
	failed, dial := errors.AsType[*swarm.DialError](err)
	if !dial {
		return errors.Is(err, context.DeadlineExceeded) || kaderr.TimedOut(err) || connectionEnded(err)
	}
	return len(failed.DialErrors) > 0 && !slices.ContainsFunc(failed.DialErrors, func(e swarm.TransportError) bool {
		return !silentDial(e.Cause)
	})
}

// silentDial reports whether a dial of one address failed for want of an answer, or was not made.
// What the other end of a QUIC connection has sent to end it wraps net.ErrClosed, too.
func silentDial(cause error) bool {
	if errors.Is(cause, net.ErrClosed) && !kaderr.TimedOut(cause) {
		return false
	}
	return unheard(cause) || isAny(cause, swarm.ErrDialBackoff, swarm.ErrDialRefusedBlackHole, swarm.ErrNoTransport)
}

// isAny reports whether errors.Is holds for an error and one of some.
func isAny(err error, some ...error) bool {
	return slices.ContainsFunc(some, func(one error) bool { return errors.Is(err, one) })
}

// isOwnFailure reports whether an error says that something is lacking here: a stream,
// memory, a file descriptor, or the host, which is closed.
func isOwnFailure(err error) bool {
	return isAny(err,
		kaderr.ErrClosed, swarm.ErrSwarmClosed, network.ErrResourceLimitExceeded, network.ErrResourceScopeClosed,
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
	)
}

// closed reports whether the node or its host is closed. Its connections end then, with
// the same errors as if the peers had gone.
func (c *Caller) closed() bool {
	s, ok := c.cfg.Host.Network().(interface{ Done() <-chan struct{} })
	return c.cfg.Tasks.Closed() || ok && !tasks.Pending(s.Done())
}
