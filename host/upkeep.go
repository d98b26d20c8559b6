package host

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/go-kad/kad/routing"
)

const (
	// settleAfter is how long after joining the node looks itself up again.
	settleAfter = 10 * time.Second

	// maxSettleAfter bounds the wait between such lookups, which doubles, while the
	// table is small.
	maxSettleAfter = 10 * time.Minute

	// minReuniteAfter and maxReuniteAfter bound the wait between attempts to
	// reach a bootstrap peer that is not in the table, while the table is small;
	// else it is the RefreshInterval.
	minReuniteAfter = time.Second
	maxReuniteAfter = 30 * time.Second

	// keepAfter is how often the contacts are written to Config.Dir.
	keepAfter = 10 * time.Minute

	// expireBatch is how many expired entries of the store are removed at a
	// time, so that nothing waits for long.
	expireBatch = 256
)

// joining is how far the node is in joining the network.
type joining struct {
	done  bool          // successful, and the table was never empty since
	found bool          // the last attempt failed although somebody had answered
	after time.Duration // how long to wait after the next failure
	next  time.Time     // not before
	again time.Time     // when to look ourselves up once more; zero if that is done
	pause time.Duration // how long to wait for that after the next time
}

// reuniting is when to dial a bootstrap peer that is not in the table.
type reuniting struct {
	after time.Duration // how long to wait after the next attempt
	next  time.Time     // not before
}

// joinIfDue joins the network, at the start and whenever the table is empty or
// we are offline.
func (k *keeper) joinIfDue(now time.Time) time.Time {
	j := &k.join
	empty := !k.dht.peers.isLive()
	if empty && j.done {
		*j = joining{next: j.next}
	}
	if j.done || k.room(joinJob) == 0 {
		return time.Time{}
	}
	if now.Before(j.next) && (empty || j.found) {
		return j.next
	}
	k.start(joinJob, k.dht.join, func(err error) {
		if err == nil && k.dht.peers.isLive() {
			now := time.Now()
			*j = joining{done: true, next: now.Add(routing.JoinAfter(0)), again: now.Add(jittered(settleAfter))}
			return
		}
		j.found = k.dht.peers.isLive()
		j.after = routing.JoinAfter(j.after)
		j.next = time.Now().Add(jittered(j.after))
		log.Debugw("join", "error", err, "again", j.next)
	})
	return time.Time{}
}

