package serve

import (
	"cmp"
	"runtime"
	"slices"
	"time"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/tasks"
)

// A queue has the requests of all streams answered a few at a time, in a fair order: while
// requests wait, each network of addresses has an equal share of the time that answers take,
// and in it each smaller network, and in that each peer. While none waits, nothing is counted.
//
// It is guarded by the lock of the Server.
type queue struct {
	places  int // how many requests are answered at a time
	running int
	waiting []*inbound // the one that waits for longest first
	levels  [3]level   // networks, smaller networks, peers
}

// A level counts the time that answers took, by network or peer.
type level struct {
	used map[string]time.Duration
	now  time.Duration // what the one has used that had its turn last: a newcomer begins there
}

// minCost is the time that an answer counts at least, since clocks are coarse.
const minCost = 10 * time.Microsecond

// newQueue returns an empty queue. It has two places more than twice the processors, since an
// answer can wait for a disk.
func newQueue() queue { return queue{places: 2*runtime.GOMAXPROCS(0) + 2} }

// of returns what a network or peer has used.
func (l *level) of(key string) time.Duration { return max(l.now, l.used[key]) }

// keys returns the names of a stream at each level.
func (q *queue) keys(in *inbound) [3]string {
	in.locate()
	return [3]string{in.network, in.subnet, string(in.peer)}
}

// begin takes a place for a request, if one is free, or puts it into the queue.
func (q *queue) begin(in *inbound) {
	if q.running < q.places {
		q.running++
		in.placed = true
		return
	}
	in.turn = make(chan struct{})
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

// end gives the place of a request that took some time to the next one.
func (q *queue) end(in *inbound, took time.Duration) {
	if len(q.waiting) == 0 {
		q.running--
		q.levels = [3]level{}
		return
	}
	for i, key := range q.keys(in) {
		l := &q.levels[i]
		if l.used == nil {
			l.used = make(map[string]time.Duration)
		}
		if len(l.used) >= maxUsers {
			clear(l.used)
		}
		l.used[key] = l.of(key) + max(took, minCost)
	}
	next := slices.MinFunc(q.waiting, q.compare)
	for i, key := range q.keys(next) {
		q.levels[i].now = q.levels[i].of(key)
	}
	next.placed = true
	q.leave(next)
}

// maxUsers bounds the networks and peers that are counted, while requests wait.
const maxUsers = 4096

// compare compares two requests that wait: less comes first.
func (q *queue) compare(a, b *inbound) int {
	as, bs := q.keys(a), q.keys(b)
	for i := range q.levels {
		if as[i] == bs[i] {
			continue
		}
		if c := cmp.Compare(q.levels[i].of(as[i]), q.levels[i].of(bs[i])); c != 0 {
			return c
		}
	}
	return 0
}

// wait waits until a request of a stream, which arrived just now, may be answered, and not for
// longer than an answer may take. It returns when that was. Call served after it, unless it
// fails.
func (s *Server) wait(in *inbound, limits *deadlines, now time.Time) (began time.Time, err error) {
	s.mu.Lock()
	if !s.has(in) {
		s.mu.Unlock()
		return now, kaderr.ErrBusy
	}
	s.queue.begin(in)
	placed, turn := in.placed, in.turn
	s.mu.Unlock()
	if placed {
		return now, nil
	}
	return s.await(in, turn, limits, now)
}

// await is the part of wait that waits.
func (s *Server) await(in *inbound, turn <-chan struct{}, limits *deadlines, now time.Time) (began time.Time, err error) {
	ctx := limits.working(now)
	select {
	case <-turn:
	case <-ctx.Done():
	}
	var placed bool
	tasks.Locked(&s.mu, func(now time.Time) {
		if began, placed = now, in.placed; !placed {
			s.limits.Turns++
		}
		s.queue.leave(in)
	})
	if !placed {
		return now, kaderr.ErrBusy
	}
	return began, nil
}

// served ends what wait began. The answer was ready at a time.
func (s *Server) served(in *inbound, began, ready time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.placed = false
	s.queue.end(in, ready.Sub(began))
	if in.presses {
		s.pressure.charge(ready, ready.Sub(began))
	}
}
