package host

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// errNotSent is the failure of a request that was given up before anything was
// sent, or dialled, for it: it says nothing of the peer.
var errNotSent = errors.New("kad: it was not the turn of its dial")

// dialTimeout bounds a dial, whoever waits for it.
const dialTimeout = 10 * time.Second

// dialLinger is how long a dial goes on that nobody waits for. The swarm takes one
// that was given up for one that failed, and for a while refuses to dial the peer
// again, which whoever has just found it is about to do.
const dialLinger = 800 * time.Millisecond

// A caller is on whose behalf peers are dialled: those of one caller are dialled in
// order, and callers take turns. Nil is the caller of what belongs to no operation.
type caller struct {
	over chan struct{} // closed when what has not begun is not wanted any more
}

func newCaller() *caller { return &caller{make(chan struct{})} }

// leave gives up what has not begun.
func (c *caller) leave() { close(c.over) }

// left returns a channel that is closed when the caller has left.
func (c *caller) left() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.over
}

// A dialer dials peers, no more at a time and no more often than a home router can
// bear: all dials of lookups, writes, joining and upkeep pass it. Those of
// [DHT.Connect], and of relays that are checked, do not: they are few.
type dialer struct {
	connect   func(ctx context.Context, to peer.ID) error
	connected func(to peer.ID) bool
	tasks     *tasks
	most      int     // in flight; negative: no bound
	rate      float64 // a second, after a burst; negative: no bound

	mu       sync.Mutex
	inFlight map[peer.ID]*dial
	tokens   float64 // dials that may begin at once; at most burst
	since    time.Time
	queues   []*dialQueue // that of whose turn it is first; none is empty
	timer    *time.Timer  // set while the next has to wait for a token
}

// dialBurst is how many dials may begin after a pause before the rate holds: as many
// as it takes to join a network.
const dialBurst = 200

func newDialer(cfg Config, tasks *tasks, connect func(context.Context, peer.ID) error, connected func(peer.ID) bool) *dialer {
	return &dialer{
		connect: connect, connected: connected, tasks: tasks, most: cfg.MaxDials, rate: float64(cfg.DialRate),
		inFlight: make(map[peer.ID]*dial), tokens: dialBurst,
	}
}

// A dialQueue is what one caller wants dialled.
type dialQueue struct {
	caller *caller
	dials  []*dial // that have not begun
}

// A dial is an attempt to connect to a peer.
type dial struct {
	to    peer.ID
	begun chan struct{} // closed when it begins
	as    *dial         // then, the one in flight: mostly itself
	done  chan struct{} // closed when it has ended
	err   error         // valid after that

	since   time.Time          // when one in flight began
	waiters int                // of one in flight
	cancel  context.CancelFunc // of one in flight
}

