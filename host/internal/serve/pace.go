package serve

import (
	"context"
	"runtime"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/tasks"
)

// To read a request and to write its answer takes several times as long as to make it, and the
// transport does that in the order in which requests come. So what some peers take of the
// processors is bounded by when their requests are answered: nothing more is read from a stream
// until then, and a peer that waits for its answer sends nothing.
//
// A network is busy if its peers have used more of the processors lately than is usual, and other
// peers ask, too. Its requests keep a pace: all busy networks have equal parts of what there is for
// them, so that none waits for another. Requests of peers that press have a part of their own, and
// do not count here. While they did, a client beside a flood had a third of the answers.

const (
	// maxPacedCost bounds what one answer counts: it may have waited for a disk.
	maxPacedCost = 100 * time.Microsecond

	// transportCost is about what it takes to read one request and to write its answer.
	transportCost = 40 * time.Microsecond

	// usualShare is the part of the time of all processors that a network may use before it
	// counts as busy: some 100 requests a second and processor. usualBurst is how much of it may
	// be used at once, some 100 requests.
	usualShare = 0.005
	usualBurst = 5 * time.Millisecond

	// busyShare is the part of the time of all processors that requests of all busy networks may
	// take, with their transport. busyLate is for how long it is made up for if timers are late:
	// where nothing else goes on, they are a millisecond late.
	busyShare = 0.5
	busyLate  = 4 * time.Millisecond

	// recounted is how long the number of busy networks is taken to be the same.
	recounted = 20 * time.Millisecond

	// recently is for how long a peer that has asked counts as one that asks.
	recently = 100 * time.Millisecond
)

// A pace is a queue whose requests leave it at a rate that leaves the processors to others. It is
// guarded by the lock of the Server.
type pace struct {
	queue

	share    float64       // the part of the time of all processors that its requests may take
	overhead time.Duration // what a request takes besides its answer
	burst    time.Duration // for how long the share may have been saved, and
	late     time.Duration // for how long while requests wait

	free time.Time // when the next one may leave
}

// spend counts a request that leaves now, whose answer takes some time.
func (p *pace) spend(now time.Time, took time.Duration) {
	saved := p.burst
	if len(p.waiting) > 0 {
		saved = p.late
	}
	if from := now.Add(-saved); p.free.Before(from) {
		p.free = from
	}
	p.free = p.free.Add(time.Duration(float64(took+p.overhead) / p.share / float64(runtime.GOMAXPROCS(0))))
}

// An account is what the peers of a network have used of the processors, of which the usual part
// is given back as time passes.
type account struct {
	used time.Duration
	at   time.Time
	pace pace
}

// accounts are those of the networks. They are guarded by the lock of the Server.
type accounts struct {
	of map[string]*account

	busy    int // how many networks are
	counted time.Time

	last            peer.ID   // the peer that asked last
	lastAt, otherAt time.Time // when it did, and the last other one before it
}

// asks records that a peer asks, and reports whether another one does so, too.
func (a *accounts) asks(id peer.ID, now time.Time) (others bool) {
	if id != a.last {
		a.last, a.otherAt = id, a.lastAt
	}
	a.lastAt = now
	return now.Sub(a.otherAt) < recently
}

// left returns what is left at a time of what a network has used.
func (acc *account) left(now time.Time) time.Duration {
	back := time.Duration(float64(now.Sub(acc.at)) * usualShare * float64(runtime.GOMAXPROCS(0)))
	return max(0, acc.used-back)
}

// add counts what an answer to a network took, which was ready now.
func (a *accounts) add(network string, took time.Duration, now time.Time) {
	acc := a.of[network]
	if acc == nil {
		a.bound(now)
		acc = &account{pace: pace{queue: queue{places: 1}, overhead: transportCost, burst: busyLate, late: busyLate}}
		a.of[network] = acc
	}
	acc.used, acc.at = acc.left(now)+took, now
}

// paceOf returns the pace of a network that asks now, and nil if it is not busy.
func (a *accounts) paceOf(network string, now time.Time) *pace {
	acc := a.of[network]
	if acc == nil || acc.left(now) < usualBurst {
		return nil
	}
	if now.Sub(a.counted) >= recounted {
		a.busy, a.counted = 0, now
		for _, other := range a.of {
			if now.Sub(other.at) < recently && other.left(now) >= usualBurst {
				a.busy++
			}
		}
	}
	acc.pace.share = busyShare / float64(max(1, a.busy))
	return &acc.pace
}

// bound forgets the accounts that are balanced, if there are too many, or all if none is.
func (a *accounts) bound(now time.Time) {
	if len(a.of) < maxUsers && a.of != nil {
		return
	}
	for network, acc := range a.of {
		if acc.left(now) == 0 {
			delete(a.of, network)
		}
	}
	if len(a.of) >= maxUsers || a.of == nil {
		a.of = make(map[string]*account)
	}
}

// paceOf returns the pace that a request has to keep, which was read now; nil if there is none.
func (s *Server) paceOf(in *inbound, now time.Time) *pace {
	switch {
	case in.presses:
		return &s.pressed
	case s.used.asks(in.peer, now):
		return s.used.paceOf(in.network, now)
	}
	return nil
}

// keep has a request keep a pace. It returns when that was done.
func (s *Server) keep(p *pace, in *inbound, limits *deadlines, now time.Time) (time.Time, error) {
	now, err := s.turn(in, &p.queue, limits, now)
	if err != nil {
		return now, err
	}
	s.mu.Lock()
	free := p.free
	s.mu.Unlock()
	if free.After(now) {
		ctx, cancel := context.WithDeadline(limits.node, free)
		<-ctx.Done()
		cancel()
	}
	tasks.Locked(&s.mu, func(t time.Time) {
		now = t
		p.spend(now, in.took)
		p.end(in, in.took+p.overhead, now)
	})
	return now, nil
}

// A peer presses if it does not wait for its answers: further requests of the stream have
// arrived already, or its streams and their messages have many. Peers that publish many keys do
// so in bursts, which do not wait where no other peer presses; floods do so without end.
// Their requests keep a pace.

const (
	// pressedBytes is how many bytes have arrived behind a request of a peer that presses: some
	// requests.
	pressedBytes = 128

	// pressedRequests is how many requests of a peer at a time are usual.
	pressedRequests = 8

	// pressedShare is the part of the time of all processors that answers to peers that press
	// may take.
	pressedShare = 0.02

	// pressedBurst is for how long peers that press may have saved their share: time for the
	// announcements of one message, with one processor.
	pressedBurst = 80 * time.Millisecond
)

// A share is what a peer has of a Server.
type share struct {
	streams int
	busy    int // requests that are being answered, or wait for it
}

// presses reports whether a peer presses, behind whose request so many bytes have arrived.
func (s *Server) presses(id peer.ID, arrived int) bool {
	sh := s.shares[id]
	return arrived >= pressedBytes || sh != nil && sh.busy > pressedRequests
}
