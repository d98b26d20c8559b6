package sim

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// A search is one lookup of one node. It does what package host does for one,
// without its goroutines: it sends the requests that the lookup wants, tells it
// and the table what became of them, and at its end gives up what is under way.
// This is the only place that drives a [routing.Lookup].
type search struct {
	w      *World
	from   int
	target routing.Key
	errand errand
	tally  *Tally
	lookup *routing.Lookup
	calls  []*call // under way
	wake   *event
	over   bool
	life   int // the session of the node in which it began

	heard func(from int, r reply) // each answer; nil if nobody wants them
	done  func(routing.Result)    // the end
}

const (
	// seedFactor is how many times k contacts a lookup starts from, as in host.
	seedFactor = 4

	// doubtAge is for how long a peer that failed is doubted, as in host.
	doubtAge = time.Minute
)

// start begins a search.
func (s *search) start() {
	w := s.w
	table := w.Table(s.from)
	seeds := table.Seeds(s.target, seedFactor*w.scenario.Lookup.K)
	k := w.knowledge(s.from)
	seeds = append(k.seeds(s.target), seeds...)
	w.judge(s.from, seeds)
	table.Refreshed(w.time(), w.Contact(s.from).Key.CPL(s.target))
	s.life = w.session(s.from).number
	s.lookup = routing.NewLookup(w.Contact(s.from).ID, s.target, seeds, k.config(w.scenario.Lookup))
	w.note("lookup", s.from, len(seeds))
	s.step()
}

// step does what the lookup wants now.
func (s *search) step() {
	w := s.w
	w.line.callOff(s.wake)
	if now := w.session(s.from); !now.up || now.number != s.life {
		s.giveUp() // the node is gone, and its search with it
		return
	}
	for !s.over {
		switch action := s.lookup.Next(w.time()); action.Kind {
		case routing.Ask:
			s.ask(action.Contact)
		case routing.Wait:
			s.wake = w.line.after(action.Until.Sub(w.time()), s.step)
			return
		case routing.Drop:
			s.drop(s.w.number(action.Contact))
		case routing.Done:
			s.giveUp()
			w.knowledge(s.from).found(w, s.target, s.lookup.Result())
			w.note("done", s.from, 0)
			s.done(s.lookup.Result())
		}
	}
}

// giveUp ends the search, and the requests that are under way. Those that are
// slow by now are doubted.
func (s *search) giveUp() {
	s.over = true
	for _, c := range s.calls {
		if c.over {
			continue
		}
		s.w.giveUp(c)
		s.late(c)
	}
}

// late doubts whom a request that is given up was sent to, if it has taken too
// long.
func (s *search) late(c *call) {
	if s.w.line.now-c.since >= s.w.scenario.Lookup.SlowAfter {
		contact := s.w.Contact(c.to)
		s.w.doubt(s.from, contact.ID)
		s.w.Table(s.from).Doubt(s.w.time(), contact)
	}
}

// drop gives up the request to one node.
func (s *search) drop(to int) {
	for _, c := range s.calls {
		if c.to == to && !c.over {
			s.w.giveUp(c)
			s.late(c)
		}
	}
}

// ask sends a request that the lookup wants.
func (s *search) ask(contact routing.Contact) {
	c := &call{
		way:    way{s.from, s.w.number(contact)},
		errand: s.errand,
		target: s.target,
		tally:  s.tally,
	}
	c.done = func(r reply, ok bool) {
		s.w.learn(s.from, contact, ok)
		if ok {
			s.w.knowledge(s.from).answered(c.to, s.w.line.now-max(c.sent, c.since))
			s.w.judge(s.from, r.closer)
			s.lookup.Answered(contact.ID, r.closer)
			if s.heard != nil {
				s.heard(c.to, r)
			}
		} else {
			s.lookup.Failed(contact.ID)
		}
		s.step()
	}
	c.connected = func() {
		if s.lookup.Connected(s.w.time(), contact.ID) {
			s.step()
		}
	}
	s.calls = append(s.calls, c)
	s.w.request(c)
}

// learn tells a node's table that a contact answered or failed.
func (w *World) learn(i int, contact routing.Contact, ok bool) {
	table := w.Table(i)
	if ok {
		if !w.live(i) {
			w.node(i).doubts = nil // it was its own connection
		}
		delete(w.node(i).doubts, contact.ID)
		table.Seen(w.time(), routing.Contact{ID: contact.ID, Key: contact.Key})
	} else {
		w.doubt(i, contact.ID)
		table.Failed(w.time(), contact)
	}
	w.tendSoon(i)
}

// doubt records that a node expects little of a peer for a while.
func (w *World) doubt(i int, id peer.ID) {
	n := w.node(i)
	if n.doubts == nil {
		n.doubts = make(map[peer.ID]time.Duration)
	}
	n.doubts[id] = w.line.now + doubtAge
}

// live reports whether a node has somebody to ask, and is not offline.
func (w *World) live(i int) bool {
	table := w.Table(i)
	return table.Len() > 0 && !table.Offline(w.time())
}

// judge marks those of contacts that a node doubts.
func (w *World) judge(i int, contacts []routing.Contact) {
	doubts := w.node(i).doubts
	live := w.live(i)
	for j, c := range contacts {
		until, ok := doubts[c.ID]
		contacts[j].Doubtful = live && (c.Doubtful || ok && w.line.now < until)
		w.knowledge(i).judge(w, i, &contacts[j])
	}
}
