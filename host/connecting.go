package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
)

// findAfter is how long Connect tries the addresses that the host knows before it
// looks the peer up as well.
const findAfter = 500 * time.Millisecond

// errNotNeeded ends what was under way when there was a connection.
var errNotNeeded = errors.New("given up, since there was a connection")

// connecting is one Connect. It belongs to the goroutine of the caller.
type connecting struct {
	dht        *DHT
	id         peer.ID
	dialling   context.Context // of the steps in the background
	steps      []*step
	ended      chan func()   // ends of steps in the background, which the owner runs
	moved      chan struct{} // length 1: there is another connection to the peer, or one less
	wasRelayed bool          // there was a relayed connection, and no direct one
	dialled    bool          // a direct dial of ours has succeeded
	finds      int           // how many times the peer was looked up
}

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
func (c *connecting) begin(name string, addrs []multiaddr.Multiaddr) *step {
	s := &step{Step{Name: name, Addrs: addrs}, time.Now(), true}
	c.steps = append(c.steps, s)
	return s
}

// busy reports whether a step is under way.
func (c *connecting) busy() bool {
	return slices.ContainsFunc(c.steps, func(s *step) bool { return s.running })
}

// story returns the steps, as far as they have come.
func (c *connecting) story() []Step {
	story := make([]Step, len(c.steps))
	for i, s := range c.steps {
		if s.running {
			s.end(errNotNeeded)
		}
		story[i] = s.Step
	}
	return story
}

// watch looks for connections to the peer until the function that it returns is
// called.
func (c *connecting) watch() (stop func()) {
	note := func(_ network.Network, conn network.Conn) {
		if conn.RemotePeer() == c.id {
			poke(c.moved)
		}
	}
	bundle := &network.NotifyBundle{ConnectedF: note, DisconnectedF: note}
	c.dht.host.Network().Notify(bundle)
	return func() { c.dht.host.Network().StopNotify(bundle) }
}

// direct returns a connection to the peer that goes through no relay; nil if there is
// none. Limited is not the same: a relay without limits is one, too.
func (c *connecting) direct() network.Conn {
	return c.conn(func(conn network.Conn) bool { return !relayed(conn) })
}

// relayed returns a connection to the peer through a relay; nil if there is none.
func (c *connecting) relayed() network.Conn { return c.conn(relayed) }

func (c *connecting) conn(suits func(network.Conn) bool) network.Conn {
	for _, conn := range c.dht.host.Network().ConnsToPeer(c.id) {
		if !conn.IsClosed() && suits(conn) {
			return conn
		}
	}
	return nil
}

// reached reports whether there is any connection to the peer.
func (c *connecting) reached() bool {
	if c.direct() != nil {
		return true
	}
	c.wasRelayed = c.wasRelayed || c.relayed() != nil
	return c.relayed() != nil
}

// reach returns when there is any connection to the peer, or none can be made.
func (c *connecting) reach(ctx context.Context) error {
	late := time.NewTimer(findAfter)
	defer late.Stop()
	told := false // by the dial that has led to a connection
	for !c.reached() {
		if !c.busy() && c.mayFind() {
			c.find() //nolint:contextcheck // what it dials ends with Connect
		}
		if !c.busy() {
			return c.failure(ctx)
		}
		select {
		case end := <-c.ended:
			end()
			told = c.reached()
		case <-c.moved:
		case <-late.C:
			if c.finds == 0 {
				c.find() //nolint:contextcheck // what it dials ends with Connect
			}
		case <-ctx.Done():
			return c.failure(ctx)
		}
	}
	if !told && c.busy() {
		c.settle()
	}
	return nil
}

// mayFind reports whether a lookup, when everything else has failed, can lead further:
// the first, and one more if the first has found addresses that were stale.
func (c *connecting) mayFind() bool {
	found := slices.ContainsFunc(c.steps, func(s *step) bool { return s.Name == stepFind && s.Err == nil })
	return c.finds == 0 || c.finds == 1 && found
}

// settleTime is how long a dial has, at most, to return after its connection is seen.
const settleTime = 50 * time.Millisecond

// settle lets the dial end that has led to a new connection, if it was one of ours.
func (c *connecting) settle() {
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case end := <-c.ended:
		end()
	case <-timer.C:
	}
}

// failure returns the error of Connect.
func (c *connecting) failure(ctx context.Context) error {
	if ctx.Err() != nil {
		for _, s := range c.steps {
			if s.running {
				s.end(context.Cause(ctx))
			}
		}
	}
	e := &ConnectError{ID: c.id, Steps: c.story()}
	if ctx.Err() != nil {
		e.Cause = context.Cause(ctx)
	}
	return e
}

// Names of steps.
const (
	stepKnown  = "known"
	stepFind   = "find"
	stepDirect = "direct"
	stepRelay  = "relay"
	stepPunch  = "punch"
)

