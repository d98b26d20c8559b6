package serve

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/tasks"
)

// A queue has requests answered a few at a time, in a fair order: while requests wait, each
// network of addresses has an equal share of the time that answers take, and in it each smaller
// network, and in that each peer. While none waits, nothing is counted.
//
// It is guarded by the lock of the Server.
type queue struct {
	places  int           // how many requests are answered at a time
	slow    time.Duration // after which a request gives its place to one that waits; 0: never
	running []*inbound    // the ones that have a place
	waiting []*inbound    // the one that waits for longest first
	levels  [3]level      // networks, smaller networks, peers
	late    int           // requests that gave their place up, and have not ended
}

// A level counts the time that answers took, by network or peer.
type level struct {
	users map[string]*user
	now   time.Duration // what the one has used that had its turn last: a newcomer begins there
}

// A user is a network, or a peer, and the time that answers to it took.
type user struct{ used time.Duration }

const (
	// minCost is the time that an answer counts at least, since clocks are coarse.
	minCost = 10 * time.Microsecond

	// contactTurns is how many turns a contact of the table has for one of a stranger.
	contactTurns = 4

	// maxUsers bounds the networks and peers that are counted, while requests wait.
	maxUsers = 4096
)

// slowAnswer is how long an answer takes until it does not count among the ones that are made at a
// time. It waits for a store then, and not for a processor: answers from memory take microseconds.
const slowAnswer = 100 * time.Millisecond

// maxLate is how many requests wait for a store beside the ones that have a place. Their streams
// may have been ended for others meanwhile, which gives back what is reserved for them: they hold
// up to a message each, 32 MiB in all.
const maxLate = 32

// newQueue returns an empty queue. It has two places more than twice the processors, since an
// answer can wait for a disk. One that waits for long gives its place back, so that a store
// that is slow holds up what needs no store for no longer, nor one that hangs, while no more than
// maxLate wait for it.
func newQueue() queue { return queue{places: 2*runtime.GOMAXPROCS(0) + 2, slow: slowAnswer} }

// of returns what a network or peer has used.
func (l *level) of(u *user) time.Duration { return max(l.now, u.used) }

// user returns the network or peer of a name.
func (l *level) user(name string) *user {
	u := l.users[name]
	if u == nil {
		if l.users == nil {
			l.users = make(map[string]*user)
		}
		u = new(user)
		l.users[name] = u
	}
	return u
}

// find returns the networks and the peer of a stream.
func (q *queue) find(in *inbound) [3]*user {
	return [3]*user{q.levels[0].user(in.network), q.levels[1].user(in.subnet), q.levels[2].user(string(in.peer))}
}

// place gives a request a place.
func (q *queue) place(in *inbound, now time.Time) {
	in.placed, in.placedAt = true, now
	q.running = append(q.running, in)
}

// unplace takes the place of a request back, and reports whether it had one.
func (q *queue) unplace(in *inbound) bool {
	i := slices.Index(q.running, in)
	if i < 0 {
		return false
	}
	q.running = slices.Delete(q.running, i, i+1)
	return true
}

// begin takes a place for a request, if one is free, or puts it into the queue.
func (q *queue) begin(in *inbound, now time.Time) {
	if len(q.running) < q.places {
		q.place(in, now)
		return
	}
	in.turn, in.queue = make(chan struct{}), q
	in.users = q.find(in)
	q.waiting = append(q.waiting, in)
}

// leave takes a request out of the queue, if it is there, and wakes it.
func (q *queue) leave(in *inbound) {
	if in.turn == nil {
		return
	}
	i := slices.Index(q.waiting, in)
	q.waiting = slices.Delete(q.waiting, i, i+1)
	close(in.turn)
	in.turn = nil
}

// relieve gives the places of slow requests to the next ones.
func (q *queue) relieve(now time.Time) {
	q.running = slices.DeleteFunc(q.running, func(in *inbound) bool {
		if now.Sub(in.placedAt) < q.slow || q.late == maxLate {
			return false
		}
		q.late++
		q.charge(in, q.slow) // now, since it may not end for long
		return true
	})
	for len(q.waiting) > 0 && len(q.running) < q.places {
		q.next(now)
	}
}

