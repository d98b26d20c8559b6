package host

import (
	"context"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/routing"
)

// telling is how far our presence is told. It belongs to the goroutine maintain.
type telling struct {
	addrs []multiaddr.Multiaddr // of the last announcement, whatever became of it
	next  time.Time             // when it is due again, with the same addresses
	retry time.Duration         // how long to wait after the next failure
	last  time.Time             // when addresses that had changed were announced
	pause time.Duration         // how long to wait after that for the next change
	look  time.Time             // when to look who was not told; zero: when somebody comes
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
	t.look = time.Time{}
}

// meet notes who came into the table: one of them may be among those closest to us, who
// are to hold our presence. So is, in a small network, whoever was late when they were
// looked up.
func (t *telling) meet(now time.Time, entered []routing.Contact) {
	if len(entered) > 0 && t.look.IsZero() {
		t.look = now.Add(newcomerPause)
	}
}

// tellPresence announces where we are: at once if that has changed, but for a pause,
// before it is forgotten, and those who came meanwhile. What was under way with
// addresses that are not ours any more ends.
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
	} else if t.retry == 0 && !t.look.IsZero() && t.look.Before(due) {
		if !now.Before(t.look) && k.room(presenceJob) > 0 {
			k.tellNewcomers(addrs)
			return due
		}
		due = t.look
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

// tellNewcomers tells those where we are who are among the closest to us, and were not
// told before.
func (k *keeper) tellNewcomers(addrs []multiaddr.Multiaddr) {
	k.telling.look = time.Time{}
	to := k.dht.presence.untold(k.dht.peers.neighbours(k.dht.cfg.K))
	if len(to) == 0 {
		return
	}
	k.start(presenceJob,
		func(ctx context.Context) error {
			return k.dht.sendPresence(ctx, addrs, func(ctx context.Context, v *delivery) error {
				v.add(ctx, to...)
				return nil
			})
		},
		func(err error) {
			if err != nil {
				log.Debugw("presence, to newcomers", "error", err)
			}
		})
}
