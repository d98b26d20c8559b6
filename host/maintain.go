package host

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// A job is something that maintain does in the background.
type job int

const (
	joinJob        job = iota // join the network
	reuniteJob                // dial a bootstrap peer that is not in the table
	refreshJob                // look up a stale bucket
	republishJob              // publish what is ours once more
	presenceJob               // tell where we are
	replicateJob              // send what we hold to those closest to it
	handoverJob               // give a newcomer what it is to hold
	expireJob                 // remove what has expired from the store
	keepJob                   // write the contacts to Config.Dir
	introduceJob              // probe a peer that says that it serves
	checkJob                  // probe a contact
	relayJob                  // announce that we relay
	renewJob                  // open connections again
	checkRelaysJob            // ask our relays whether they are there
	jobs                      // how many kinds there are
)

// limit returns how many jobs of a kind run at a time. The kinds do not share,
// so that contacts that are gone, each of which takes a timeout to check, do
// not keep newcomers waiting.
func (j job) limit() int {
	switch j {
	case introduceJob:
		return routing.MaxIntroductions
	case checkJob:
		return routing.MaxChecks
	case handoverJob, refreshJob:
		return 4
	default:
		return 1
	}
}

// keeper keeps a node in good state: it is what the goroutine maintain runs.
// The fields below belong to that goroutine, but for queue.
type keeper struct {
	dht     *DHT
	wake    chan struct{} // buffered, length 1: something is due sooner
	done    chan func()   // ends of jobs, which maintain runs
	queue   metQueue
	running [jobs]int // jobs of each kind that run now
	// introducing are the peers that are being introduced, and whether they came
	// up again meanwhile.
	introducing map[peer.ID]bool
	join        joining
	reunite     reuniting
	back        time.Time // when we were offline for the last time
	expire      time.Time // when to look at the store again
	keep        time.Time // when to write the contacts again
	telling     telling
	replicate   replicator
	newcomers   newcomers
	relay       relayOffer
	renewing    renewing
	checkRelays time.Time // when to ask our relays again
}

// maintain is the one long-lived goroutine of a DHT. It owns the timers: it
// sleeps until the next thing is due, does it, and asks again.
func (k *keeper) maintain(ctx context.Context, events <-chan any) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case e := <-events:
			k.dht.handle(e)
		case end := <-k.done:
			end()
		case <-timer.C:
		case <-k.wake:
		case <-ctx.Done():
			return
		}
		if next := k.upkeep(time.Now()); next.IsZero() { //nolint:contextcheck // dials are not of this goroutine
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
	}
}

// upkeep does what is due at now and returns when it is to be called again; the
// zero time means not before a wake. It starts work that takes time, and
// returns.
func (k *keeper) upkeep(now time.Time) (next time.Time) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	k.comeBack()
	sooner(k.dht.mode.settle(now))
	sooner(k.joinIfDue(now))
	k.introduceMet()
	sooner(k.checkDue(now))
	sooner(k.reuniteIfDue(now))
	sooner(k.refreshStale(now))
	entered := k.dht.peers.takeEntered()
	k.telling.meet(now, entered)
	sooner(k.tellPresence(now))
	sooner(k.republishDue(now))
	sooner(k.replicateIfDue(now))
	k.handOver(now, entered)
	sooner(k.expireStored(now))
	sooner(k.keepContacts(now))
	sooner(k.offerRelay(now))
	sooner(k.renewIfDue(now))
	sooner(k.checkRelaysIfDue(now))
	return next
}

// comeBack gives up what was dialled while we were offline, when we are not any more.
func (k *keeper) comeBack() {
	if back := k.dht.peers.cameBack(); !back.Equal(k.back) {
		k.back = back
		k.dht.dialer.abandon(back)
		k.dht.relays.pardon()
	}
}

// room returns how many more jobs of a kind can be started.
func (k *keeper) room(j job) int { return j.limit() - k.running[j] }

// start runs f in the background, then end in maintain, which then calls upkeep
// again: a job that found no room is started there.
func (k *keeper) start(j job, f func(ctx context.Context) error, end func(error)) {
	k.running[j]++
	k.dht.tasks.run(func(ctx context.Context) {
		err := f(ctx)
		select {
		case k.done <- func() { k.running[j]--; end(err) }:
		case <-ctx.Done():
		}
	})
}
