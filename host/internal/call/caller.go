package call

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// A Config has what a Caller needs. All fields but Dialled, Pulse and Observer are required.
type Config struct {
	Host           lhost.Host
	Transport      Transport // mostly that of Streams
	Table          *table.Table
	Tasks          *tasks.Group
	RequestTimeout time.Duration // counts from the dial; 0 or less: no limit
	SlowAfter      time.Duration
	MaxDials       int           // in flight; less than 0: no bound of that, nor of their rate
	Dialled        func(peer.ID) // is called with each peer that is dialled
	Observer       *observe.Observer
	Pulse          *tasks.Pulse
}

// A Caller asks peers. It is safe for concurrent use.
type Caller struct {
	cfg      Config
	dialer   *dialer
	unproved *unproved
	lanes    *lanes
	older    older

	requests, failed, probes atomic.Uint64
	times                    observe.Requests // of the attempts, with what each dialled, by table.Outcome
}

// New returns a Caller.
func New(cfg Config) *Caller {
	c := &Caller{cfg: cfg, lanes: newLanes(), unproved: newUnproved()}
	c.dialer = newDialer(cfg.MaxDials, cfg.Tasks, c.dial, cfg.Table.Connected, cfg.Pulse.Limit)
	return c
}

// Stats returns how many requests were made, how many of them failed or were refused,
// and how many probes were made (Check and Introduce), which are not among the requests.
func (c *Caller) Stats() (requests, failed, probes uint64) {
	return c.requests.Load(), c.failed.Load(), c.probes.Load()
}

// A DialStats counts dials: those of all requests and of the upkeep, and neither those of
// host.DHT.Connect nor checks of relays.
type DialStats struct {
	Begun, Failed    uint64
	Unproved         uint64 // addresses that were not dialled, for too many peers were not found at their IP address
	UnderWay, Queued int    // now
}

// Dials returns how many dials there were and are.
func (c *Caller) Dials() DialStats {
	c.dialer.mu.Lock()
	s := DialStats{Begun: c.dialer.begun, Failed: c.dialer.failed, UnderWay: len(c.dialer.inFlight), Queued: c.dialer.queue.len}
	c.dialer.mu.Unlock()
	s.Unproved = c.unproved.refused.Load()
	return s
}

// Times returns how long the attempts to send a request took, by table.Outcome: each from
// its dial, or from when there was a turn for it on a connection that was open.
func (c *Caller) Times() *observe.Requests { return &c.times }

// Request sends a request to a contact, and dials it first if needed, when turn has its
// turn. It calls reaches with each stage of that, unless reaches is nil. The time limit,
// Config.RequestTimeout, counts from the dial. Request decides the outcome and records it
// in the table; the error carries it (see [OutcomeOf]).
func (c *Caller) Request(ctx context.Context, turn *Turn, to routing.Contact, req protocol.Request, reaches func(Stage)) (protocol.Response, error) {
	return c.request(ctx, turn, to, &errand{first: req}, reaches)
}

// request is Request for an errand.
func (c *Caller) request(ctx context.Context, turn *Turn, to routing.Contact, e *errand, reaches func(Stage)) (protocol.Response, error) {
	c.requests.Add(1)
	resp, took, err := c.ask(ctx, turn, to, e, reaches)
	outcome := OutcomeOf(err)
	c.cfg.Table.Heard(to, outcome, took)
	switch outcome {
	case table.Refused, table.Silent, table.OwnFailure:
		c.failed.Add(1)
		log.Debugw("no answer", "peer", to.ID, "error", err)
	case table.Answered, table.Late, table.Unsent:
	}
	return resp, err
}

// Beside is Request for a second request to a contact that gets another one with Request
// at the same time: it records no outcome, because the other one does.
func (c *Caller) Beside(ctx context.Context, turn *Turn, to routing.Contact, req protocol.Request) (protocol.Response, error) {
	c.requests.Add(1)
	resp, _, err := c.ask(ctx, turn, to, &errand{first: req}, nil)
	return resp, err
}

