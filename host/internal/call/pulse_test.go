package call

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
)

// beat runs the job of a Caller, each time as late as said, until the test ends.
func (c *caller) beat(t *testing.T, late time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		due := c.Job().Due
		for now := time.Now(); ctx.Err() == nil; now = time.Now() {
			next := due(now, new(tasks.Start))
			if next.IsZero() {
				next = now.Add(pulseAfter)
			}
			select {
			case <-time.After(next.Sub(now) + late):
			case <-ctx.Done():
			}
		}
	}()
}

// On a machine whose timers fire late, a request has more time, up to a bound; else it has
// its limit, and no more. Without requests there is no lateness.
func TestLateMachineIsPatient(t *testing.T) {
	for _, tt := range []struct {
		name       string
		late, took time.Duration
		want       table.Outcome
	}{
		{"in time", 0, 9 * time.Second, table.Answered},
		{"a late peer", 0, 11 * time.Second, table.Silent},
		{"a late machine", time.Second, 30 * time.Second, table.Answered},
		{"a late machine, and a silent peer", time.Second, 45 * time.Second, table.Silent},
		{"a machine that is late for long", 2 * time.Second, 59 * time.Second, table.Answered},
		{"a machine that is late for longer than that", 2 * time.Second, 61 * time.Second, table.Silent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCaller(t, Config{})
				c.beat(t, tt.late)
				c.net.Add(calltest.ID(asked), calltest.Names())
				if _, err := c.ask(t.Context(), asked); err != nil { // it is connected now
					t.Fatal(err)
				}
				c.net.Add(calltest.ID(asked), calltest.After(tt.took-calltest.RoundTrip, calltest.Names()))
				_, err := c.ask(t.Context(), asked)
				if got := OutcomeOf(err); got != tt.want {
					t.Errorf("%v, want %v: %v", got, tt.want, err)
				}
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the error is %v", err)
				}
				if got := c.Lateness(); got < tt.late || got > tt.late+pulseAfter {
					t.Errorf("late by %v", got)
				}
				time.Sleep(time.Minute)
				if got := c.Lateness(); got > 0 {
					t.Errorf("late by %v without requests", got)
				}
			})
		})
	}
}