// jittered returns d give or take a tenth, so that nodes that lost the same
// peer do not come back at the same time.
func jittered(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// introduceMet probes peers that say that they serve.
func (k *keeper) introduceMet() {
	for k.room(introduceJob) > 0 {
		id, ok := k.queue.take()
		if !ok {
			return
		}
		if _, running := k.introducing[id]; running {
			k.introducing[id] = true // it asks while it is being asked
			continue
		}
		if !k.dht.met(id) {
			continue // there is no need, or no longer
		}
		k.introducing[id] = false
		k.start(introduceJob,
			func(ctx context.Context) error { return k.dht.greet(ctx, id) },
			func(err error) {
				again := k.introducing[id]
				delete(k.introducing, id)
				if err != nil {
					log.Debugw("not introduced", "peer", id, "error", err)
				}
				if again {
					k.meet(id) // there may be news of it
				}
			})
	}
}

// checkDue probes contacts that the table has doubts about.
func (k *keeper) checkDue(now time.Time) time.Time {
	probe, next := k.dht.peers.due(now, k.room(checkJob))
	for _, c := range probe {
		k.start(checkJob,
			func(ctx context.Context) error { return k.dht.check(ctx, c) },
			func(error) {})
	}
	return next
}

// reuniteIfDue dials bootstrap peers and others that are not in the table any more:
// soon after they went, then less and less often, and now and then while enough
// others are known.
func (k *keeper) reuniteIfDue(now time.Time) time.Time {
	r := &k.reunite
	if !k.join.done || len(k.dht.absent()) == 0 && !k.dht.peers.hasFormer() {
		*r = reuniting{}
		return time.Time{}
	}
	if k.room(reuniteJob) == 0 {
		return time.Time{}
	}
	if r.next.IsZero() {
		r.after = minReuniteAfter
		r.next = now.Add(jittered(r.after))
	}
	if now.Before(r.next) {
		return r.next
	}
	k.start(reuniteJob, k.dht.reunite, func(err error) {
		if err != nil {
			log.Debugw("reunite", "error", err)
		}
		r.after = min(2*r.after, maxReuniteAfter)
		wait := r.after
		if !k.dht.small() {
			wait = max(k.dht.cfg.RefreshInterval, maxReuniteAfter)
		}
		r.next = time.Now().Add(jittered(wait))
	})
	return time.Time{}
}

// refreshStale looks up a key of a bucket that nobody has looked into for
// RefreshInterval; some at a time. Some time after joining, it looks ourselves up
// once more: others may have joined at the same moment. While the table is small,
// it goes on with that, more and more seldom: those we joined through may have
// known nobody themselves.
func (k *keeper) refreshStale(now time.Time) time.Time {
	age := k.dht.cfg.RefreshInterval
	if age < 0 || !k.join.done || k.room(refreshJob) == 0 {
		return time.Time{}
	}
	if k.join.again.IsZero() && k.dht.small() {
		k.join.pause = min(max(2*k.join.pause, settleAfter), maxSettleAfter)
		k.join.again = now.Add(jittered(k.join.pause))
	}
	if again := k.join.again; !again.IsZero() && !now.Before(again) {
		k.join.again = time.Time{}
		k.start(refreshJob,
			func(ctx context.Context) error { return k.dht.lookupFor(ctx, []byte(k.dht.self)) },
			func(error) {})
		return time.Time{}
	}
	for k.room(refreshJob) > 0 {
		cpl, ok := k.dht.peers.stale(now, age)
		if !ok {
			break
		}
		k.dht.peers.refreshed(now, cpl) // also if it fails: it is not to be started twice
		k.start(refreshJob,
			func(ctx context.Context) error { return k.dht.refresh(ctx, cpl) },
			func(error) {})
	}
	next := now.Add(age / 10)
	if again := k.join.again; !again.IsZero() && again.Before(next) {
		next = again
	}
	return next
}

// republishDue publishes what is due once more, and with it what is due soon.
func (k *keeper) republishDue(now time.Time) time.Time {
	if !k.join.done || k.room(republishJob) == 0 {
		return time.Time{}
	}
	tickets, next := k.dht.agenda.due(now, republishBatch)
	if len(tickets) == 0 {
		return next
	}
	soon, _ := k.dht.agenda.due(now.Add(k.dht.cfg.RepublishInterval/republishSlack), republishBatch-len(tickets))
	tickets = append(tickets, soon...)
	k.start(republishJob,
		func(ctx context.Context) error { return k.dht.republishAll(ctx, tickets) },
		func(error) {})
	return time.Time{}
}

// expireStored removes what has expired from the store, a batch at a time.
func (k *keeper) expireStored(now time.Time) time.Time {
	if k.room(expireJob) == 0 {
		return time.Time{}
	}
	if values, providers := k.dht.store.Len(); values+providers == 0 {
		k.expire = now.Add(time.Minute)
	}
	if now.Before(k.expire) {
		return k.expire
	}
	var removed int
	var next time.Time
	k.start(expireJob,
		func(ctx context.Context) (err error) {
			removed, next, err = k.dht.store.Expire(ctx, now, expireBatch)
			return err
		},
		func(err error) {
			if err != nil {
				log.Debugw("expire", "error", err)
			}
			// What is put meanwhile may be due earlier; it is not served in any case.
			soon := time.Now().Add(time.Minute)
			switch {
			case err == nil && removed == expireBatch:
				k.expire = time.Now()
			case next.After(soon):
				k.expire = next
			default:
				k.expire = soon
			}
		})
	return time.Time{}
}

// keepContacts writes the contacts to Config.Dir, so that a node that is killed
// has them too.
func (k *keeper) keepContacts(now time.Time) time.Time {
	if k.dht.cfg.Dir == "" || !k.join.done || k.room(keepJob) == 0 {
		return time.Time{}
	}
	if k.keep.IsZero() {
		k.keep = now.Add(settleAfter)
	}
	if now.Before(k.keep) {
		return k.keep
	}
	k.start(keepJob,
		func(context.Context) error { return k.dht.keepContacts() },
		func(err error) {
			if err != nil {
				log.Warnw("the contacts are not kept", "error", err) // somebody must see to the disk
			}
			k.keep = time.Now().Add(keepAfter)
		})
	return time.Time{}
}

// small reports whether the table has less than k contacts that answer: it may be
// all there are, and we may have missed the others.
func (d *DHT) small() bool {
	table := d.peers.stats()
	return table.Contacts-table.Suspects < d.cfg.K
}
