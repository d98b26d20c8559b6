package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
)

// Via is the way in which we are connected to a peer.
type Via uint8

const (
	// ViaDirect is a connection that was direct from the beginning.
	ViaDirect Via = iota + 1

	// ViaPunched is a direct connection that came after a relayed one, as by hole
	// punching.
	ViaPunched

	// ViaRelayed is a connection through a relay. It is limited, as a rule: streams on
	// it need network.WithAllowLimitedConn, and it ends after some minutes and bytes.
	ViaRelayed
)

// String returns direct, punched or relayed.
func (v Via) String() string {
	switch v {
	case ViaDirect:
		return "direct"
	case ViaPunched:
		return "punched"
	case ViaRelayed:
		return "relayed"
	default:
		return "none"
	}
}

// A Connection says how a peer was reached.
type Connection struct {
	Via   Via                 // 0 if it was not
	Addr  multiaddr.Multiaddr // of the peer, as the connection has it
	Steps []Step              // what was done for it, in the order in which it began
}

// A Step is a part of [DHT.Connect].
type Step struct {
	// Name says what was tried: "known", the addresses that the host knew; "find", a
	// lookup; "direct", a dial without relay; "relay", a dial through one; "punch",
	// the wait for a direct connection after that.
	Name string

	Addrs []multiaddr.Multiaddr // that were known, found or dialled; none for punch
	Took  time.Duration         // some are under way at the same time
	Err   error                 // nil if it succeeded
}

// String returns the step in words.
func (s Step) String() string {
	text := fmt.Sprintf("%s (%v", s.Name, s.Took.Round(time.Millisecond))
	if len(s.Addrs) > 0 {
		text += ", " + plural(len(s.Addrs), "address")
	}
	if s.Err == nil {
		return text + ")"
	}
	return text + "): " + strings.TrimPrefix(strings.ReplaceAll(s.Err.Error(), "\n", " "), "kad: ")
}

// A ConnectError is returned by [DHT.Connect] when a peer was not reached.
type ConnectError struct {
	ID    peer.ID
	Steps []Step // what was tried with which addresses, and why it failed
	Cause error  // of the context, if that has ended; else nil
}

// Error says what was tried, and why it failed.
func (e *ConnectError) Error() string {
	tried := make([]string, len(e.Steps))
	for i, s := range e.Steps {
		tried[i] = s.String()
	}
	text := "kad: not connected to " + e.ID.String()
	if e.Cause != nil {
		text += " in time"
	}
	if len(tried) > 0 {
		text += ": tried " + strings.Join(tried, "; ")
	}
	return text
}

// Unwrap returns the reasons, so that errors.Is finds, for instance, [ErrNotFound].
func (e *ConnectError) Unwrap() []error {
	var errs []error
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	for _, s := range e.Steps {
		if s.Err != nil {
			errs = append(errs, s.Err)
		}
	}
	return errs
}

// Connect connects to a peer, wherever it is: with the addresses that the host knows,
// and with those of [DHT.Locate] if there are none, if they fail, or if they have not
// led to it after half a second. It dials directly and, if nothing has come of that
// after a moment, through the relays of the peer as well; then it waits for a direct
// connection, which the peer makes by hole punching, for as long as [WaitDirect] says.
// If none comes, the connection stays relayed, and that is no error.
//
// The error is a [*ConnectError] that says what was tried. Connect takes as long as
// ctx lasts, at most; without a deadline, some minutes where all dials hang.
func (d *DHT) Connect(ctx context.Context, id peer.ID, opts ...lrouting.Option) (Connection, error) {
	ctx, end := d.begin(ctx)
	defer end()
	o, err := d.options(opts)
	if err != nil {
		return Connection{}, err
	}
	if err := id.Validate(); err != nil {
		return Connection{}, fmt.Errorf("kad: %q is not a peer ID: %w", string(id), err)
	}
	if id == d.self {
		return Connection{}, errors.New("kad: the peer to connect to is this node itself")
	}
	dialling, giveUp := context.WithCancel(ctx)
	defer giveUp() // what is under way then is not needed any more
	c := &connecting{
		dht: d, id: id, dialling: dialling,
		ended: make(chan func()), moved: make(chan struct{}, 1),
	}
	defer c.watch()()
	if conn := c.direct(); conn != nil {
		return Connection{Via: ViaDirect, Addr: conn.RemoteMultiaddr()}, nil
	}
	if err := c.reach(ctx); err != nil {
		return Connection{Steps: c.story()}, err
	}
	via := ViaDirect
	if c.wasRelayed {
		via = ViaPunched
		c.punch(ctx, o.direct)
	}
	conn := c.direct()
	if conn == nil {
		via, conn = ViaRelayed, c.relayed()
	}
	if conn == nil {
		return Connection{Steps: c.story()}, c.failure(ctx)
	}
	return Connection{Via: via, Addr: conn.RemoteMultiaddr(), Steps: c.story()}, nil
}

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
	c.tryKnown() //nolint:contextcheck // what it dials may be of use after reach
	find := sync.OnceFunc(func() { c.find() })
	told := false // by the dial that has led to a connection
	for !c.reached() {
		if !c.busy() {
			find()
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
			find()
		case <-ctx.Done():
			return c.failure(ctx)
		}
	}
	if !told && c.busy() {
		c.settle()
	}
	return nil
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

// find looks the peer up, and dials what is found.
func (c *connecting) find() {
	s := c.begin(stepFind, nil)
	var found Location
	c.run(s, func() (err error) {
		found, err = c.dht.Locate(c.dialling, c.id)
		return err
	}, func() {
		if s.Addrs = found.info().Addrs; len(s.Addrs) > 0 && !c.reached() {
			c.dial(s.Addrs)
		}
	})
}

// dial dials addresses, directly and through relays. The swarm begins with those
// through relays 0.5s after public ones, or when these have failed: so a dead
// address costs that, and not the 5s until it is given up.
func (c *connecting) dial(addrs []multiaddr.Multiaddr) {
	d := c.dht
	d.acquaintances.add(time.Now(), c.id)
	d.host.Peerstore().AddAddrs(c.id, addrs, peerstore.TempAddrTTL)
	// An address that has failed lately would not be dialled at all.
	if s, ok := d.host.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(c.id)
	}
	var relays, others []multiaddr.Multiaddr
	for _, a := range addrs {
		if _, err := a.ValueForProtocol(multiaddr.P_CIRCUIT); err == nil {
			relays = append(relays, a)
		} else {
			others = append(others, a)
		}
	}
	if len(others) > 0 {
		c.run(c.begin(stepDirect, others), func() error {
			_, err := d.host.Network().DialPeer(network.WithForceDirectDial(c.dialling, "kad"), c.id)
			return err
		}, nil)
	}
	if len(relays) > 0 {
		c.run(c.begin(stepRelay, relays), func() error {
			_, err := d.host.Network().DialPeer(c.dialling, c.id)
			return about(err, relays)
		}, nil)
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

// punch waits for a direct connection.
func (c *connecting) punch(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	s := c.begin(stepPunch, nil)
	for c.direct() == nil {
		if c.relayed() == nil {
			s.end(errors.New("the relayed connection has ended"))
			return
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
	s.end(nil)
}
