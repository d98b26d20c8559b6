package host

import (
	"context"
	"math/rand/v2"
	"time"
)

// groupSearchAfter is the pause before the next search: while the node is alone from
// half a second to 5s, later from 5s to 30s.
func groupSearchAfter(round int, alone bool) time.Duration {
	if alone {
		return groupGrow(500*time.Millisecond, 5*time.Second, max(0, round-20)) // nodes of a group often start within ten seconds
	}
	return groupGrow(5*time.Second, 30*time.Second, round)
}

// groupRetryAfter is the pause after an announcement that failed for the n-th time in a
// row.
func groupRetryAfter(n int) time.Duration { return groupGrow(250*time.Millisecond, 10*time.Second, n) }

// groupAnnounceAfter is the pause after the n-th announcement that succeeded. The first
// ones are short: in a young network, holders that are closer still come.
func groupAnnounceAfter(n int) time.Duration { return groupGrow(10*time.Second, 5*time.Minute, n) }

// groupDeadAfter is the pause after the n-th dial of a peer that failed in a row.
func groupDeadAfter(n int) time.Duration { return groupGrow(time.Second, 10*time.Minute, n) }

// groupGrow doubles from first, n times, up to limit.
func groupGrow(first, limit time.Duration, n int) time.Duration {
	for range n {
		if first >= limit/2 {
			return limit
		}
		first *= 2
	}
	return first
}

// groupPause waits for d, more or less, so that nodes that started together do not stay
// in step. It ends early when interrupt can be read, and is false if ctx has ended.
func groupPause(ctx context.Context, d time.Duration, interrupt <-chan struct{}) bool {
	timer := time.NewTimer(time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-interrupt:
		return true
	case <-ctx.Done():
		return false
	}
}
