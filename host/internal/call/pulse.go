package call

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// pulseAfter is how often the lateness is measured while requests are under way.
	pulseAfter = 500 * time.Millisecond

	// pulseHops is for how many times the lateness a request has more time. So many
	// goroutines, here and at a peer on the same machine, work on a request and its answer
	// one after the other, and each waits for a processor as long as a timer does.
	pulseHops = 32

	// pulseMost is how many times its limit a request may have in addition.
	pulseMost = 5
)

// A pulse measures how late the timers of this node fire while requests are under way. On a
// machine with too little processor time, all answers come late, and no peer is at fault.
type pulse struct {
	wake     func()
	underWay atomic.Int64 // requests
	beats    atomic.Bool  // the job measures, or is about to
	late     atomic.Int64 // a time.Duration
}

// begin records that a request begins. Call end when it has ended.
func (p *pulse) begin() {
	p.underWay.Add(1)
	if p.wake != nil && p.beats.CompareAndSwap(false, true) {
		p.wake()
	}
}

func (p *pulse) end() { p.underWay.Add(-1) }

// lateness returns how late timers fired lately: the last ones count most.
func (p *pulse) lateness() time.Duration { return time.Duration(p.late.Load()) }

// job returns the job that measures.
func (p *pulse) job() tasks.Job {
	var next time.Time // when it is to be asked; zero if it does not measure
	return tasks.Job{Name: "pulse", Due: func(now time.Time, _ *tasks.Start) time.Time {
		switch {
		case p.underWay.Load() == 0:
			p.beats.Store(false)
			p.late.Store(0)
			next = time.Time{}
			return next
		case next.IsZero():
		case now.Before(next):
			return next
		default:
			p.late.Store(int64(max(now.Sub(next), p.lateness()/2)))
		}
		next = now.Add(pulseAfter)
		return next
	}}
}

// limit returns a context that ends after a time, and later while the machine is late: see
// pulseHops. Its cause is then [context.DeadlineExceeded]. The function that it returns
// releases it.
func (p *pulse) limit(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	limited, end := context.WithCancelCause(ctx)
	stop := p.await(limited, end, after, 0, pulseMost*after)
	return limited, func() { stop(); end(nil) }
}

// await ends a limit after a time, or grants it more, of which it has granted some already. The
// function that it returns has it do neither, if the time is not over.
func (p *pulse) await(limited context.Context, end context.CancelCauseFunc, after, granted, most time.Duration) (stop func() bool) {
	timer, release := context.WithTimeout(limited, after)
	return context.AfterFunc(timer, func() {
		release()
		if limited.Err() != nil {
			return
		}
		if more := min(pulseHops*p.lateness(), most) - granted; more > 0 {
			p.await(limited, end, more, granted+more, most)
			return
		}
		end(context.DeadlineExceeded)
	})
}

// Job returns the job of the room, which measures the lateness.
func (c *Caller) Job() tasks.Job { return c.pulse.job() }

// Lateness returns how late the timers of this node fire while requests are under way; 0 if
// none is.
func (c *Caller) Lateness() time.Duration { return c.pulse.lateness() }