// next gives a place to the request whose turn it is.
func (q *queue) next(now time.Time) {
	next := slices.MinFunc(q.waiting, q.compare)
	for i, u := range next.users {
		q.levels[i].now = q.levels[i].of(u)
	}
	q.place(next, now)
	q.leave(next)
	q.bound()
}

// end ends a request that took some time, and gives its place to the next one.
func (q *queue) end(in *inbound, took time.Duration, now time.Time) {
	in.placed = false
	free := q.unplace(in)
	if !free { // relieve has counted a part of it
		q.late--
		took -= q.slow
	}
	if len(q.waiting) == 0 {
		q.levels = [3]level{}
		return
	}
	q.charge(in, took)
	if free {
		q.next(now)
	}
}

// charge counts the time that a request took.
func (q *queue) charge(in *inbound, took time.Duration) {
	took = max(took, minCost)
	if in.known {
		took /= contactTurns
	}
	for i, u := range q.find(in) {
		u.used = q.levels[i].of(u) + took
	}
}

// bound forgets what was used, if that was by too many.
func (q *queue) bound() {
	if len(q.levels[2].users) < maxUsers { // there are fewer networks than peers
		return
	}
	q.levels = [3]level{}
	for _, in := range q.waiting {
		in.users = q.find(in)
	}
}

// compare compares two requests that wait: less comes first.
func (q *queue) compare(a, b *inbound) int {
	for i := range q.levels {
		if a.users[i] == b.users[i] {
			continue
		}
		if c := cmp.Compare(q.levels[i].of(a.users[i]), q.levels[i].of(b.users[i])); c != 0 {
			return c
		}
	}
	return 0
}

// wait waits until a request of a stream, which arrived just now, may be answered, and not for
// longer than an answer may take for each queue that it waits in. It returns when that was. Call
// served after it, unless it fails.
func (s *Server) wait(in *inbound, limits *deadlines, now time.Time) (began time.Time, err error) {
	s.mu.Lock()
	p := s.paceOf(in, now)
	s.mu.Unlock()
	if p != nil {
		if now, err = s.keep(p, in, limits, now); err != nil {
			return now, err
		}
	}
	return s.turn(in, &s.queue, limits, now)
}

// turn waits until a request of a stream has a place of a queue. It returns when that was.
func (s *Server) turn(in *inbound, q *queue, limits *deadlines, now time.Time) (began time.Time, err error) {
	s.mu.Lock()
	if !s.has(in) {
		s.mu.Unlock()
		return now, kaderr.ErrBusy
	}
	q.begin(in, now)
	turn := in.turn
	if turn != nil {
		in.known = s.cfg.Table.Has(in.peer)
	}
	s.mu.Unlock()
	if turn == nil {
		return now, nil
	}
	s.await(limits.working(now), q, turn)
	var placed bool
	tasks.Locked(&s.mu, func(now time.Time) {
		if began, placed = now, in.placed; !placed {
			s.limits.Turns++
		}
		q.leave(in)
	})
	if !placed {
		return now, kaderr.ErrBusy
	}
	return began, nil
}

// await waits for a turn of a queue, or the end of ctx. Meanwhile it relieves slow requests of their
// places.
func (s *Server) await(ctx context.Context, q *queue, turn <-chan struct{}) {
	for q.slow > 0 && tasks.Pause(ctx, q.slow, turn) {
		tasks.Locked(&s.mu, q.relieve)
	}
	select {
	case <-turn:
	case <-ctx.Done():
	}
}

// served ends what wait began. The answer was ready at a time.
func (s *Server) served(in *inbound, began, ready time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := ready.Sub(began)
	s.queue.end(in, took, ready)
	in.took = min(max(took, minCost), maxPacedCost)
	if in.presses { // these requests have a share of their own
		return
	}
	cost := in.took
	if !in.many { // a message has one transport
		cost += transportCost
	}
	s.used.add(in.network, cost, ready)
}
