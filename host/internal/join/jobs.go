package join

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

const (
	// maxSettleAfter bounds the wait between such lookups, which doubles while the table is
	// small.
	maxSettleAfter = 10 * time.Minute

	// minReuniteAfter and maxReuniteAfter bound the wait between attempts to reach a
	// bootstrap peer that is not in the table, while the table is small; else it is the
	// RefreshInterval.
	minReuniteAfter = time.Second
	maxReuniteAfter = 30 * time.Second

	// saveAfter is how often the contacts are saved.
	saveAfter = 10 * time.Minute

	// maxRefreshes bounds the buckets that are refreshed at a time.
	maxRefreshes = 4

	// refreshParts is how many buckets are looked up in a RefreshInterval at most: a network
	// of 5 000 nodes has no more.
	refreshParts = 8
)

// A state is how far the node is in joining, and when what follows is due. It belongs to
// the goroutine of the background loop.
type state struct {
	first   func()        // tells the table that the first join has ended; nil before it
	joined  bool          // the last join succeeded, and the table was never empty since
	found   bool          // the last join failed although a peer had answered
	after   time.Duration // how long to wait after the next failed join
	next    time.Time     // no join before
	failed  int           // joins that failed since the node had contacts, and are told
	again   time.Time     // when to look ourselves up once more; zero if that is done
	pause   time.Duration // how long to wait for that after the next time
	refresh time.Time     // no bucket before
	spread  bool          // all buckets have been looked up since the join: from now on, with pauses

	introducing map[peer.ID]bool // peers that are being introduced, and whether they came up again
	reunite     time.Duration    // how long to wait for the next attempt to reunite, while the table is small
	reuniteAt   time.Time        // when that is; zero: not decided
	save        time.Time        // when to save the contacts; zero: not decided
	saveAfter   time.Duration    // how long to wait for that; zero: the first time
}

// Joined reports whether the node has joined. Call it in the background loop only.
func (j *Joiner) Joined() bool { return j.state.joined }

// Jobs returns the jobs of the room, in the order in which the loop asks them.
func (j *Joiner) Jobs() []tasks.Job {
	j.state.introducing = make(map[peer.ID]bool)
	jobs := []tasks.Job{
		{Name: "join", Due: j.joinDue},
		{Name: "introduce", Limit: routing.MaxIntroductions, Due: j.introduceDue},
		{Name: "check", Limit: routing.MaxChecks, Due: j.checkDue},
		{Name: "reunite", Due: j.reuniteDue},
	}
	if j.cfg.RefreshInterval >= 0 {
		jobs = append(jobs, tasks.Job{Name: "refresh", Limit: maxRefreshes, Due: j.refreshDue})
	}
	return append(jobs, tasks.Job{Name: "save contacts", Due: j.saveDue})
}

// joinDue joins the network, at the start and whenever the table is empty or the node is
// offline.
func (j *Joiner) joinDue(now time.Time, start *tasks.Start) time.Time {
	s := &j.state
	live := j.cfg.Table.Live()
	if !live && s.joined {
		s.joined, s.found, s.after, s.again, s.pause = false, false, 0, time.Time{}, 0
		s.refresh, s.spread = time.Time{}, false
	}
	if s.joined || start.Room() == 0 {
		return time.Time{}
	}
	if now.Before(s.next) && (!live || s.found) {
		return s.next
	}
	if s.first == nil {
		s.first = j.cfg.Table.Joining()
	}
	began := now
	start.Run(j.Join, func(now time.Time, err error) {
		if j.cfg.Table.Live() {
			s.first()
		}
		if err == nil && j.cfg.Table.Live() {
			s.joined, s.found, s.after, s.pause, s.failed = true, false, 0, 0, 0
			j.cfg.Observer.Tell(events.Joined{Through: j.entries(), Contacts: j.cfg.Table.Stats().Contacts, Took: now.Sub(began)})
			s.next, s.again = now.Add(routing.JoinAfter(0)), now.Add(tasks.Jittered(table.SettleTime))
			return
		}
		if s.found = j.cfg.Table.Live(); !s.found {
			j.cfg.Table.FoundNone()
		}
		s.after = routing.JoinAfter(s.after)
		s.next = now.Add(tasks.Jittered(s.after))
		if offline, _ := j.cfg.Table.Offline(); err != nil && !offline { // which is told already
			s.failed++
			j.cfg.Observer.Tell(events.JoinFailed{Reason: err.Error(), Bootstrap: len(j.entry()), Attempt: s.failed, Again: s.next.Sub(now)})
		}
		log.Debugw("join", "error", err, "again", s.next)
	})
	return time.Time{}
}

// entries returns the bootstrap peers that are in the table.
func (j *Joiner) entries() (ids []peer.ID) {
	for _, info := range j.entry() {
		if j.cfg.Table.Has(info.ID) {
			ids = append(ids, info.ID)
		}
	}
	return ids
}

// introduceDue introduces the peers that say that they serve.
func (j *Joiner) introduceDue(_ time.Time, start *tasks.Start) time.Time {
	for start.Room() > 0 {
		id, ok := j.next()
		if !ok {
			break
		}
		if _, running := j.state.introducing[id]; running {
			j.state.introducing[id] = true // it asks while it is being asked
			continue
		}
		if !j.cfg.Table.Wants(id) {
			continue
		}
		j.state.introducing[id] = false
		start.Run(
			func(ctx context.Context) error { return j.introduce(ctx, id) },
			func(_ time.Time, err error) {
				again := j.state.introducing[id]
				delete(j.state.introducing, id)
				if err != nil {
					log.Debugw("not introduced", "peer", id, "error", err)
				}
				if again {
					j.Introduce(id) // its protocols or addresses may have changed
				}
			})
	}
	return time.Time{}
}