// dial returns the dial of a peer, once it has begun. If one is in flight, it is
// that. If it has to wait for its turn, reaches is called, and once more when that
// has come. The error is [errNotSent] if ctx ends first, or the caller has left.
func (r *dialer) dial(ctx context.Context, who *caller, to peer.ID, reaches func(stage)) (*dial, error) {
	r.mu.Lock()
	x := &dial{to: to, begun: make(chan struct{}), done: make(chan struct{})}
	if r.inFlight[to] != nil {
		r.start(x) //nolint:contextcheck // a dial outlives who waits for it
	} else {
		r.enqueue(who, x)
		r.begin() //nolint:contextcheck // a dial outlives who waits for it
	}
	r.mu.Unlock()
	select {
	case <-x.begun:
		return x.as, nil
	default:
	}
	reaches(queued)
	select {
	case <-x.begun:
		reaches(dialled)
		return x.as, nil
	case <-who.left():
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if x.as != nil {
		return x.as, nil // it began just now
	}
	r.withdraw(who, x)
	return nil, errNotSent
}

// wait returns the outcome of a dial that has begun, or the cause of ctx. If nobody
// else waits for it then, it is given up a little later.
func (r *dialer) wait(ctx context.Context, x *dial) error {
	defer r.release(x)
	select {
	case <-x.done:
		return x.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// release says that somebody waits for x no more.
func (r *dialer) release(x *dial) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x.waiters--; x.waiters > 0 || r.inFlight[x.to] != x {
		return
	}
	time.AfterFunc(dialLinger, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if x.waiters == 0 {
			x.cancel()
		}
	})
}

// abandon gives up the dials that began before a time, so that others of the same
// peers begin anew: the longer a dial takes, the more rarely it knocks.
func (r *dialer) abandon(before time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for to, x := range r.inFlight {
		if x.since.Before(before) {
			delete(r.inFlight, to)
			x.cancel()
		}
	}
	r.begin()
}

// renew gives up the dial of a peer that nobody waits for, so that the next one begins
// anew.
func (r *dialer) renew(to peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x := r.inFlight[to]; x != nil && x.waiters == 0 {
		delete(r.inFlight, to)
		x.cancel()
	}
}

// enqueue appends x to the queue of who.
func (r *dialer) enqueue(who *caller, x *dial) {
	for _, q := range r.queues {
		if q.caller == who {
			q.dials = append(q.dials, x)
			return
		}
	}
	r.queues = append(r.queues, &dialQueue{who, []*dial{x}})
}

// withdraw removes x, which nobody waits for, from the queue of who.
func (r *dialer) withdraw(who *caller, x *dial) {
	for i, q := range r.queues {
		if j := slices.Index(q.dials, x); q.caller == who && j >= 0 {
			q.dials = slices.Delete(q.dials, j, j+1)
			if len(q.dials) == 0 {
				r.queues = slices.Delete(r.queues, i, i+1)
			}
			return
		}
	}
}

// begin begins what may begin now. If there is more, and no dial in flight will
// make room for it, the timer will.
func (r *dialer) begin() {
	for len(r.queues) > 0 {
		q := r.queues[0]
		x := q.dials[0]
		if r.inFlight[x.to] == nil && !r.connected(x.to) && !r.take() {
			return
		}
		q.dials = q.dials[1:]
		r.queues = r.queues[1:]
		if len(q.dials) > 0 {
			r.queues = append(r.queues, q) // it is the turn of others
		}
		r.start(x)
	}
}

// take takes a token, if one more dial is allowed.
func (r *dialer) take() bool {
	if r.most >= 0 && len(r.inFlight) >= r.most {
		return false // the end of one of them calls begin
	}
	if r.rate < 0 {
		return true
	}
	now := time.Now()
	r.tokens = min(dialBurst, r.tokens+now.Sub(r.since).Seconds()*r.rate)
	r.since = now
	if r.tokens >= 1 {
		r.tokens--
		return true
	}
	if r.timer == nil {
		wait := time.Duration((1-r.tokens)/r.rate*float64(time.Second)) + time.Microsecond
		r.timer = time.AfterFunc(wait, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.timer = nil
			r.begin()
		})
	}
	return false
}

// start begins x, unless its peer is connected by now, or joins it to the dial of its
// peer that is in flight.
func (r *dialer) start(x *dial) {
	defer close(x.begun)
	if x.as = r.inFlight[x.to]; x.as != nil {
		x.as.waiters++
		return
	}
	x.as = x
	x.since, x.waiters = time.Now(), 1
	if r.connected(x.to) {
		close(x.done)
		return
	}
	r.inFlight[x.to] = x
	dialling, cancel := context.WithTimeout(r.tasks.ctx, dialTimeout)
	x.cancel = cancel
	started := r.tasks.run(func(context.Context) {
		defer cancel()
		x.err = r.connect(dialling, x.to)
		close(x.done)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.inFlight[x.to] == x {
			delete(r.inFlight, x.to)
		}
		r.begin() //nolint:contextcheck // that is of other dials
	})
	if !started {
		cancel()
		x.err = ErrClosed
		close(x.done)
		delete(r.inFlight, x.to)
		return
	}
	r.share(x)
}

// share joins to x, which has begun, those of the same peer that have not.
func (r *dialer) share(x *dial) {
	for _, q := range r.queues {
		q.dials = slices.DeleteFunc(q.dials, func(other *dial) bool {
			if other.to != x.to {
				return false
			}
			other.as = x
			x.waiters++
			close(other.begun)
			return true
		})
	}
	r.queues = slices.DeleteFunc(r.queues, func(q *dialQueue) bool { return len(q.dials) == 0 })
}
