package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/go-kad/kad/routing"
)

// Join makes a node forget all it knows, and join the network as package host
// does: through some nodes that are well, then a lookup of itself, and then it fills
// its buckets. The report is of its table: Closest are the k contacts closest
// to it.
func (w *World) Join(i int) Report {
	r := Report{From: i, Target: w.Contact(i).Key}
	start := w.line.now
	w.join(i, &r.Tally, func() { r.First = w.line.now - start }, func() {
		r.Took, r.Over = w.line.now-start, true
	})
	w.await(&r.Over)
	table := w.Table(i)
	r.Closest = w.numbers(table.Closest(r.Target, w.scenario.Lookup.K))
	r.Answered = r.Closest
	w.judgeReport(&r)
	r.Filled = w.filled(i)
	return r
}

// join makes a node join. It calls found when the lookup of itself is over, and
// done at the end.
func (w *World) join(i int, tally *Tally, found, done func()) {
	n := w.node(i)
	n.table = routing.NewTable(w.Contact(i).Key, w.scenario.Table)
	n.memory = &memory{}
	n.alone = true
	w.tryToJoin(i, routing.JoinAfter(0), tally, found, done)
}

// tryToJoin makes a node try to join, and again after a wait if no node answered.
func (w *World) tryToJoin(i int, wait time.Duration, tally *Tally, found, done func()) {
	asked, failed, first := make(map[int]bool), 0, true
	settle := func(contact routing.Contact, ok bool) {
		w.learn(i, contact, ok)
		switch {
		case ok && first: // one is enough to go on
			first = false
			w.lookup(i, w.Contact(i).Key, tally, func() {
				found()
				w.lookups(i, w.Table(i).LoneCPLs(), tally, func() { w.fill(i, tally, done) })
			})
		case !ok:
			if failed++; failed == len(asked) {
				w.line.after(wait, func() { w.tryToJoin(i, routing.JoinAfter(wait), tally, found, done) })
			}
		}
	}
	for range 10 * w.scenario.Bootstraps { // in a network of few, some are drawn twice
		if len(asked) == w.scenario.Bootstraps {
			break
		}
		if to := w.Anybody(); to != i {
			asked[to] = true
		}
	}
	for _, to := range slices.Sorted(maps.Keys(asked)) {
		w.request(&call{way: way{i, to}, target: w.Contact(i).Key, tally: tally, done: func(_ reply, ok bool) {
			settle(w.Contact(to), ok)
		}})
	}
}

// lookup looks a key up for the sake of the table alone, when a node joins.
func (w *World) lookup(i int, target routing.Key, tally *Tally, done func()) {
	s := &search{w: w, from: i, target: target, tally: tally, done: func(routing.Result) { done() }}
	s.start()
}

// lookups looks a random key of each CPL up, one after the other.
func (w *World) lookups(i int, cpls []int, tally *Tally, done func()) {
	if len(cpls) == 0 {
		done()
		return
	}
	w.lookup(i, w.keyAt(i, cpls[0]), tally, func() { w.lookups(i, cpls[1:], tally, done) })
}

// fill fills the buckets of a node, some requests at a time.
func (w *World) fill(i int, tally *Tally, done func()) {
	table := w.Table(i)
	f := table.Fill()
	for _, cpl := range f.CPLs() {
		table.Refreshed(w.time(), cpl)
	}
	running, end := 0, w.line.now+routing.MaxFillTime
	var step func()
	step = func() {
		for running < routing.FillLimit && w.line.now < end {
			req, ok := f.Next(table)
			if !ok {
				break
			}
			running++
			w.fillRequest(i, req, tally, func(named []routing.Contact) {
				running--
				f.Ended(req, named)
				step()
			})
		}
		if running == 0 && done != nil {
			finish := done
			done = nil
			finish()
		}
	}
	step()
}

// fillRequest sends a request of a Fill, and gives it up after FillTimeout.
func (w *World) fillRequest(i int, req routing.FillRequest, tally *Tally, ended func(named []routing.Contact)) {
	c := &call{way: way{i, w.number(req.To)}, target: w.keyAt(i, req.CPL), tally: tally}
	late := w.line.after(routing.FillTimeout, func() {
		w.giveUp(c)
		w.doubt(i, req.To)
		ended(nil)
	})
	c.done = func(r reply, ok bool) {
		w.line.callOff(late)
		w.learn(i, req.To, ok)
		ended(r.closer)
	}
	w.request(c)
}

// keyAt returns a random key that shares exactly cpl bits with that of node i.
func (w *World) keyAt(i, cpl int) routing.Key {
	return routing.KeyOf(routing.Preimage(w.Contact(i).Key, cpl, w.rng))
}

// filled returns the share of the places in the table of a node that are taken,
// of those for which there are nodes.
func (w *World) filled(i int) float64 {
	held := make(map[int]int) // by CPL
	self := w.Contact(i).Key
	for c := range w.Table(i).All() {
		held[self.CPL(c.Key)]++
	}
	k := bucketSize(w.scenario.Table)
	taken, places := 0, 0
	for low, high := range w.pop.buckets(i) {
		there := 0
		for j := low; j < high && there < k; j++ {
			if w.Answers(j) {
				there++
			}
		}
		places += there
		taken += min(held[self.CPL(w.pop.keys[low])], there)
	}
	if places == 0 {
		return 1
	}
	return float64(taken) / float64(places)
}
