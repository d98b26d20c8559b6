package replicate

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// maxNewcomers bounds the peers that wait for a hand-over. A peer beyond it is
	// sent its records in the rounds of their holders.
	maxNewcomers = 1024

	// handovers is how many newcomers are handed records at a time.
	handovers = 4

	// maxFailures is after how many failures in a row a newcomer is given up.
	maxFailures = 3

	// handoverTimeout bounds the hand-over to one newcomer, so that a slow one does
	// not delay others. The rest comes with the next round.
	handoverTimeout = 5 * time.Minute

	// handoverRate is how many records a second are handed over to a newcomer.
	handoverRate = 50

	// handoverUnit is how many bytes of values are handed over in the time of one
	// record. A large record takes the time of several, so that newcomers cannot make
	// us send megabytes a second.
	handoverUnit = 16 << 10

	// returnPause is how often a peer that returns is asked for records at most, and
	// returnSample for how many: one that it lacks is enough.
	returnPause  = 10 * time.Minute
	returnSample = 3

	// leaveTimeout is how long Leave takes if its context has no deadline.
	leaveTimeout = 10 * time.Second
)

// newcomers are the peers that entered the table and wait for the records that they
// should hold.
type newcomers struct {
	on    bool // the job runs
	queue []arrival
	given map[peer.ID]time.Time // when the last hand-over to a peer began
	asked map[peer.ID]time.Time // when a peer that has returned was asked for records
}

// An arrival is a peer that has entered the table, or one of the table that has returned.
type arrival struct {
	routing.Contact
	returned bool
}

// HandOver queues peers that entered the table, or wait for a place in it, so that the job
// hands them the records that they should hold. Call it in the goroutine of the loop, and leave out the peers
// that entered while the node joined.
func (r *Replicator) HandOver(entered []routing.Contact) {
	n := &r.newcomers
	for _, c := range entered {
		n.queue = append(n.queue, arrival{c, false})
	}
	if len(n.queue) > maxNewcomers { // the farthest ones share least with what we hold
		self := r.cfg.Table.Self()
		slices.SortStableFunc(n.queue, func(a, b arrival) int { return self.Compare(a.Key, b.Key) })
		n.queue = n.queue[:maxNewcomers]
	}
}

// Returned queues a contact that has connected to the node again. If it lacks records that it
// should hold, because it has lost its store, the job hands them over again. Call it in the
// goroutine of the loop.
func (r *Replicator) Returned(c routing.Contact) {
	if n := &r.newcomers; n.on && len(n.queue) < maxNewcomers {
		n.queue = append(n.queue, arrival{c, true})
	}
}

// handOverDue starts the hand-over to the peers of the queue.
func (r *Replicator) handOverDue(now time.Time, start *tasks.Start) time.Time {
	n := &r.newcomers
	for len(n.queue) > 0 && start.Room() > 0 {
		c := n.queue[0]
		n.queue = n.queue[1:]
		hand := r.handOverTo
		if c.returned || recent(n.given, now, c.ID, r.givenAge()) {
			if recent(n.asked, now, c.ID, returnPause) {
				continue
			}
			hand = r.handOverLost
		}
		start.Run(
			func(ctx context.Context) error { return hand(ctx, c.Contact) },
			func(_ time.Time, err error) {
				if err != nil {
					log.Debugw("hand-over", "peer", c.ID, "error", err)
				}
			})
	}
	return time.Time{}
}

// givenAge returns within which time a peer is not handed everything twice.
func (r *Replicator) givenAge() time.Duration {
	if r.cfg.Interval <= 0 {
		return time.Hour
	}
	return r.cfg.Interval
}

// recent reports whether times has a time for a peer that is younger than age. If not, it
// notes that it is now.
func recent(times map[peer.ID]time.Time, now time.Time, id peer.ID, age time.Duration) bool {
	at, known := times[id]
	if known && now.Sub(at) < age {
		return true
	}
	if !known && len(times) >= maxNewcomers {
		forget(times)
	}
	times[id] = now
	return false
}

