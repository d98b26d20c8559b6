package tasks

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A pulse is measured while something is under way, and not late after a pause. It fades.
func TestPulse(t *testing.T) {
	woken := 0
	p := NewPulse(func() { woken++ })
	job := p.Job()
	now := time.Now()
	ask := func(after time.Duration, measures bool, late time.Duration) {
		t.Helper()
		now = now.Add(after)
		next := job.Due(now, nil)
		if next.IsZero() == measures || p.Lateness().Round(time.Microsecond) != late.Round(time.Microsecond) {
			t.Errorf("asked again in %v, late by %v; want %v", next.Sub(now), p.Lateness(), late)
		}
	}
	ask(0, false, 0)
	p.Begin()
	p.Begin()
	if woken != 1 {
		t.Errorf("woken %d times, want once", woken)
	}
	ask(0, true, 0)
	ask(pulseAfter/2, true, 0) // another job is due
	ask(pulseAfter/2+StarvedAfter, true, StarvedAfter)
	if !p.Starved() {
		t.Error("not starved")
	}
	p.End()
	ask(pulseAfter, true, 222_724_671*time.Nanosecond) // a sixth of the time in which it halves
	if p.Starved() {
		t.Error("starved")
	}
	ask(pulseAfter+StarvedAfter/2, true, 192_776_352*time.Nanosecond) // it was later before
	p.End()
	ask(pulseAfter, false, 0)
	p.Begin()
	if woken != 2 {
		t.Errorf("woken %d times, want again after a pause", woken)
	}
	ask(time.Hour, true, 0)
	ask(pulseAfter, true, 0)
}

// A limit ends after its time, and later on a late machine, at most six times as late; what it
// has got already counts.
func TestPulseLimit(t *testing.T) {
	for _, tt := range []struct{ late, later, want time.Duration }{
		{0, 0, time.Second},
		{100 * time.Millisecond, 0, time.Second + 3200*time.Millisecond},
		{50 * time.Millisecond, 100 * time.Millisecond, time.Second + 3200*time.Millisecond},
		{50 * time.Millisecond, 50 * time.Millisecond, time.Second + 1600*time.Millisecond},
		{time.Second, 0, 6 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			var p *Pulse // in time
			if tt.late > 0 {
				p = NewPulse(func() {})
				p.Fired(time.Now().Add(-tt.late), time.Now())
			}
			start := time.Now()
			ctx, end := p.Limit(t.Context(), time.Second)
			defer end()
			if tt.later > 0 {
				time.Sleep(2 * time.Second)
				p.late.Store(&lateness{tt.later, time.Now()})
			}
			<-ctx.Done()
			if took := time.Since(start); took != tt.want || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				t.Errorf("late by %v and %v: ended after %v with %v, want %v", tt.late, tt.later, took, context.Cause(ctx), tt.want)
			}
		})
	}
	ctx, end := (*Pulse)(nil).Limit(t.Context(), time.Hour)
	if end(); !errors.Is(context.Cause(ctx), context.Canceled) {
		t.Errorf("ended with %v", context.Cause(ctx))
	}
	p := NewPulse(func() {})
	p.Fired(time.Now().Add(-time.Second), time.Now())
	if got := p.Stretched(time.Second); got != 6*time.Second {
		t.Errorf("stretched to %v", got)
	}
}

// Without a pulse, nothing is late.
func TestNoPulse(t *testing.T) {
	var p *Pulse
	p.Begin()
	p.Fired(time.Time{}, time.Now())
	p.End()
	if got := p.Stretched(time.Second); p.Starved() || got != time.Second {
		t.Errorf("starved: %v, stretched to %v", p.Starved(), got)
	}
}

// A process that was stopped, for however long, is starved for ten seconds after that.
func TestStoppedForAnHour(t *testing.T) {
	p := NewPulse(func() {})
	now := time.Now()
	p.Fired(now.Add(-time.Hour), now)
	if !p.Starved() {
		t.Error("not starved just after a stop")
	}
	for range int(10 * time.Second / pulseAfter) {
		now = now.Add(pulseAfter)
		p.Fired(now, now)
	}
	if p.Starved() {
		t.Errorf("late by %v ten seconds later", p.Lateness())
	}
}