// ask sends a request, and returns how long the answer took on an open connection: 0 if
// there is none, or if the time is mostly that of the store of the peer. The error is a
// *outcomeError.
//
// A request for which there was no room is tried again: see noRoom. So is a request whose
// connection ended under it, once, over a new one: the old one may have been dead for long.
func (c *Caller) ask(
	ctx context.Context, turn *Turn, to routing.Contact, e *errand, reaches func(Stage),
) (resp protocol.Response, took time.Duration, err error) {
	if reaches == nil {
		reaches = func(Stage) {}
	}
	defer c.learn(to, false)()
	c.cfg.Pulse.Begin()
	defer c.cfg.Pulse.End()
	if o := c.cfg.Observer; o.Traced() {
		var end func(error, ...slog.Attr)
		ctx, end = o.Span(ctx, "kad.request", slog.String("kad.peer", to.ID.String()), slog.String("kad.type", observe.KindOf(e.first)))
		defer func() { end(err, slog.String("kad.outcome", OutcomeOf(err).String())) }()
	}
	l := c.lanes.use(to.ID)
	defer c.lanes.drop(to.ID)
	var first time.Time // the end of the first attempt
	connected := c.cfg.Table.Connected(to.ID)
	mayBeOld := connected
	for pause := retryFirst; ; pause, connected = min(2*pause, retryMost), c.cfg.Table.Connected(to.ID) {
		var ended time.Time
		resp, took, ended, err = c.attempt(ctx, turn, to.ID, connected, l, e, reaches, !first.IsZero())
		if first.IsZero() {
			first = ended
		}
		if connectionEnded(err) && mayBeOld && ctx.Err() == nil && !c.closed() {
			mayBeOld = false
			continue
		}
		starved := OutcomeOf(err) == table.OwnFailure && unheard(err)
		switch {
		case err == nil:
			return resp, took, nil
		case c.noRoom(l, ended, first, err):
		case starved && !c.closed(): // it has had all the time that there is
			return resp, took, &outcomeError{table.Silent, err}
		default:
			return resp, took, err
		}
		if OutcomeOf(err) == table.OwnFailure {
			reaches(Queued) // it waits for us, and is not late
			if !starved {
				c.cfg.Table.Hindered(to, err)
			}
			c.Redial(to.ID) // the swarm takes a dial that failed here for one that failed there
		}
		if !tasks.Pause(ctx, tasks.Jittered(pause), turn.left()) {
			return resp, took, err
		}
	}
}

// noRoom reports whether a request failed for want of room, and may find some: the peer
// was busy, or a stream, memory or file descriptor was lacking here, or a way to any peer. It
// gives up when no request of the lane, or of any, has found room for RequestTimeout, or longer
// on a machine that is late itself, since the first attempt.
func (c *Caller) noRoom(l *lane, now, first time.Time, err error) bool {
	switch {
	case c.closed():
		return false
	case errors.Is(err, kaderr.ErrBusy):
	case OutcomeOf(err) == table.OwnFailure:
		l = &c.lanes.all
	default:
		return false
	}
	last := c.lanes.lastGranted(l)
	if last.Before(first) || unheard(err) { // the peer may be gone, whatever others answer
		last = first
	}
	return c.cfg.RequestTimeout <= 0 || now.Sub(last) < c.cfg.Pulse.Stretched(c.cfg.RequestTimeout)
}

// attempt sends a request once to a peer that is connected or not, when there is room for it
// in the lane of the peer. It returns when that ended, too.
func (c *Caller) attempt(
	ctx context.Context, turn *Turn, to peer.ID, connected bool, l *lane, e *errand, reaches func(Stage), again bool,
) (resp protocol.Response, took time.Duration, ended time.Time, err error) {
	stage := Dialled
	if connected {
		stage = Connected
	}
	if err := c.lanes.enter(ctx, turn, l, reaches, stage); err != nil {
		return resp, 0, time.Time{}, &outcomeError{c.outcomeBefore(err), inTime(ctx, err)}
	}
	if again {
		reaches(stage)
	}
	resp, took, ended, err = c.attemptNow(ctx, turn, to, connected, e, reaches)
	c.lanes.leave(l, ended, err, kaderr.ErrBusy)
	return resp, took, ended, err
}

