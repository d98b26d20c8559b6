package lookup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// limitFirst is how many lookups may be under way at first, and limitLeast on a machine
	// that has too little processor time.
	limitFirst = 16
	limitLeast = 4

	// limitStep is how often the limit changes while lookups wait. It is doubled if timers are
	// late by less than limitLate.
	limitStep = 20 * time.Millisecond
	limitLate = 50 * time.Millisecond
)

// errWaiting is why a lookup that has not begun has found nothing.
var errWaiting = errors.New("kad: the lookup has not begun: too many others of this node are under way")

// A limiter bounds how many lookups are under way. Further ones wait in the order in which
// they came. The limit rises fast while timers fire in time, so that it bounds bursts alone,
// and sinks while they are late. It rises also if no lookup has ended since the last step:
// the reader of one may have begun another, and wait for that.
type limiter struct {
	pulse *tasks.Pulse
	wake  func() // has the job be asked; nil: there is none, and no limit

	mu       sync.Mutex // held for one call, never over IO or a callback
	limit    int        // of underWay; 0: none is, and limitFirst
	underWay int
	ended    int // since the last step
	waiting  []chan struct{}
	next     time.Time     // when the next step is due; zero: none is
	late     time.Duration // of the last steps, half as much with each
}

// enter waits until one more lookup may be under way. The error is the cause of ctx if that
// ends first. If there is none, call leave.
func (l *limiter) enter(ctx context.Context) error {
	granted := make(chan struct{})
	l.mu.Lock()
	l.waiting = append(l.waiting, granted)
	l.admit()
	begin := len(l.waiting) == 1 && l.next.IsZero()
	l.mu.Unlock()
	if begin {
		l.wake()
	}
	select {
	case <-granted:
		return nil
	case <-ctx.Done():
	}
	if !l.giveUp(granted) { // it was granted just now, or at once
		l.leave()
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), errWaiting)
}

// giveUp reports whether a lookup has waited until now, and does not any more.
func (l *limiter) giveUp(granted chan struct{}) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.waiting, granted)
	if i < 0 {
		return false
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	return true
}

// leave ends a lookup. What was learnt of the machine is forgotten with the last one.
func (l *limiter) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended++
	if l.underWay--; l.underWay == 0 {
		l.limit, l.late = 0, 0
	}
	l.admit()
}

// admit lets in the lookups that wait, as far as there is room. The caller holds the lock.
func (l *limiter) admit() {
	if l.limit == 0 {
		l.limit = limitFirst
	}
	for len(l.waiting) > 0 && (l.underWay < l.limit || l.wake == nil) {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		l.underWay++
	}
}

// job returns the job that changes the limit.
func (l *limiter) job() tasks.Job { return tasks.Job{Name: "lookups", Due: l.due} }

// due takes a step if one is due, and returns when the next one is.
func (l *limiter) due(now time.Time, _ *tasks.Start) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.next.IsZero() && now.Before(l.next) {
		return l.next
	}
	if !l.next.IsZero() && len(l.waiting) > 0 {
		l.pulse.Fired(l.next, now)
		l.late = max(now.Sub(l.next), l.late/2)
		l.step()
		l.admit()
	}
	l.ended, l.next = 0, time.Time{}
	if len(l.waiting) > 0 {
		l.next = now.Add(limitStep)
	}
	return l.next
}

// step changes the limit. Lookups wait, so that as many as it allows are under way, or more if
// it has sunk.
func (l *limiter) step() {
	switch {
	case l.late < limitLate:
		l.limit *= 2
	case l.ended > 0 && l.late >= tasks.StarvedAfter:
		l.limit = max(limitLeast, l.limit/2)
	default:
		l.limit = l.underWay + 1
	}
}
