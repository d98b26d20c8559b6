package sim

import (
	"time"

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

	confirm  bool      // contacts that an earlier lookup found may be confirmed by others
	k        int       // how many of the closest it finds; 0: the K of the scenario
	recalled time.Time // when they last answered; zero if there are none

	heard func(from int, r reply) // each answer; nil if nobody wants them
	done  func(routing.Result)    // the end
}

// start begins a search.
func (s *search) start() {
	w := s.w
	self, table, m := w.Contact(s.from), w.Table(s.from), w.memory(s.from)
	cfg := w.scenario.Lookup
	recalled, since := m.recall.Near(w.time(), s.target)
	s.recalled = since
	seeds := append(recalled, table.Seeds(s.target, routing.SeedFactor*cfg.K)...)
	w.judge(s.from, seeds)
	if s.confirm {
		routing.MarkRecent(w.time().Sub(since), seeds[:len(recalled)])
	}
	if s.k > 0 {
		cfg.K, cfg.Alpha = s.k, min(cfg.Alpha, s.k)
	}
	table.Refreshed(w.time(), self.Key.CPL(s.target))
	s.life = w.session(s.from).number
	s.lookup = routing.NewLookup(self.ID, s.target, seeds, m.paces.Tune(cfg, self.Key, w.neighbours(s.from)))
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
			s.ask(action.Contact, action.About)
		case routing.Wait:
			s.wake = w.line.after(action.Until.Sub(w.time()), s.step)
			return
		case routing.Also: // no node of the simulator has an address
		case routing.Drop:
			s.drop(s.w.number(action.Contact))
		case routing.Done:
			s.giveUp()
			result, m := s.lookup.Result(), w.memory(s.from)
			m.paces.Learn(s.recalled, s.target, result)
			m.recall.Learn(w.time(), s.recalled, s.target, w.scenario.Lookup.K, result)
			w.note("done", s.from, 0)
			s.done(result)
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
		s.w.late(c)
	}
}

// drop gives up the request to one node.
func (s *search) drop(to int) {
	for _, c := range s.calls {
		if c.to == to && !c.over {
			s.w.giveUp(c)
			s.w.late(c)
		}
	}
}

// ask sends a request that the lookup wants, about a peer in place of the target if that
// is not empty.
func (s *search) ask(contact, about routing.Contact) {
	c := &call{
		way:    way{s.from, s.w.number(contact)},
		errand: s.errand,
		target: s.target,
		tally:  s.tally,
	}
	if about.ID != "" {
		c.errand, c.target = findNode, about.Key
	}
	c.done = func(r reply, ok bool) {
		s.w.learn(s.from, contact, ok)
		if ok {
			s.w.judge(s.from, r.closer)
			s.lookup.Answered(contact.ID, r.closer)
			if s.heard != nil && about.ID == "" {
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
