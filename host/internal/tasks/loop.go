package tasks

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// A Job is one concern of the background loop.
type Job struct {
	Name  string
	Limit int // how many runs of it may be under way at a time; 0 means 1

	// Due starts what is due at now, with start, and returns when it is to be called
	// again at the latest; the zero time means not before a wake. It runs in the
	// goroutine of the loop, so it must not block.
	Due func(now time.Time, start *Start) (next time.Time)
}

// A Start starts runs of one job.
type Start struct {
	loop    *Loop
	name    string
	limit   int
	running int
	next    atomic.Int64 // when the job is due at the latest, as UnixNano; 0: not before a wake
}

// Room returns how many more runs can be started.
func (s *Start) Room() int { return s.limit - s.running }

// Run runs f in the background, and logs its error. Then it calls end, unless it is nil, in
// the goroutine of the loop, which asks all jobs again: a run that found no room is started
// there.
func (s *Start) Run(f func(ctx context.Context) error, end func(now time.Time, err error)) {
	s.running++
	s.loop.group.Go(func(ctx context.Context) {
		err := f(ctx)
		if err != nil {
			log.Debugw("job", "name", s.name, "error", err)
		}
		select {
		case s.loop.done <- func(now time.Time) {
			s.running--
			if end != nil {
				end(now, err)
			}
		}:
		case <-ctx.Done():
		}
	})
}

// A Loop is the background goroutine of a node. It owns the timers: it sleeps until
// the next job is due, asks all jobs, and sleeps again. Jobs do not share their limits:
// checks of dead contacts, each of which takes a timeout, delay no introduction.
type Loop struct {
	group *Group
	wake  chan struct{}            // buffered, length 1
	done  chan func(now time.Time) // ends of runs
	jobs  []Job
	start []*Start
}

// NewLoop returns a loop without jobs, whose runs are goroutines of group.
func NewLoop(group *Group) *Loop {
	return &Loop{group: group, wake: make(chan struct{}, 1), done: make(chan func(time.Time))}
}

// Add adds jobs, which are asked in this order. Call it before Run.
func (l *Loop) Add(jobs ...Job) {
	for _, j := range jobs {
		l.jobs = append(l.jobs, j)
		l.start = append(l.start, &Start{loop: l, name: j.Name, limit: max(1, j.Limit)})
	}
}

// Wake has the loop ask all jobs soon. It does not block.
func (l *Loop) Wake() { Poke(l.wake) }

// Run runs the loop until ctx ends. It hands each event to handle, and asks the jobs
// after it.
func (l *Loop) Run(ctx context.Context, events <-chan any, handle func(now time.Time, e any)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var first func(now time.Time)
		select {
		case e := <-events:
			first = func(now time.Time) { handle(now, e) }
		case first = <-l.done:
		case <-timer.C:
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		if first != nil {
			first(now)
		}
		if next := l.ask(now); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(next.Sub(now))
		}
	}
}

// ask asks all jobs, and returns the earliest time at which one is due.
func (l *Loop) ask(now time.Time) (next time.Time) {
	for i, j := range l.jobs {
		t := j.Due(now, l.start[i])
		if t.IsZero() {
			l.start[i].next.Store(0)
			continue
		}
		l.start[i].next.Store(t.UnixNano())
		next = Earliest(next, t)
	}
	return next
}

// Earliest returns the earlier of two times. The zero time is none.
func Earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// A Due is when a job is due.
type Due struct {
	Job string // its name
	At  time.Time
}

// Due returns when the jobs are due, the first one first. Jobs that wait for something to
// happen, or are under way, are left out. It is safe for concurrent use.
func (l *Loop) Due() []Due {
	var list []Due
	for _, s := range l.start {
		if at := s.next.Load(); at != 0 {
			list = append(list, Due{s.name, time.Unix(0, at)})
		}
	}
	slices.SortStableFunc(list, func(a, b Due) int { return a.At.Compare(b.At) })
	return list
}

// NewRNG returns a generator of random numbers with a random seed, for package routing,
// which has no randomness of its own.
func NewRNG() *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }

// Jittered returns d give or take a tenth, so that nodes that lost the same peer do
// not come back at the same moment.
func Jittered(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }

// Early returns d less up to a tenth, so that records that were published together do
// not stay together, and none is late.
func Early(d time.Duration) time.Duration { return d - rand.N(d/10+1) }
