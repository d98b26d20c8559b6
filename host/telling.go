package host

import (
	"context"
	"time"

	"github.com/multiformats/go-multiaddr"
)

// telling is how far our presence is told. It belongs to the goroutine maintain.
type telling struct {
	addrs []multiaddr.Multiaddr // of the last announcement, whatever became of it
	next  time.Time             // when it is due again, with the same addresses
	retry time.Duration         // how long to wait after the next failure
	last  time.Time             // when addresses that had changed were announced
	pause time.Duration         // how long to wait after that for the next change
}

// begin notes that an announcement begins now.
func (t *telling) begin(now time.Time, addrs []multiaddr.Multiaddr) {
	if !sameAddrs(addrs, t.addrs) {
		if now.Sub(t.last) >= max(2*t.pause, presenceCalm) {
			t.pause = 0
		}
		t.pause = min(max(2*t.pause, presencePause), maxPresencePause)
		t.last = now
	}
	t.addrs = addrs
}

// tellPresence announces where we are: at once if that has changed, but for a pause,
// and before it is forgotten. What was under way with addresses that are not ours any
// more ends.
func (k *keeper) tellPresence(now time.Time) time.Time {
	t := &k.telling
	addrs := k.dht.presenceAddrs()
	changed := !sameAddrs(addrs, t.addrs)
	if !changed && len(addrs) == 0 || !k.join.done {
		return time.Time{}
	}
	due := t.next
	if changed {
		due = t.last.Add(t.pause)
	}
	if now.Before(due) {
		return due
	}
	if k.room(presenceJob) == 0 {
		if changed {
			k.dht.presence.interrupt()
		}
		return time.Time{} // its end calls us again
	}
	t.begin(now, addrs)
	if len(addrs) == 0 {
		k.start(presenceJob,
			func(ctx context.Context) error { return k.dht.withdrawPresence(ctx, false) },
			func(err error) {
				if err != nil {
					log.Debugw("presence not withdrawn", "error", err)
				}
			})
		return time.Time{}
	}
	k.start(presenceJob,
		func(ctx context.Context) error { return k.dht.announcePresence(ctx, addrs) },
		func(err error) {
			wait := early(presenceInterval)
			if err == nil {
				t.retry = 0
			} else {
				log.Debugw("presence", "error", err)
				t.retry = min(max(2*t.retry, presencePause), maxPresenceRetry)
				wait = jittered(t.retry)
			}
			t.next = time.Now().Add(wait)
		})
	return time.Time{}
}
