package sim

import (
	"slices"
	"time"

	"github.com/go-kad/kad/routing"
)

// An errand is what a request asks for.
type errand uint8

const (
	findNode errand = iota // closer contacts
	getValue               // ... and the value, if it is held
	store                  // that a value be kept
)

// A Tally counts what an operation costs the network.
type Tally struct {
	Requests int // sent, or dialled for
	Dials    int // begun
	Failed   int // requests that came to nothing before the operation ended
}

// A call is one request, until its answer is there or nobody waits for it.
type call struct {
	way
	errand    errand
	target    routing.Key
	since     time.Duration
	tally     *Tally
	timeout   *event
	life      int // the session of the sender in which it began
	over      bool
	sent      time.Duration // after its dial
	connected func()        // called after a dial; nil if nobody wants to know
	done      func(reply, bool)
}

// A reply is the answer to a request.
type reply struct {
	closer []routing.Contact
	value  bool
}

// request asks a node, over a connection that is open or is dialled first. It
// calls done once, with false if there is no answer in time; never if the call
// is given up before.
func (w *World) request(c *call) {
	c.since, c.life = w.line.now, w.session(c.from).number
	c.tally.Requests++
	w.requests++
	w.inFlight++
	w.note("ask", c.from, c.to)
	c.timeout = w.line.after(w.scenario.RequestTimeout, func() { w.finish(c, reply{}, false) })
	dialled := !w.connected(c.from, c.to)
	w.connect(c.way, c.tally, func(ok bool) {
		c.sent = w.line.now
		if ok && !c.over && dialled && c.connected != nil {
			c.connected()
		}
		switch {
		case c.over:
		case !ok:
			w.finish(c, reply{}, false)
		default:
			w.send(c.way, func() { w.serve(c) })
		}
	})
}

// finish ends a call, and says how.
func (w *World) finish(c *call, r reply, ok bool) {
	if c.over {
		return
	}
	w.note(map[bool]string{true: "answered", false: "failed"}[ok], c.from, c.to)
	w.giveUp(c)
	if !ok {
		c.tally.Failed++
	}
	if s := w.session(c.from); s.up && s.number == c.life { // else nobody is there to hear it
		if ok {
			w.memory(c.from).paces.Answered(w.Contact(c.to).ID, w.line.now-max(c.sent, c.since))
		}
		c.done(r, ok)
	}
}

// giveUp ends a call that nobody waits for any more. Its dial goes on.
func (w *World) giveUp(c *call) {
	if !c.over {
		c.over = true
		w.inFlight--
		w.line.callOff(c.timeout)
	}
}

// serve answers a request that has arrived.
func (w *World) serve(c *call) {
	if w.role(c.to) == silent {
		return
	}
	w.met(c.to, c.from)
	wait := time.Duration(0)
	if w.role(c.to) == slow {
		wait = w.scenario.SlowFor
	}
	w.line.after(wait, func() {
		r := w.answer(c)
		w.send(way{c.to, c.from}, func() { w.finish(c, r, true) })
	})
}

const (
	// firstResend is when a lost message is sent again; it doubles each time.
	//
	// Source: the least retransmission timeout of Linux.
	firstResend = 200 * time.Millisecond

	// maxLosses is how often a message is lost before it counts as dropped.
	maxLosses = 6
)

// send delivers a message, if the receiver is there and the sender was.
func (w *World) send(to way, deliver func()) {
	delay, ok := w.delay(to)
	if !ok || !w.session(to.from).up || w.apart(to.from, to.to) {
		return
	}
	sender, receiver := w.session(to.from).number, w.session(to.to).number
	w.line.after(delay, func() {
		// Who came back meanwhile is not at the other end of the connection.
		if s := w.session(to.to); s.up && s.number == receiver && w.session(to.from).number == sender && !w.apart(to.from, to.to) {
			deliver()
		}
	})
}

// delay draws how long a message takes, and whether it arrives at all.
func (w *World) delay(to way) (delay time.Duration, ok bool) {
	from, receiver := word(to.from), word(to.to)
	delay = w.scenario.Latency(Link{
		From: to.from, To: to.to,
		Draw:     mix(w.seed, forLink, from, receiver),
		FromDraw: mix(w.seed, forRegion, from),
		ToDraw:   mix(w.seed, forRegion, receiver),
	})
	if w.scenario.Jitter > 0 {
		delay += time.Duration(w.rng.Int64N(int64(w.scenario.Jitter)))
	}
	if w.scenario.Loss <= 0 {
		return delay, true
	}
	resend := firstResend
	for range maxLosses {
		if w.rng.Float64() >= w.scenario.Loss {
			return delay, true
		}
		delay += resend
		resend *= 2
	}
	return 0, false
}

// sessions are those of the two ends of a connection: when one of them ends, so
// does the connection.
type sessions struct{ low, high int }

// A dial is under way, and who waits for it.
type dial struct {
	waiting []func(ok bool)
}

// connect calls then with true when from is connected to to: at once if it is.
// A dial takes a round trip, and is shared by those who want it meanwhile. If to
// cannot be dialled, it fails after DialTimeout.
func (w *World) connect(to way, tally *Tally, then func(ok bool)) {
	if w.connected(to.from, to.to) {
		then(true)
		return
	}
	if d := w.dials[to]; d != nil {
		d.waiting = append(d.waiting, then)
		return
	}
	tally.Dials++
	w.note("dial", to.from, to.to)
	d := &dial{waiting: []func(bool){then}}
	w.dials[to] = d
	timeout := w.line.after(w.scenario.DialTimeout, func() { w.dialled(to, d, false) })
	if r := w.role(to.to); r == dead || r == nated || !w.session(to.to).up {
		return
	}
	w.send(to, func() {
		w.send(way{to.to, to.from}, func() {
			w.line.callOff(timeout)
			p := pairOf(to.from, to.to)
			w.links[p] = sessions{w.session(p.low).number, w.session(p.high).number}
			w.dialled(to, d, true)
		})
	})
}

// dialled ends a dial.
func (w *World) dialled(to way, d *dial, ok bool) {
	if w.dials[to] != d {
		return // it timed out, and its answer came later
	}
	delete(w.dials, to)
	w.note(map[bool]string{true: "connected", false: "unreached"}[ok], to.from, to.to)
	for _, then := range d.waiting {
		then(ok)
	}
}

// connected reports whether two nodes are connected.
func (w *World) connected(a, b int) bool {
	p := pairOf(a, b)
	now := sessions{w.session(p.low).number, w.session(p.high).number}
	if s, ok := w.links[p]; ok {
		return s == now
	}
	if now != (sessions{}) || p.high >= w.pop.Len() {
		return false
	}
	for _, end := range []int{a, b} {
		if r := w.role(end); r == dead || r == nated || w.node(end).alone {
			return false
		}
	}
	switch w.scenario.Links {
	case AllOpen:
		return true
	case TableOpen:
		return w.knew(a, b) || w.knew(b, a)
	}
	return false
}

// knew reports whether node a knew node b at the start.
func (w *World) knew(a, b int) bool {
	n := w.node(a)
	if n.view == nil {
		v := w.pop.view(a, bucketSize(w.scenario.Table))
		n.view = &v
	}
	return slices.Contains(n.view.known, int32(b)) //nolint:gosec // a population has less than 2^31 nodes
}
