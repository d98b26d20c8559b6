package connect

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/scope"
)

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
	s := &step{Step{Name: name, Addrs: addrs}, time.Now(), true}
	a.steps = append(a.steps, s)
	return s
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
	if len(others) > 0 {
		h.Peerstore().AddAddrs(a.id, others, peerstore.TempAddrTTL)
		a.cfg.Call.ForgetFailures(a.id) // the swarm does not dial an address that has failed lately
		s := a.begin(stepDirect, others)
		a.run(s, func() error {
			_, err := h.Network().DialPeer(network.WithForceDirectDial(a.dialling, "kad"), a.id)
			return err
		}, func() { a.dialled = a.dialled || s.Err == nil })
	}
	if len(relays) > 0 && a.relayed() == nil {
		a.run(a.begin(stepRelay, relays), func() error { return a.dialThrough(a.dialling, a.id, relays) }, nil)
	}
}
