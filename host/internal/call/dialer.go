package call

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/tasks"
)

// dialTimeout bounds a dial, however many requests wait for it.
const dialTimeout = 10 * time.Second

// dialLinger is how long a dial goes on after its last waiter has gone. The swarm takes a
// cancelled dial for a failed one, and refuses to dial the peer again for a while.
const dialLinger = 800 * time.Millisecond

const (
	// dialBurst is how many dials may hang, or be under way, before the rate holds: as many
	// as it takes to join a network.
	dialBurst = 200

	// dialRate is how many dials more may hang in a second after that.
	dialRate = 20
)

// A dialer dials peers, no more at a time than a home router can bear, and no more that hang.
// All dials of lookups, writes, joining and upkeep pass it. The dials of DHT.Connect, and
// of relays that are checked, do not: they are few.
type dialer struct {
	connect   func(ctx context.Context, to peer.ID) error
	connected func(to peer.ID) bool
	tasks     *tasks.Group
	limit     func(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc)
	most      int // in flight; negative: no bound of that, nor of the rate

	mu       sync.Mutex
	inFlight map[peer.ID]*dial
	tokens   float64 // dials that may begin at once; at most burst. A dial that is answered gives its own back
	since    time.Time
	queue    queue[*dial]                 // dials that have not begun
	waiting  map[peer.ID][]*queued[*dial] // the items of queue, by their peer
	begun    uint64
	failed   uint64
	timer    *time.Timer // set while the next has to wait for a token
}

func newDialer(most int, group *tasks.Group, connect func(context.Context, peer.ID) error, connected func(peer.ID) bool,
	limit func(context.Context, time.Duration) (context.Context, context.CancelFunc),
) *dialer {
	return &dialer{
		connect: connect, connected: connected, tasks: group, limit: limit, most: most,
		inFlight: make(map[peer.ID]*dial), waiting: make(map[peer.ID][]*queued[*dial]), tokens: dialBurst,
	}
}

// A dial is an attempt to connect to a peer.
type dial struct {
	to    peer.ID
	begun chan struct{} // closed when it begins
	as    *dial         // after that, the one in flight: mostly itself
	done  chan struct{} // closed when it has ended
	err   error         // valid after that

	since   time.Time          // when one in flight began
	waiters int                // of one in flight
	cancel  context.CancelFunc // of one in flight
	givenUp bool               // the attempt was cancelled
}

// dial returns the dial of a peer, once it has begun: the one in flight if there is one.
// If it has to wait for its turn, dial calls reaches then, and again when the turn has
// come. The error is [kaderr.ErrNotSent] if ctx ends first, or the turn is left.
func (r *dialer) dial(ctx context.Context, turn *Turn, to peer.ID, reaches func(Stage)) (*dial, error) {
	r.mu.Lock()
	x := &dial{to: to, begun: make(chan struct{}), done: make(chan struct{})}
	var place *queued[*dial]
	if r.inFlight[to] != nil {
		r.start(time.Time{}, x) //nolint:contextcheck // a dial outlives its waiters
	} else {
		place = r.queue.push(turn, x)
		r.waiting[to] = append(r.waiting[to], place)
		r.begin() //nolint:contextcheck // a dial outlives its waiters
	}
	r.mu.Unlock()
	select {
	case <-x.begun:
		return x.as, nil
	default:
	}
	reaches(Queued)
	select {
	case <-x.begun:
		reaches(Dialled)
		return x.as, nil
	case <-turn.left():
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if x.as != nil {
		return x.as, nil // it began just now
	}
	r.leave(place)
	return nil, kaderr.ErrNotSent
}

// wait returns the error of a dial that has begun, or the cause of ctx. A dial without
// waiters is cancelled after dialLinger.
func (r *dialer) wait(ctx context.Context, x *dial) error {
	defer r.release(x)
	select {
	case <-x.done:
		return x.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// release drops one waiter of x. When the last one is gone, the dial is cancelled after
// dialLinger.
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
			x.giveUp()
		}
	})
}

// giveUp cancels an attempt of a dial. If requests wait for the dial when that has ended, because
// it was abandoned or they have joined it meanwhile, a further attempt begins: that one was
// cancelled says nothing of the peer. It does not begin earlier, since the swarm would join the
// two.
func (x *dial) giveUp() {
	x.givenUp = true
	x.cancel()
}

