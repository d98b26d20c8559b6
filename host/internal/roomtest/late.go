package roomtest

import (
	"context"
	"testing"
	"time"

	"github.com/go-kad/kad/host/internal/tasks"
)

// RunLate asks a job whenever it is due, so much too late, and when there is something in woken,
// until the test ends: as the background loop of a node does on a machine with too little
// processor time.
func RunLate(t testing.TB, job tasks.Job, woken <-chan struct{}, late time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			now := time.Now()
			next := job.Due(now, new(tasks.Start))
			var timer <-chan time.Time
			if !next.IsZero() {
				timer = time.After(next.Sub(now) + late)
			}
			select {
			case <-timer:
			case <-woken:
			case <-ctx.Done():
			}
		}
	}()
}

// NewPulse returns a pulse of a machine whose timers fire so late, until the test ends.
func NewPulse(t testing.TB, late time.Duration) *tasks.Pulse {
	t.Helper()
	woken := make(chan struct{}, 1)
	p := tasks.NewPulse(func() { tasks.Poke(woken) })
	RunLate(t, p.Job(), woken, late)
	return p
}
