package host

import (
	"time"

	"github.com/go-kad/kad/host/internal/tasks"
)

// jobs returns what the background loop does, in order. It is the only place that
// knows all of them.
func (d *DHT) jobs() []tasks.Job {
	list := []tasks.Job{d.returning(), d.reach.Job()}
	list = append(list, d.join.Jobs()...)
	list = append(list, d.newcomers(), d.whileJoined(d.presence.Job()), d.whileJoined(d.publish.Job()))
	if !d.cfg.PublisherOnly {
		if d.cfg.ReplicateInterval >= 0 {
			list = append(list, d.whileJoined(d.replicate.Round()))
		}
		list = append(list, d.replicate.Newcomers())
	}
	list = append(list, d.holder.Expire())
	list = append(list, d.relay.Jobs()...)
	return append(list, d.whileJoined(d.connect.Job()))
}

// whileJoined returns a job that is due only while the node has joined its network.
func (d *DHT) whileJoined(j tasks.Job) tasks.Job {
	due := j.Due
	j.Due = func(now time.Time, start *tasks.Start) time.Time {
		if !d.join.Joined() {
			return time.Time{}
		}
		return due(now, start)
	}
	return j
}

// returning gives up the dials that began while the node was offline, once it is back.
func (d *DHT) returning() tasks.Job {
	var back time.Time // when the node was offline for the last time
	return tasks.Job{Name: "return", Due: func(time.Time, *tasks.Start) time.Time {
		if _, last := d.table.Offline(); !last.Equal(back) {
			back = last
			d.call.Abandon(back)
			d.relay.Restore()
		}
		return time.Time{}
	}}
}

// newcomers gives the contacts that have entered the table to the rooms that send them
// something. While the node joins, it is the newcomer itself, and hands nothing over.
func (d *DHT) newcomers() tasks.Job {
	return tasks.Job{Name: "newcomers", Due: func(now time.Time, _ *tasks.Start) time.Time {
		entered := d.table.Entered()
		d.presence.Entered(now, entered)
		if !d.join.Running() && !d.cfg.PublisherOnly {
			d.replicate.HandOver(entered)
		}
		return time.Time{}
	}}
}