// abandon gives up the dials that began before a time, and returns whose they are.
func (r *dialer) abandon(before time.Time) (all []peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for to, x := range r.inFlight {
		if x.since.Before(before) {
			x.giveUp()
			all = append(all, to)
		}
	}
	return all
}

// forget gives up the dial of a peer if it has no waiter, so that the next one begins
// anew.
func (r *dialer) forget(to peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x := r.inFlight[to]; x != nil && x.waiters == 0 {
		x.giveUp()
	}
}

// begin begins the dials that may begin now. For the others, the end of a dial in flight
// calls begin again, or the timer does.
func (r *dialer) begin() {
	for {
		x, ok := r.queue.first()
		now := time.Now()
		if !ok || r.inFlight[x.to] == nil && !r.connected(x.to) && !r.take(now) {
			return
		}
		r.queue.pop()
		r.start(now, x)
		r.share(x)
	}
}

// take takes a token, if one more dial is allowed.
func (r *dialer) take(now time.Time) bool {
	if r.most < 0 {
		return true
	}
	if len(r.inFlight) >= r.most {
		return false // the end of one of them calls begin
	}
	r.tokens = min(dialBurst, r.tokens+now.Sub(r.since).Seconds()*dialRate)
	r.since = now
	if r.tokens >= 1 {
		r.tokens--
		return true
	}
	if r.timer == nil {
		wait := time.Duration((1-r.tokens)/dialRate*float64(time.Second)) + time.Microsecond
		r.timer = time.AfterFunc(wait, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.timer = nil
			r.begin()
		})
	}
	return false
}

// start begins x, or joins it to the dial of its peer that is in flight. If the peer is
// connected by now, x has ended.
func (r *dialer) start(now time.Time, x *dial) {
	defer close(x.begun)
	if x.as = r.inFlight[x.to]; x.as != nil {
		x.as.waiters++
		return
	}
	x.as = x
	x.waiters = 1
	if r.connected(x.to) {
		close(x.done)
		return
	}
	r.inFlight[x.to] = x
	connect := r.attempt(r.tasks.Context(), now, x)
	started := r.tasks.Go(func(ctx context.Context) {
		for connect != nil {
			connect = r.run(ctx, x, connect)
		}
	})
	if !started {
		x.cancel()
		x.err = kaderr.ErrClosed
		close(x.done)
		delete(r.inFlight, x.to)
	}
}

// attempt returns what makes one attempt of a dial in flight.
func (r *dialer) attempt(ctx context.Context, now time.Time, x *dial) (connect func() (hangs bool, err error)) {
	r.begun++
	x.since, x.givenUp = now, false
	dialling, cancel := r.limit(ctx, dialTimeout)
	x.cancel = cancel
	return func() (bool, error) {
		defer cancel()
		err := r.connect(dialling, x.to)
		return hung(dialling, err), err
	}
}

// run makes an attempt of a dial. It returns the next one, if there is to be one.
func (r *dialer) run(ctx context.Context, x *dial, connect func() (hangs bool, err error)) (next func() (hangs bool, err error)) {
	hangs, err := connect()
	tasks.Locked(&r.mu, func(now time.Time) {
		if err != nil {
			r.failed++
		}
		if !hangs {
			r.tokens = min(dialBurst, r.tokens+1)
		}
		if x.givenUp && err != nil && x.waiters > 0 {
			r.tokens--
			next = r.attempt(ctx, now, x)
			return
		}
		x.err = err
		close(x.done)
		delete(r.inFlight, x.to)
		r.begin() //nolint:contextcheck // the dials of other requests
	})
	return next
}

// hung reports whether a dial has had no answer: neither a connection nor a refusal.
func hung(dialling context.Context, err error) bool {
	return err != nil && (dialling.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded))
}

// share joins to x, which has begun, the dials of the same peer that have not.
func (r *dialer) share(x *dial) {
	for _, place := range r.waiting[x.to] {
		if other := place.item; other != x {
			r.queue.remove(place)
			other.as = x.as
			x.as.waiters++
			close(other.begun)
		}
	}
	delete(r.waiting, x.to)
}

// leave removes a dial that has not begun.
func (r *dialer) leave(place *queued[*dial]) {
	r.queue.remove(place)
	to := place.item.to
	others := r.waiting[to]
	if others = slices.DeleteFunc(others, func(other *queued[*dial]) bool { return other == place }); len(others) > 0 {
		r.waiting[to] = others
	} else {
		delete(r.waiting, to)
	}
}
