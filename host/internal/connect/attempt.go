package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// findAfter is how long an attempt tries the addresses that the host knows before it
	// looks the peer up as well.
	findAfter = 500 * time.Millisecond

	// settleTime is how long a dial has, at most, to return after its connection is seen.
	settleTime = 50 * time.Millisecond

	// punchTime is how long after a relayed connection a peer is done with hole punching:
	// it tries three times, for 5s each.
	punchTime = 20 * time.Second
)

// An attempt is one call of To. It belongs to the goroutine of the caller.
type attempt struct {
	*Connector

	id         peer.ID
	dialling   context.Context // of the steps in the background
	steps      []*step
	ended      chan func()   // ends of steps in the background, which the owner runs
	moved      chan struct{} // length 1: there is another connection to the peer, or one less
	wasRelayed bool          // there was a relayed connection, and no direct one
	dialled    bool          // a direct dial of ours has succeeded
	finds      int           // how many times the peer was looked up
}

// watch looks for connections to the peer until the function that it returns is called.
func (a *attempt) watch() (stop func()) {
	note := func(_ network.Network, conn network.Conn) {
		if conn.RemotePeer() == a.id {
			tasks.Poke(a.moved)
		}
	}
	bundle := &network.NotifyBundle{ConnectedF: note, DisconnectedF: note}
	a.cfg.Host.Network().Notify(bundle)
	return func() { a.cfg.Host.Network().StopNotify(bundle) }
}

// direct returns a connection to the peer that goes through no relay; nil if there is
// none. A connection through a relay without limits is relayed too.
func (a *attempt) direct() network.Conn {
	return a.conn(func(conn network.Conn) bool { return !scope.Relayed(conn) })
}

// relayed returns a connection to the peer through a relay; nil if there is none.
func (a *attempt) relayed() network.Conn { return a.conn(scope.Relayed) }

func (a *attempt) conn(suits func(network.Conn) bool) network.Conn {
	for _, conn := range a.cfg.Host.Network().ConnsToPeer(a.id) {
		if !conn.IsClosed() && suits(conn) {
			return conn
		}
	}
	return nil
}

// reached reports whether there is any connection to the peer.
func (a *attempt) reached() bool {
	if a.direct() != nil {
		return true
	}
	relayed := a.relayed() != nil
	a.wasRelayed = a.wasRelayed || relayed
	return relayed
}

// reach returns when there is any connection to the peer, or none can be made.
func (a *attempt) reach(ctx context.Context) error {
	late := time.NewTimer(findAfter)
	defer late.Stop()
	returned := false // the dial that has led to a connection
	for !a.reached() {
		if !a.busy() && a.mayFind() {
			a.find() //nolint:contextcheck // what it dials ends with the attempt
		}
		if !a.busy() {
			return a.failure(ctx)
		}
		select {
		case end := <-a.ended:
			end()
			returned = a.reached()
		case <-a.moved:
		case <-late.C:
			if a.finds == 0 {
				a.find() //nolint:contextcheck // what it dials ends with the attempt
			}
		case <-ctx.Done():
			return a.failure(ctx)
		}
	}
	if !returned && a.busy() {
		a.settle()
	}
	return nil
}

// mayFind reports whether a lookup, when all other steps have failed, can lead further:
// the first, and one more if the first has found addresses that were stale.
func (a *attempt) mayFind() bool {
	found := slices.ContainsFunc(a.steps, func(s *step) bool { return s.Name == stepFind && s.Err == nil })
	return a.finds == 0 || a.finds == 1 && found
}

// settle lets the dial end that has led to a new connection, if it was one of ours.
func (a *attempt) settle() {
	ctx, cancel := context.WithTimeout(a.dialling, settleTime)
	defer cancel()
	select {
	case end := <-a.ended:
		end()
	case <-ctx.Done():
	}
}

// failure returns the error of the attempt.
func (a *attempt) failure(ctx context.Context) error {
	e := &Error{ID: a.id}
	if ctx.Err() != nil {
		e.Cause = context.Cause(ctx)
		for _, s := range a.steps {
			if s.running {
				s.end(e.Cause)
			}
		}
	}
	e.Steps = a.story()
	return e
}

var (
	// errNoPunch is why a relayed connection stays one that was there before.
	errNoPunch = errors.New("the peer does not punch for a relayed connection that was there before")

	errRelayedEnded = errors.New("the relayed connection has ended")
)

// awaitDirect waits for a direct connection, as long as wait says. Steps that are under way
// may lead to one. Without one of them, an old relayed connection stays relayed; the peer
// is looked up before that if it was not yet.
func (a *attempt) awaitDirect(ctx context.Context, wait time.Duration) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	s := a.begin(stepPunch, nil)
	s.running = false // it is not a step in the background
	for a.direct() == nil {
		conn := a.relayed()
		if conn == nil {
			s.end(errRelayedEnded)
			return
		}
		if time.Since(conn.Stat().Opened) >= punchTime && wait > 0 {
			if !a.busy() && a.finds == 0 {
				a.find() //nolint:contextcheck // what it dials ends with the attempt
			}
			if !a.busy() {
				s.end(errNoPunch)
				return
			}
		}
		select {
		case end := <-a.ended:
			end()
		case <-a.moved:
		case <-waiting.Done():
			if ctx.Err() != nil {
				s.end(context.Cause(ctx))
			} else {
				s.end(fmt.Errorf("no direct connection came within %v", wait))
			}
			return
		}
	}
	if !a.dialled && a.busy() {
		a.settle() // one of our dials may have made it
	}
	s.end(nil)
}