// errNoneKnown is why known addresses are of no use.
var errNoneKnown = errors.New("the host knows no address of it")

// tryKnown dials the addresses that the host knows.
func (c *connecting) tryKnown() {
	known := c.dht.host.Peerstore().Addrs(c.id)
	s := c.begin(stepKnown, known)
	if len(known) == 0 {
		s.end(errNoneKnown)
		return
	}
	s.end(nil)
	c.dial(known)
}

// errSameFound is why a second lookup is of no use.
var errSameFound = errors.New("it found the same addresses as before")

// find looks the peer up, and dials what is found, if that is not what the lookup
// before it has found.
func (c *connecting) find() {
	c.finds++
	s := c.begin(stepFind, nil)
	var found Location
	c.run(s, func() (err error) {
		found, err = c.dht.Locate(c.dialling, c.id)
		return err
	}, func() {
		s.Addrs = found.info().Addrs
		switch {
		case len(s.Addrs) == 0 || c.direct() != nil:
		case slices.ContainsFunc(c.steps, func(before *step) bool {
			return before != s && before.Name == stepFind && sameAddrs(before.Addrs, s.Addrs)
		}):
			s.Err = errSameFound
		default:
			c.dial(s.Addrs)
		}
	})
}

// dial dials addresses, directly and, unless there is a relayed connection, through
// relays. The swarm begins with those through relays 0.5s after public ones, or when
// these have failed: so a dead address costs that, and not the 5s until it is given up.
func (c *connecting) dial(addrs []multiaddr.Multiaddr) {
	d := c.dht
	d.acquaintances.add(time.Now(), c.id)
	var relays, others []multiaddr.Multiaddr
	for _, a := range addrs {
		if has(a, multiaddr.P_CIRCUIT) {
			relays = append(relays, a)
		} else {
			others = append(others, a)
		}
	}
	if len(others) > 0 {
		d.host.Peerstore().AddAddrs(c.id, others, peerstore.TempAddrTTL)
		d.forgive(c.id) // an address that has failed lately would not be dialled at all
		s := c.begin(stepDirect, others)
		c.run(s, func() error {
			_, err := d.host.Network().DialPeer(network.WithForceDirectDial(c.dialling, "kad"), c.id)
			return err
		}, func() { c.dialled = c.dialled || s.Err == nil })
	}
	if len(relays) > 0 && c.relayed() == nil {
		c.run(c.begin(stepRelay, relays), func() error { return d.dialThrough(c.dialling, c.id, relays) }, nil)
	}
}

// about returns what a failure of dials says about some of the addresses; the whole,
// if it says nothing of them.
func about(err error, addrs []multiaddr.Multiaddr) error {
	var failed *swarm.DialError
	if !errors.As(err, &failed) {
		return err
	}
	part := &swarm.DialError{Peer: failed.Peer, Cause: failed.Cause}
	for _, e := range failed.DialErrors {
		if slices.ContainsFunc(addrs, e.Address.Equal) {
			part.DialErrors = append(part.DialErrors, e)
		}
	}
	if len(part.DialErrors) == 0 {
		return err
	}
	return part
}

// run runs a step in the background. The owner learns of its end while it listens, and
// calls then, unless that is nil.
func (c *connecting) run(s *step, f func() error, then func()) {
	started := c.dht.tasks.run(func(context.Context) {
		err := f()
		end := func() {
			s.end(err)
			if then != nil {
				then()
			}
		}
		select {
		case c.ended <- end:
		case <-c.dialling.Done():
		}
	})
	if !started {
		s.end(ErrClosed)
	}
}

// punchTime is how long after a relayed connection a peer is done with hole punching:
// it tries three times, for 5s each.
const punchTime = 20 * time.Second

// errNoPunch is why a relayed connection stays one that was there before.
var errNoPunch = errors.New("the peer does not punch for a relayed connection that was there before")

// punch waits for a direct connection. What is under way is waited for as well, and
// without it, a relayed connection that is old stays one; if no direct address was
// known, the peer is looked up before that.
func (c *connecting) punch(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	s := c.begin(stepPunch, nil)
	s.running = false // it is not one of those in the background
	for c.direct() == nil {
		conn := c.relayed()
		if conn == nil {
			s.end(errors.New("the relayed connection has ended"))
			return
		}
		if time.Since(conn.Stat().Opened) >= punchTime && wait > 0 {
			if !c.busy() && c.finds == 0 {
				c.find() //nolint:contextcheck // what it dials ends with Connect
			}
			if !c.busy() {
				s.end(errNoPunch)
				return
			}
		}
		select {
		case end := <-c.ended:
			end()
		case <-c.moved:
		case <-timer.C:
			s.end(fmt.Errorf("no direct connection came within %v", wait))
			return
		case <-ctx.Done():
			s.end(context.Cause(ctx))
			return
		}
	}
	if !c.dialled && c.busy() {
		c.settle() // it may be one of our dials that has made it
	}
	s.end(nil)
}
