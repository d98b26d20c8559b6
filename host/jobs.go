package host

import (
	"math/bits"
	"time"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

// jobs returns what the background loop does, in order. It is the only place that
// knows all of them.
func (r *rooms) jobs(cfg Config) []tasks.Job {
	list := []tasks.Job{r.returning(), r.pulse.Job(), r.lookup.Job(), r.reach.Job(), r.streams.Job()}
	list = append(list, r.join.Jobs()...)
	list = append(list, r.newcomers(!cfg.PublisherOnly), r.whileJoined(r.presence.Job()), r.whileJoined(r.publish.Job()))
	if !cfg.PublisherOnly {
		if cfg.ReplicateInterval >= 0 {
			list = append(list, r.whileJoined(r.replicate.Round()))
		}
		list = append(list, r.replicate.Newcomers())
	}
	list = append(list, r.holder.Expire())
	list = append(list, r.relay.Jobs()...)
	list = append(list, r.connect.MoveJob(), r.connect.SilenceJob(), r.connect.PunchJob())
	if !cfg.DisableProtection {
		list = append(list, r.connect.Keep())
	}
	return append(list, r.whileJoined(r.connect.RenewJob()), r.limits())
}

// limits tells of bounds that were reached, whenever the loop has something to do: the first,
// the second, the fourth time, and so on.
func (r *rooms) limits() tasks.Job {
	names := [...]string{"streams", "memory", "turns", "share", "store", "named"}
	var told [len(names)]uint64
	return tasks.Job{Name: "limits", Due: func(time.Time, *tasks.Start) time.Time {
		served := r.serve.Limits()
		share, full := r.holder.Limits()
		for i, times := range [len(names)]uint64{served.Streams, served.Memory, served.Turns, share, full, r.call.Dials().Unproved} {
			if bits.Len64(times) > bits.Len64(told[i]) {
				r.observer.Tell(events.LimitReached{Limit: names[i], Times: times})
			}
			told[i] = times
		}
		return time.Time{}
	}}
}

// whileJoined returns a job that is due only while the node has joined its network.
func (r *rooms) whileJoined(j tasks.Job) tasks.Job {
	due := j.Due
	j.Due = func(now time.Time, start *tasks.Start) time.Time {
		if !r.join.Joined() {
			return time.Time{}
		}
		return due(now, start)
	}
	return j
}

// returning gives up the dials that began while the node was offline, once it is back.
func (r *rooms) returning() tasks.Job {
	var back time.Time // when the node was offline for the last time
	return tasks.Job{Name: "return", Due: func(time.Time, *tasks.Start) time.Time {
		if _, last := r.table.Offline(); !last.Equal(back) {
			back = last
			r.call.Abandon(back)
			r.relay.Restore()
		}
		return time.Time{}
	}}
}

// newcomers gives the contacts that have entered the table to the rooms that send them
// something. While the node joins, it is the newcomer itself, and hands nothing over. A
// node that began with no records, or was the only server, does so at the end of the join:
// what it holds by then arrived meanwhile, from peers that may not have known those contacts.
func (r *rooms) newcomers(handsOver bool) tasks.Job {
	values, providers := r.holder.Len()
	isNew := values+providers == 0
	var waiting []routing.Contact // entered during the first join; the table bounds them
	return tasks.Job{Name: "newcomers", Due: func(now time.Time, _ *tasks.Start) time.Time {
		entered := r.table.Entered()
		r.presence.Entered(now, entered)
		isNew = isNew || r.table.Single() // what it has stored meanwhile is with no other server
		switch {
		case !handsOver:
		case !r.join.Running():
			r.replicate.HandOver(append(waiting, entered...))
			waiting, isNew = nil, isNew && !r.join.Joined()
		case isNew && len(waiting) < routing.MaxDeparted:
			waiting = append(waiting, entered...)
		}
		return time.Time{}
	}}
}
