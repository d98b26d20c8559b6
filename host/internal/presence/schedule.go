package presence

import (
	"context"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

// A schedule is when to announce. It belongs to the goroutine of the background loop.
type schedule struct {
	addrs []multiaddr.Multiaddr // of the last announcement, successful or not
	told  []multiaddr.Multiaddr // of the last announcement that was successful
	next  time.Time             // when it is due again, with the same addresses
	retry time.Duration         // how long to wait after the next failure
	last  time.Time             // when changed addresses were announced
	pause time.Duration         // how long to wait after that for the next change
	look  time.Time             // when to look for contacts without the presence; zero: once a contact enters
}

// begin notes that an announcement begins now.
func (s *schedule) begin(now time.Time, addrs []multiaddr.Multiaddr) {
	if !scope.Same(addrs, s.addrs) {
		if now.Sub(s.last) >= max(2*s.pause, calm) {
			s.pause = 0
		}
		s.pause = min(max(2*s.pause, minPause), maxPause)
		s.last = now
	}
	s.addrs = addrs
	s.look = time.Time{}
}

// Entered takes in the contacts that entered the table: one of them may be among the
// closest peers, which are to hold the presence. In a small network, a peer that was late
// when they were looked up is also one of them. It belongs to the background loop.
func (p *Presence) Entered(now time.Time, entered []routing.Contact) {
	if len(entered) > 0 && p.schedule.look.IsZero() {
		p.schedule.look = now.Add(newcomerPause)
	}
}

// Job returns the job that announces: after a change of addresses, after a pause; before
// the presence expires; and to contacts that entered meanwhile.
func (p *Presence) Job() tasks.Job { return tasks.Job{Name: "presence", Due: p.due} }

func (p *Presence) due(now time.Time, start *tasks.Start) time.Time {
	s := &p.schedule
	addrs := p.addrs()
	changed := !scope.Same(addrs, s.addrs)
	if !changed && len(addrs) == 0 {
		return time.Time{}
	}
	due := s.next
	if changed {
		due = s.last.Add(s.pause)
	} else if s.retry == 0 && !s.look.IsZero() && s.look.Before(due) {
		if !now.Before(s.look) && start.Room() > 0 {
			p.sendNewcomers(now, start, addrs)
			return due
		}
		due = s.look
	}
	if !tasks.Passed(now, due) {
		return due
	}
	if start.Room() == 0 {
		if changed {
			p.interrupt() // the addresses that it announces are outdated
		}
		return time.Time{} // its end calls due again
	}
	s.begin(now, addrs)
	if len(addrs) == 0 {
		s.told = nil
		start.Run(func(ctx context.Context) error { return p.Withdraw(ctx, now, false) }, nil)
		return time.Time{}
	}
	holders := 0
	start.Run(
		func(ctx context.Context) (err error) {
			holders, err = p.announce(ctx, now, addrs)
			return err
		},
		func(now time.Time, err error) {
			p.announced(now, err)
			if err == nil && !scope.Same(addrs, s.told) {
				s.told = addrs
				p.cfg.Observer.Tell(events.PresenceTold{Holders: holders, Addrs: len(addrs)})
			}
		})
	return time.Time{}
}

// announced decides when the next announcement is due.
func (p *Presence) announced(now time.Time, err error) {
	s := &p.schedule
	wait := tasks.Early(interval)
	if err == nil {
		s.retry = 0
	} else {
		s.retry = min(max(2*s.retry, minPause), maxRetry)
		wait = tasks.Jittered(s.retry)
	}
	s.next = now.Add(wait)
}

// sendNewcomers sends the presence to the neighbours that were not sent it.
func (p *Presence) sendNewcomers(now time.Time, start *tasks.Start, addrs []multiaddr.Multiaddr) {
	p.schedule.look = time.Time{}
	to := p.without(p.cfg.Table.Neighbours(p.cfg.K))
	if len(to) == 0 {
		return
	}
	start.Run(func(ctx context.Context) error {
		_, err := p.send(ctx, now, addrs, func(ctx context.Context, sink *lookup.Sink) error {
			sink.Add(ctx, to...)
			return nil
		})
		return err
	}, nil)
}
