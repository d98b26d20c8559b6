package rendezvous

import (
	"context"
	"math/rand/v2"
	"time"
)

// searchAfter is the pause before the next search: while the node is alone from
// half a second to 5s, later from 5s to 30s.
func searchAfter(round int, alone bool) time.Duration {
	if alone {
		return grow(500*time.Millisecond, 5*time.Second, max(0, round-20)) // nodes of a group often start within ten seconds
	}
	return grow(5*time.Second, 30*time.Second, round)
}

// retryAfter is the pause after an announcement that failed for the n-th time in a
// row.
func retryAfter(n int) time.Duration { return grow(250*time.Millisecond, 10*time.Second, n) }

// announceAfter is the pause after the n-th announcement that succeeded. The first
// ones are short: in a young network, holders that are closer still come.
func announceAfter(n int) time.Duration { return grow(10*time.Second, 5*time.Minute, n) }

// deadAfter is the pause after the n-th dial of a peer that failed in a row.
func deadAfter(n int) time.Duration { return grow(time.Second, 10*time.Minute, n) }

// grow doubles from first, n times, up to limit.
func grow(first, limit time.Duration, n int) time.Duration {
	for range n {
		if first >= limit/2 {
			return limit
		}
		first *= 2
	}
	return first
}

// sleep waits for d, more or less, so that nodes that started together do not stay
// in step. It ends early when interrupt can be read, and is false if ctx has ended.
func sleep(ctx context.Context, d time.Duration, interrupt <-chan struct{}) bool {
	waiting, stop := context.WithTimeout(ctx, time.Duration(float64(d)*(0.8+0.4*rand.Float64())))
	defer stop()
	select {
	case <-waiting.Done():
	case <-interrupt:
	}
	return ctx.Err() == nil
}
