package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/kaderr"
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
func (a *attempt) direct() network.Conn { return a.directTo(a.id) }

// relayed returns a connection to the peer through a relay; nil if there is none.
func (a *attempt) relayed() network.Conn { return a.connTo(a.id, scope.Relayed) }

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
		case <-a.moved:
		case <-late.C:
			if a.finds == 0 {
				a.find() //nolint:contextcheck // what it dials ends with the attempt
			}
		case <-ctx.Done():
			return a.failure(ctx)
		}
	}
	a.settle(stepDirect, stepRelay)
	return nil
}

// mayFind reports whether a lookup, when all other steps have failed, can lead further:
// the first, and one more if the first has found addresses that were stale.
func (a *attempt) mayFind() bool {
	found := slices.ContainsFunc(a.steps, func(s *step) bool { return s.Name == stepFind && s.Err == nil })
	return a.finds == 0 || a.finds == 1 && found
}

// settle lets the dial return that has led to a new connection, if it was one of ours, in a step
// of one of these names.
func (a *attempt) settle(names ...string) {
	ctx, cancel := context.WithTimeout(a.dialling, settleTime)
	defer cancel()
	for !a.dialled(names...) && a.busy() {
		select {
		case end := <-a.ended:
			end()
		case <-ctx.Done():
			return
		}
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
	a.settle(stepDirect) // one of our dials may have made it
	s.end(nil)
}

// Names of steps, which host.Step documents.
const (
	stepKnown  = "known"
	stepFind   = "find"
	stepDirect = "direct"
	stepRelay  = "relay"
	stepPunch  = "punch"
)

var (
	// errNotNeeded ends the steps that were under way when there was a connection.
	errNotNeeded = errors.New("given up, since there was a connection")

	// errNoneKnown is why known addresses are of no use.
	errNoneKnown = errors.New("the host knows no address of it")

	// errSameFound is why a second lookup is of no use.
	errSameFound = errors.New("it found the same addresses as before")
)

// A step is one that has begun.
type step struct {
	Step

	begun   time.Time
	running bool
}

// end sets what has become of a step.
func (s *step) end(err error) {
	s.running, s.Took, s.Err = false, time.Since(s.begun), err
}

// begin adds a step.
func (a *attempt) begin(name string, addrs []multiaddr.Multiaddr) *step {
	s := newStep(name, addrs)
	a.steps = append(a.steps, s)
	return s
}

// newStep returns a step that begins now.
func newStep(name string, addrs []multiaddr.Multiaddr) *step {
	return &step{Step{Name: name, Addrs: addrs}, time.Now(), true}
}

// dialled reports whether a dial of ours has succeeded, in a step of one of these names.
func (a *attempt) dialled(names ...string) bool {
	return slices.ContainsFunc(a.steps, func(s *step) bool { return slices.Contains(names, s.Name) && !s.running && s.Err == nil })
}

// busy reports whether a step is under way.
func (a *attempt) busy() bool {
	return slices.ContainsFunc(a.steps, func(s *step) bool { return s.running })
}

// story returns the steps. It ends the steps that are under way.
func (a *attempt) story() []Step {
	story := make([]Step, len(a.steps))
	for i, s := range a.steps {
		if s.running {
			s.end(errNotNeeded)
		}
		story[i] = s.Step
	}
	return story
}

// run runs a step in the background. The owner is given its end while it listens, and
// calls then, unless that is nil.
func (a *attempt) run(s *step, f func() error, then func()) {
	started := a.cfg.Tasks.Go(func(context.Context) {
		err := f()
		end := func() {
			s.end(err)
			if then != nil {
				then()
			}
		}
		select {
		case a.ended <- end:
		case <-a.dialling.Done():
		}
	})
	if !started {
		s.end(kaderr.ErrClosed)
	}
}

// tryKnown dials the addresses that the host knows.
func (a *attempt) tryKnown() {
	known := a.cfg.Host.Peerstore().Addrs(a.id)
	s := a.begin(stepKnown, known)
	if len(known) == 0 {
		s.end(errNoneKnown)
		return
	}
	s.end(nil)
	a.dial(known)
}

// find looks the peer up, and dials what is found, unless the lookup before it has found
// the same.
func (a *attempt) find() {
	a.finds++
	s := a.begin(stepFind, nil)
	var found find.Location
	a.run(s, func() (err error) {
		found, err = a.cfg.Find.Peer(a.dialling, a.id)
		return err
	}, func() {
		s.Addrs = found.Info().Addrs
		switch {
		case len(s.Addrs) == 0 || a.direct() != nil:
		case slices.ContainsFunc(a.steps, func(before *step) bool {
			return before != s && before.Name == stepFind && scope.Same(before.Addrs, s.Addrs)
		}):
			s.Err = errSameFound
		default:
			a.dial(s.Addrs)
		}
	})
}

// dial dials addresses, directly and, unless there is a relayed connection, through
// relays. The swarm dials the relayed ones 0.5s after public ones, or when these have
// failed: so a dead address costs that, and not the 5s until it is given up.
func (a *attempt) dial(addrs []multiaddr.Multiaddr) {
	h := a.cfg.Host
	a.cfg.Reach.Dialled(a.id)
	var relays, others []multiaddr.Multiaddr
	for _, addr := range addrs {
		if scope.HasProtocol(addr, multiaddr.P_CIRCUIT) {
			relays = append(relays, addr)
		} else {
			others = append(others, addr)
		}
	}
	if len(relays) > 0 && a.cfg.Reach.NeedsRelay() {
		others = a.withoutTCP(others)
	}
	if len(others) > 0 {
		h.Peerstore().AddAddrs(a.id, others, peerstore.TempAddrTTL)
		a.cfg.Call.ForgetFailures(a.id) // the swarm does not dial an address that has failed lately
		a.run(a.begin(stepDirect, others), func() error {
			return call.Dial(network.WithForceDirectDial(a.dialling, "kad"), h, a.id)
		}, nil)
	}
	if len(relays) > 0 && a.relayed() == nil {
		a.run(a.begin(stepRelay, relays), func() error { return a.dialThrough(a.dialling, a.id, relays) }, nil)
	}
}
