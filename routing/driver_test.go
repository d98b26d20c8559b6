package routing

import (
	"testing"
	"time"
)

func TestJoinAfter(t *testing.T) {
	wait := time.Duration(0)
	for i, want := range []int64{200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000} {
		if wait = JoinAfter(wait); wait.Milliseconds() != want {
			t.Errorf("attempt %d: wait %v, want %d ms", i, wait, want)
		}
	}
}

func TestLateAfter(t *testing.T) {
	if got := LateAfter(time.Second); got != 750*time.Millisecond {
		t.Errorf("late after %v, want 750ms", got)
	}
}
