package sim

import (
	"time"

	"github.com/go-kad/kad/routing"
)

// blackoutLookups is how often a node looks something up in a blackout.
const blackoutLookups = time.Second

// Blackout cuts a node off for d, while it looks up a random key every second,
// as long as it does not take itself for offline, and probes who is due. A node
// that is left with nobody joins again. The report says in Filled which share of its
// table was left at the end of the blackout, in Took how long after it the first
// answer came, and in First how long it took until nobody was suspect any more.
func (w *World) Blackout(from int, d time.Duration) Report {
	r := Report{From: from, Target: w.Contact(from).Key}
	before := w.Table(from).Len()
	end := w.line.now + d
	w.Outage(from, d)
	b := &blackout{w: w, r: &r, end: end}
	b.tick()
	b.tend()
	w.line.until(end)
	r.Filled = float64(w.Table(from).Len()) / float64(before)
	w.await(&r.Over)
	r.Closest = w.numbers(w.Table(from).Closest(r.Target, w.scenario.Lookup.K))
	w.judgeReport(&r)
	return r
}

// tend probes who is due, now and again.
func (b *blackout) tend() {
	if b.r.Over {
		return
	}
	next := b.w.probeDue(b.r.From, func(ok bool) {
		if ok {
			b.answered()
		}
		b.w.line.after(0, b.tend)
	})
	b.w.line.callOff(b.tended)
	if !next.IsZero() {
		b.tended = b.w.line.after(next.Sub(b.w.time()), b.tend)
	}
}

// A blackout is one that is under way.
type blackout struct {
	w    *World
	r    *Report
	end  time.Duration
	next time.Duration // not before, an attempt to join
	wait time.Duration // after the last one that failed

	tended *event // when to probe again
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
	b.tend()
	if b.w.Table(b.r.From).Offline(b.w.time()) {
		return // a node that is not ready looks nothing up
	}
	s := &search{w: b.w, from: b.r.From, target: routing.KeyOf(b.w.AnyPreimage()), tally: &b.r.Tally}
	s.heard = func(int, reply) { b.answered() }
	s.done = func(routing.Result) {}
	s.start()
}

// answered takes in an answer. The blackout is over when after the first one
// nobody is suspect any more.
func (b *blackout) answered() {
	if b.r.Over || b.w.line.now < b.end {
		return
	}
	if b.r.Took == 0 {
		b.r.Took = max(1, b.w.line.now-b.end)
	}
	if b.w.Table(b.r.From).Stats(b.w.time()).Suspects == 0 {
		b.r.Over, b.r.First = true, b.w.line.now-b.end
	}
}

// rejoin tries one node that it was told of once.
func (b *blackout) rejoin() {
	if b.w.line.now < b.next {
		return
	}
	b.wait = routing.JoinAfter(b.wait)
	b.next = b.w.line.now + b.wait
	contact := b.w.Contact(b.w.Anybody())
	to := way{b.r.From, b.w.number(contact)}
	b.w.request(&call{way: to, target: b.r.Target, tally: &b.r.Tally, done: func(_ reply, ok bool) {
		b.w.learn(b.r.From, contact, ok)
		if ok {
			b.answered()
		}
	}})
}