// checkDue checks the contacts that are in doubt.
func (j *Joiner) checkDue(now time.Time, start *tasks.Start) time.Time {
	check, next := j.cfg.Table.Due(now, start.Room())
	for _, c := range check {
		start.Run(func(ctx context.Context) error { return j.cfg.Call.Check(ctx, c) }, nil)
	}
	return next
}

// reuniteDue dials bootstrap peers and departed contacts that are not in the table: soon
// after they left it, then less and less often, and now and then while enough other
// contacts answer.
func (j *Joiner) reuniteDue(now time.Time, start *tasks.Start) time.Time {
	s := &j.state
	if !s.joined || len(j.absent()) == 0 && !j.cfg.Table.HasDeparted() {
		s.reunite, s.reuniteAt = 0, time.Time{}
		return time.Time{}
	}
	if start.Room() == 0 {
		return time.Time{}
	}
	if s.reuniteAt.IsZero() {
		s.reunite = max(s.reunite, minReuniteAfter)
		wait := s.reunite
		if wait > minReuniteAfter && !j.cfg.Table.Small() {
			wait = max(j.cfg.RefreshInterval, maxReuniteAfter)
		}
		s.reuniteAt = now.Add(tasks.Jittered(wait))
	}
	if now.Before(s.reuniteAt) {
		return s.reuniteAt
	}
	start.Run(j.reunite, func(time.Time, error) {
		s.reunite, s.reuniteAt = min(2*s.reunite, maxReuniteAfter), time.Time{}
	})
	return time.Time{}
}

// refreshDue looks up a key of each bucket that was not looked up for RefreshInterval, or
// longer if nothing changes in it: see [routing.Table.Stale]. It takes one bucket at a time,
// and at most refreshParts in an interval, so that their requests are spread. After a join,
// the buckets that it has not looked up are looked up at once.
// Some time after a join, it looks this node up once more: other nodes may have joined at
// the same moment. While the table is small, it goes on with that, less and less often:
// the peers through which the node joined may have known no other peer themselves.
func (j *Joiner) refreshDue(now time.Time, start *tasks.Start) time.Time {
	s, age := &j.state, j.cfg.RefreshInterval
	if !s.joined || start.Room() == 0 {
		return time.Time{}
	}
	if s.again.IsZero() && j.cfg.Table.Small() {
		s.pause = min(max(2*s.pause, table.SettleTime), maxSettleAfter)
		s.again = now.Add(tasks.Jittered(s.pause))
	}
	if !s.again.IsZero() && !now.Before(s.again) {
		s.again = time.Time{}
		start.Run(func(ctx context.Context) error { return j.cfg.Lookup.Refresh(ctx, []byte(j.self), lookup.Plan{}) }, nil)
		return time.Time{}
	}
	for start.Room() > 0 && !now.Before(s.refresh) {
		cpl, k, ok := j.cfg.Table.Stale(now, age)
		if ok {
			start.Run(func(ctx context.Context) error { return j.refresh(ctx, cpl, lookup.Plan{K: k}) }, nil)
		}
		if s.spread = s.spread || !ok; s.spread {
			s.refresh = now.Add(tasks.Jittered(age / refreshParts))
		}
	}
	if !s.again.IsZero() && s.again.Before(s.refresh) {
		return s.again
	}
	return s.refresh
}

// saveDue saves the contacts, so that a node that is killed has them too.
func (j *Joiner) saveDue(now time.Time, start *tasks.Start) time.Time {
	s := &j.state
	if !s.joined || start.Room() == 0 || !j.cfg.Table.Saves() {
		return time.Time{}
	}
	if s.save.IsZero() {
		s.save = now.Add(max(s.saveAfter, table.SettleTime))
	}
	if now.Before(s.save) {
		return s.save
	}
	start.Run(
		func(context.Context) error { return j.cfg.Table.Save() },
		func(_ time.Time, err error) {
			if err != nil {
				log.Warnw("the contacts are not saved", "error", err) // the operator must see to the disk
			}
			s.save, s.saveAfter = time.Time{}, saveAfter
		})
	return time.Time{}
}

// maxQueued bounds the peers that wait for an introduction. A further peer is dropped: a
// lookup, or its next request, brings it back.
const maxQueued = 1024

// A queue holds the peers that wait for an introduction, each once, in the order they
// came. The zero value is empty. The caller holds the lock of the room.
type queue struct {
	order []peer.ID
	in    map[peer.ID]struct{}
}

// add reports whether id is in the queue now.
func (q *queue) add(id peer.ID) bool {
	if _, ok := q.in[id]; ok {
		return true
	}
	if len(q.order) >= maxQueued {
		return false
	}
	if q.in == nil {
		q.in = make(map[peer.ID]struct{})
	}
	q.in[id] = struct{}{}
	q.order = append(q.order, id)
	return true
}

// take removes the peer that has waited for longest.
func (q *queue) take() (peer.ID, bool) {
	if len(q.order) == 0 {
		return "", false
	}
	id := q.order[0]
	q.order = q.order[1:]
	delete(q.in, id)
	return id, true
}

// Introduce queues a peer that may have to be introduced. It does not block.
func (j *Joiner) Introduce(id peer.ID) {
	j.mu.Lock()
	queued := j.queue.add(id)
	j.mu.Unlock()
	if queued {
		j.cfg.Wake()
	}
}

// next returns the peer that has waited for longest for an introduction.
func (j *Joiner) next() (peer.ID, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.queue.take()
}
