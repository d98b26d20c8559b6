package call

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/go-kad/kad/host/internal/kaderr"
)

// noWay reports whether an error says that there is no way from here to a peer: no route, no
// address of ours, or a local firewall. A dial says so if it does for each address that was
// tried.
func noWay(err error) bool {
	failed, dial := errors.AsType[*swarm.DialError](err)
	if !dial {
		return isAny(err, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL, syscall.EPERM, syscall.EACCES)
	}
	return each(failed, untried, noWay)
}

// each reports whether something holds for each failure of a dial, of which there is one at least,
// apart from some that are left out.
func each(failed *swarm.DialError, leftOut, holds func(cause error) bool) bool {
	some := false
	for _, e := range failed.DialErrors {
		switch {
		case leftOut(e.Cause):
		case !holds(e.Cause):
			return false
		default:
			some = true
		}
	}
	return some
}

// untried reports whether a dial of one address was not made.
func untried(cause error) bool {
	return isAny(cause, swarm.ErrDialBackoff, swarm.ErrDialRefusedBlackHole, swarm.ErrNoTransport)
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
	return each(failed, func(error) bool { return false }, silentDial)
}

// silentDial reports whether a dial of one address failed for want of an answer, or was not made.
// What the other end of a QUIC connection has sent to end it wraps net.ErrClosed, too.
func silentDial(cause error) bool {
	if errors.Is(cause, net.ErrClosed) && !kaderr.TimedOut(cause) {
		return false
	}
	return unheard(cause) || untried(cause)
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
