package tasks

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

const (
	// pulseAfter is how often the lateness is measured while something is under way.
	pulseAfter = 500 * time.Millisecond

	// pulseMemory is in what time a lateness comes to count half as much. What was sent while
	// timers were late is under way for seconds after: a transport gives up a dial after 5 s.
	pulseMemory = 3 * time.Second

	// mostLate is the most that a lateness counts: nothing has more time for more, and a process
	// that was stopped for an hour is not starved for long after that.
	mostLate = 2 * time.Second

	// pulseHops is for how many times the lateness whatever is under way has more time. So many
	// goroutines, here and at a peer on the same machine, work on a request and its answer
	// one after the other, and each waits for a processor as long as a timer does.
	pulseHops = 32

	// StarvedAfter is from which lateness on the machine is starved: connections that are well end
	// then, and dials fail, by the time limits of their transports, which do not know of it.
	StarvedAfter = 250 * time.Millisecond

	// pulseMost is how many times its limit something may have in addition.
	pulseMost = 5
)

// A Pulse measures how late the timers of this node fire while something is under way. On a
// machine with too little processor time, all answers come late, and no peer is at fault: so
// what waits for one has more time then. A nil Pulse is never late. A Pulse is safe for
// concurrent use.
type Pulse struct {
	wake     func()
	underWay atomic.Int64 // calls of Begin without End
	beats    atomic.Bool  // the job measures, or is about to
	late     atomic.Pointer[lateness]
}

// A lateness is how late timers were at a time; nil if they were in time.
type lateness struct {
	by time.Duration
	at time.Time
}

// NewPulse returns a Pulse. wake wakes the background loop, which runs [Pulse.Job]; it does not
// block.
func NewPulse(wake func()) *Pulse { return &Pulse{wake: wake} }

// Begin records that something begins. Call End when it has ended.
func (p *Pulse) Begin() {
	if p == nil {
		return
	}
	p.underWay.Add(1)
	if p.beats.CompareAndSwap(false, true) {
		p.wake()
	}
}

// End ends what has begun.
func (p *Pulse) End() {
	if p != nil {
		p.underWay.Add(-1)
	}
}

// Lateness returns how late timers fired lately, 2 s at most: the last ones count most. It is 0
// if nothing is under way.
func (p *Pulse) Lateness() time.Duration {
	if p == nil {
		return 0
	}
	late := p.late.Load()
	if late == nil {
		return 0
	}
	return late.by
}

// Starved reports whether timers are so late that the machine has far too little processor time.
func (p *Pulse) Starved() bool { return p.Lateness() >= StarvedAfter }

// Fired records that a timer has fired, and when it was due.
func (p *Pulse) Fired(due, now time.Time) {
	if p == nil {
		return
	}
	late := min(now.Sub(due), mostLate)
	if before := p.late.Load(); before != nil {
		faded := float64(before.by) * math.Exp2(-now.Sub(before.at).Seconds()/pulseMemory.Seconds())
		late = max(late, time.Duration(faded))
	}
	p.late.Store(&lateness{late, now})
}

// More returns how much more time than on other machines something has: 32 times the lateness,
// or the most that it may have.
func (p *Pulse) More(most time.Duration) time.Duration { return min(pulseHops*p.Lateness(), most) }

// Stretched returns a time, and up to five times as much more while timers are late: see More.
func (p *Pulse) Stretched(after time.Duration) time.Duration { return after + p.More(pulseMost*after) }

// Job returns the job that measures.
func (p *Pulse) Job() Job {
	var next time.Time // when it is to be asked; zero if it does not measure
	return Job{Name: "pulse", Due: func(now time.Time, _ *Start) time.Time {
		switch {
		case p.underWay.Load() == 0:
			p.beats.Store(false)
			p.late.Store(nil)
			next = time.Time{}
			return next
		case next.IsZero():
		case now.Before(next):
			return next
		default:
			p.Fired(next, now)
		}
		next = now.Add(pulseAfter)
		return next
	}}
}

// Limit returns a context that ends after a time, or as much later as [Pulse.Stretched] says by
// then. Its cause is [context.DeadlineExceeded] then. The function that it returns releases it.
func (p *Pulse) Limit(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	limited, end := context.WithCancelCause(ctx)
	stop := p.await(limited, end, after, 0, pulseMost*after)
	return limited, func() { stop(); end(nil) }
}

// await ends a limit after a time, or grants it more, of which it has granted some already. The
// function that it returns has it do neither, if the time is not over.
func (p *Pulse) await(limited context.Context, end context.CancelCauseFunc, after, granted, most time.Duration) (stop func() bool) {
	timer, release := context.WithTimeout(limited, after)
	return context.AfterFunc(timer, func() {
		release()
		if limited.Err() != nil {
			return
		}
		if more := p.More(most) - granted; more > 0 {
			p.await(limited, end, more, granted+more, most)
			return
		}
		end(context.DeadlineExceeded)
	})
}
