package sim

import (
	"time"

	"github.com/go-kad/kad/routing"
)

// upkeep is what a node that tends its table has under way.
type upkeep struct {
	probes     int    // of contacts that are due
	refreshing bool   // a stale bucket
	next       *event // when to look again
	joined     bool   // in this session
	greeting   map[int]bool
}

// tend starts the upkeep of all nodes.
func (w *World) tend() {
	for i := range w.pop.Len() {
		w.node(i).joined = true
		// Not all at once: else all would refresh at the same moment, for ever.
		age := w.scenario.RefreshInterval
		for cpl := range routing.MaxRefreshCPL + 1 {
			w.Table(i).Refreshed(epoch.Add(-time.Duration(w.rng.Int64N(int64(age)))), cpl)
		}
		w.watch(i)
	}
}

// watch looks after a node now, and again at the end of its session: a node that
// comes back knows nobody, and joins.
func (w *World) watch(i int) {
	s := w.session(i)
	if s.until > 0 {
		w.line.after(s.until-w.line.now, func() { w.turned(i) })
	}
	if s.up && w.role(i) == well {
		w.tendTable(i)
	}
}

// turned handles that a node came or left.
func (w *World) turned(i int) {
	n, s := w.node(i), w.session(i)
	w.line.callOff(n.next)
	n.upkeep = upkeep{}
	n.memory = nil
	w.note(map[bool]string{true: "came", false: "left"}[s.up], i, s.number)
	if s.up && w.role(i) == well {
		w.join(i, &Tally{}, func() {}, func() {
			n.joined = true
			w.tendTable(i)
		})
	}
	w.line.after(s.until-w.line.now, func() { w.turned(i) })
}

// tendSoon looks after a node whose table has changed.
func (w *World) tendSoon(i int) {
	n := w.node(i)
	if !w.scenario.Upkeep || !n.joined {
		return
	}
	w.line.callOff(n.next)
	n.next = w.line.after(time.Millisecond, func() { w.tendTable(i) })
}

// probeDue probes the contacts of a node that are due, and returns when the next
// ones are.
func (w *World) probeDue(i int, probed func(ok bool)) time.Time {
	n, table := w.node(i), w.Table(i)
	probe, next := table.Due(w.time(), routing.MaxChecks-n.probes)
	for _, c := range probe {
		n.probes++
		w.probe(i, w.number(c), func(ok bool) {
			n.probes--
			w.checked(i, c, ok)
			probed(ok)
		})
	}
	return next
}

// tendTable does what is due for the table of a node, and plans when to look
// again.
func (w *World) tendTable(i int) {
	n := w.node(i)
	if !w.scenario.Upkeep || !n.joined {
		return
	}
	table := w.Table(i)
	next := w.probeDue(i, func(bool) { w.tendSoon(i) })
	if cpl, k, ok := table.Stale(w.time(), w.scenario.RefreshInterval); ok && !n.refreshing {
		n.refreshing = true
		table.Refreshed(w.time(), cpl)
		s := &search{w: w, from: i, target: w.keyAt(i, cpl), tally: &Tally{}, k: k, done: func(routing.Result) { n.refreshing = false }}
		s.start()
	}
	wait := w.scenario.RefreshInterval / 10
	if !next.IsZero() {
		wait = min(wait, next.Sub(w.time()))
	}
	w.line.callOff(n.next)
	n.next = w.line.after(max(wait, time.Millisecond), func() { w.tendTable(i) })
}

// probe asks a node whether it is there. A node that leaves meanwhile hears
// nothing.
func (w *World) probe(i, to int, done func(ok bool)) {
	w.request(&call{way: way{i, to}, target: w.Contact(i).Key, tally: &Tally{}, done: func(_ reply, ok bool) { done(ok) }})
}

// met lets a node with upkeep meet one that has asked it something: asking proves
// nothing, answering will.
func (w *World) met(i, asker int) {
	n := w.node(i)
	if !w.scenario.Upkeep || !n.joined || n.greeting[asker] || len(n.greeting) >= routing.MaxIntroductions {
		return
	}
	contact := w.Contact(asker)
	if !w.Table(i).Wants(contact) {
		return
	}
	if n.greeting == nil {
		n.greeting = make(map[int]bool)
	}
	n.greeting[asker] = true
	w.probe(i, asker, func(ok bool) {
		delete(n.greeting, asker)
		if ok {
			w.learn(i, contact, ok)
		}
	})
}