// handOverLost is handOverTo for a peer that was handed its records before, or has held them,
// if it lacks one of a few that it is asked for.
func (r *Replicator) handOverLost(ctx context.Context, c routing.Contact) error {
	prefix, bits := r.cfg.Table.OwnPrefix(c.Key)
	asked, lacks := 0, false
	err := r.cfg.Holder.Each(ctx, prefix, bits, func(kind store.Kind, key []byte) error {
		if kind != store.KindValue || !r.cfg.Table.HandsOver(routing.KeyOf(key), c.Key) {
			return nil
		}
		holds, err := r.cfg.Find.Holds(ctx, c, key)
		if err != nil {
			return err
		}
		if asked, lacks = asked+1, lacks || !holds; lacks || asked == returnSample {
			return holder.ErrEnough
		}
		return nil
	})
	if lacks {
		return r.handOverTo(ctx, c)
	}
	if errors.Is(err, holder.ErrEnough) {
		return nil
	}
	return err
}

// forget drops the oldest of the times of peers.
func forget(times map[peer.ID]time.Time) {
	var oldest peer.ID
	for id, at := range times {
		if oldest == "" || at.Before(times[oldest]) {
			oldest = id
		}
	}
	delete(times, oldest)
}

// handOverTo sends a newcomer the records that it is among the k closest to, if no
// other of these k is closer to them than we are.
func (r *Replicator) handOverTo(ctx context.Context, c routing.Contact) error {
	ctx, cancel := context.WithTimeout(ctx, handoverTimeout)
	defer cancel()
	prefix, bits := r.cfg.Table.OwnPrefix(c.Key)
	pace := time.NewTicker(time.Second / handoverRate)
	defer pace.Stop()
	failures := 0
	return r.cfg.Holder.Each(ctx, prefix, bits, func(kind store.Kind, key []byte) error {
		if !r.cfg.Table.HandsOver(routing.KeyOf(key), c.Key) {
			return nil
		}
		requests, err := r.cfg.Holder.Copies(ctx, kind, key, 0)
		if err != nil {
			return err
		}
		for _, req := range requests {
			for range 1 + weight(req)/handoverUnit {
				select {
				case <-pace.C:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			err := r.cfg.Deliver.One(ctx, nil, c, req)
			switch {
			case err == nil:
				failures = 0
				r.handedOver.Add(1)
			case errors.Is(err, kaderr.ErrRefused): // it has a better one, or no room
				failures = 0
			default:
				if failures++; failures == maxFailures {
					return err
				}
			}
		}
		return nil
	})
}

// weight returns how many bytes of values a request stores.
func weight(req protocol.Request) (bytes int) {
	if put, ok := req.(protocol.PutValue); ok {
		for _, rec := range holder.RecordsIn(put) {
			bytes += len(rec.Value)
		}
	}
	return bytes
}

// Leave hands each record to the peer that is among the k closest to it once we are
// gone, as long as ctx lasts, or 10s if that has no deadline.
func (r *Replicator) Leave(ctx context.Context) error {
	if !r.cfg.Table.Live() {
		return nil
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, leaveTimeout)
		defer cancel()
	}
	var failed error
	handed := func(yield func(transfer) bool) { failed = r.transfers(ctx, yield) }
	err := tasks.Each(ctx, r.cfg.Alpha, handed, func(ctx context.Context, t transfer) error {
		if r.cfg.Deliver.One(ctx, nil, t.to, t.req) == nil {
			r.handedOver.Add(1)
		}
		return nil
	})
	return errors.Join(failed, err)
}

// A transfer is a record and the peer that is to hold it when we are gone.
type transfer struct {
	to  routing.Contact
	req protocol.Request
}

// transfers yields all that is held and that another peer has to hold when we are gone.
func (r *Replicator) transfers(ctx context.Context, yield func(transfer) bool) error {
	near := r.cfg.Lookup.NewSurvey()
	return r.cfg.Holder.Each(ctx, r.cfg.Table.Self(), 0, func(kind store.Kind, key []byte) error {
		closest, err := near.Closest(ctx, key, nil)
		if err != nil {
			log.Debugw("not handed over", "key", key, "error", err)
			return context.Cause(ctx) // the next key may have more luck
		}
		if len(r.withUs(routing.KeyOf(key), closest)) == len(closest) {
			return nil // all peers that are to hold it are there already
		}
		requests, err := r.cfg.Holder.Copies(ctx, kind, key, 0)
		for _, req := range requests {
			if add, ok := req.(protocol.AddProvider); ok && routing.KeyOf([]byte(add.Providers[0].ID)) == r.cfg.Table.Self() {
				continue // an announcement of ours: we are going
			}
			if !yield(transfer{closest[len(closest)-1], req}) {
				return context.Cause(ctx)
			}
		}
		return err
	})
}
