package sim

import (
	"time"

	"github.com/go-kad/kad/routing"
)

const (
	// blackoutLookups is how often a node looks something up in a blackout.
	blackoutLookups = time.Second

	// minRejoin and maxRejoin bound the wait of a node that knows nobody between
	// attempts to join, which doubles, as in host.
	minRejoin, maxRejoin = 200 * time.Millisecond, 30 * time.Second
)

// Blackout cuts a node off for d, while it looks up a random key every second. A
// node that is left with nobody joins again. The report says in Filled which
// share of its table was left at the end of the blackout, and in Took how long
// after it the first answer came.
func (w *World) Blackout(from int, d time.Duration) Report {
	r := Report{From: from, Target: w.Contact(from).Key}
	before := w.Table(from).Len()
	end := w.line.now + d
	w.Outage(from, d)
	b := &blackout{w: w, r: &r, end: end, wait: minRejoin}
	b.tick()
	w.line.until(end)
	r.Filled = float64(w.Table(from).Len()) / float64(before)
	w.await(&r.Over)
	r.Closest = w.numbers(w.Table(from).Closest(r.Target, w.scenario.Lookup.K))
	w.judgeReport(&r)
	return r
}

// A blackout is one that is under way.
type blackout struct {
	w    *World
	r    *Report
	end  time.Duration
	next time.Duration // not before, an attempt to join
	wait time.Duration // after the next one that fails
}

// tick looks something up, and comes back.
func (b *blackout) tick() {
	if b.r.Over {
		return
	}
	b.w.line.after(blackoutLookups, b.tick)
	if b.w.Table(b.r.From).Len() == 0 {
		b.rejoin()
		return
	}
	s := &search{w: b.w, from: b.r.From, target: routing.KeyOf(b.w.AnyPreimage()), tally: &b.r.Tally}
	s.heard = func(int, reply) { b.answered() }
	s.done = func(routing.Result) {}
	s.start()
}

// answered ends the blackout, at the first answer after it.
func (b *blackout) answered() {
	if !b.r.Over && b.w.line.now >= b.end {
		b.r.Over, b.r.Took = true, b.w.line.now-b.end
	}
}

// rejoin tries one node that it was told of once.
func (b *blackout) rejoin() {
	if b.w.line.now < b.next {
		return
	}
	b.next = b.w.line.now + b.wait
	b.wait = min(2*b.wait, maxRejoin)
	contact := b.w.Contact(b.w.Anybody())
	to := way{b.r.From, b.w.number(contact)}
	b.w.request(&call{way: to, target: b.r.Target, tally: &b.r.Tally, done: func(_ reply, ok bool) {
		b.w.learn(b.r.From, contact, ok)
		if ok {
			b.answered()
		}
	}})
}