// attemptNow is attempt for a request that has entered the lane of its peer.
func (c *Caller) attemptNow(
	ctx context.Context, turn *Turn, to peer.ID, connected bool, e *errand, reaches func(Stage),
) (resp protocol.Response, took time.Duration, ended time.Time, err error) {
	var x *dial
	if !connected {
		if x, err = c.dialer.dial(ctx, turn, to, reaches); err != nil {
			return resp, 0, time.Time{}, &outcomeError{c.outcomeBefore(err), inTime(ctx, err)}
		}
	}
	start := time.Now()
	limited, cancel := c.limit(ctx)
	defer func() { cancel() }()
	if x != nil {
		if err = c.dialer.wait(limited, x); err == nil {
			reaches(Connected)
		}
	}
	own, entered, waited := &c.lanes.all, false, false
	if err == nil {
		err = c.lanes.enter(limited, turn, own, func(s Stage) { waited = true; reaches(s) }, Connected)
		entered = err == nil
	}
	sent := start
	if x != nil || waited {
		sent = time.Now()
	}
	if waited && entered { // for room here, which is no part of its time
		cancel()
		start = sent
		limited, cancel = c.limit(ctx)
	}
	if entered {
		resp, err = e.send(limited, c.cfg.Transport, to)
	}
	now := time.Now()
	if entered {
		c.lanes.leave(own, now, err, network.ErrResourceLimitExceeded)
	}
	if err != nil {
		outcome := c.outcome(ctx, limited, start, now, err)
		if waited && !entered {
			outcome = c.outcomeInQueue(ctx, limited)
		}
		c.times.Add(e.first, uint8(outcome), now.Sub(start))
		return protocol.Response{}, 0, now, &outcomeError{outcome, inTime(limited, err)}
	}
	c.times.Add(e.first, uint8(table.Answered), now.Sub(start))
	c.cfg.Host.Peerstore().RecordLatency(to, now.Sub(sent))
	switch e.first.(type) {
	case protocol.PutValue, protocol.AddProvider:
		return resp, 0, now, nil
	default:
		return resp, max(1, now.Sub(sent)), now, nil
	}
}

// limit returns a context for a request, which ends after RequestTimeout, and later while the
// machine is late.
func (c *Caller) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.cfg.RequestTimeout <= 0 {
		return ctx, func() {}
	}
	return c.cfg.Pulse.Limit(ctx, c.cfg.RequestTimeout)
}

// Connect connects to a peer within the dial budget, unless it is connected.
func (c *Caller) Connect(ctx context.Context, id peer.ID) error {
	x, err := c.dialer.dial(ctx, nil, id, func(Stage) {})
	if err != nil {
		return inTime(ctx, err)
	}
	return inTime(ctx, c.dialer.wait(ctx, x))
}

// Identified waits until the host knows what a peer speaks.
func (c *Caller) Identified(ctx context.Context, id peer.ID) {
	for _, conn := range c.cfg.Host.Network().ConnsToPeer(id) {
		known := identified(c.cfg.Host, conn)
		if known == nil {
			return
		}
		select {
		case <-known:
		case <-ctx.Done():
		}
	}
}

// Abandon has the dials that began before a time begin anew, at all addresses: the longer a dial
// takes, the more rarely it retries.
func (c *Caller) Abandon(before time.Time) {
	for _, id := range c.dialer.abandon(before) {
		c.ForgetFailures(id)
	}
}

// inTime returns the cause of ctx with err if ctx has ended, because an error of the
// network is then only the consequence.
func inTime(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return err
}

// ForgetFailures has the swarm forget the failed dials of a peer.
func (c *Caller) ForgetFailures(id peer.ID) { forgetFailures(c.cfg.Host, id) }

// Redial has the next dial of a peer begin anew, whatever became of earlier ones.
func (c *Caller) Redial(id peer.ID) {
	c.dialer.forget(id)
	c.ForgetFailures(id)
}
