package sim

import (
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"

	"github.com/go-kad/kad/routing"
)

// A World is a network in virtual time. All that happens in it follows from the
// population, the scenario and the seed. It is not safe for concurrent use.
type World struct {
	// Log, if not nil, gets a line for each event.
	Log io.Writer

	pop      *Population
	scenario Scenario
	seed     uint64
	rng      *rand.Rand
	line     timeline
	nodes    map[int]*node
	links    map[pair]sessions
	dials    map[way]*dial
	cuts     []cut
	invented inventions
	inFlight int // requests that are awaited
	requests int // ever sent
	trace    hash.Hash64
}

// A pair is two nodes, the lower number first.
type pair struct{ low, high int }

// pairOf returns the pair of two nodes.
func pairOf(a, b int) pair { return pair{min(a, b), max(a, b)} }

// A way is from one node to another.
type way struct{ from, to int }

// A node is what a world knows of one that something happened to.
type node struct {
	view   *view          // whom it knows at the start; nil until somebody asks
	table  *routing.Table // nil while it knows whom it knew at the start
	holds  map[routing.Key]bool
	memory *memory // nil until it asks something
	alone  bool    // at the start nobody is connected to it
	session
	upkeep
}

// NewWorld returns the network of a population at the start of a scenario.
func NewWorld(pop *Population, s Scenario, seed uint64) *World {
	w := &World{
		pop:      pop,
		scenario: s.withDefaults(),
		seed:     seed,
		rng:      newRNG(seed),
		nodes:    make(map[int]*node),
		links:    make(map[pair]sessions),
		dials:    make(map[way]*dial),
		trace:    fnv.New64a(),
	}
	w.partition()
	if s.Upkeep {
		w.tend()
	}
	return w
}

// Seed returns the seed that the world was made from.
func (w *World) Seed() uint64 { return w.seed }

// Now returns how long the world has been running.
func (w *World) Now() time.Duration { return w.line.now }

// Advance lets the world run for d.
func (w *World) Advance(d time.Duration) { w.line.until(w.line.now + d) }

// epoch is when worlds begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant

// time returns the time that tables and lookups are told.
func (w *World) time() time.Time { return epoch.Add(w.line.now) }

// Trace returns a hash of all that happened: two worlds in which the same
// happened at the same times have the same.
func (w *World) Trace() uint64 { return w.trace.Sum64() }

// note writes down that something happened between two nodes.
func (w *World) note(what string, from, to int) {
	_, _ = fmt.Fprintf(w.trace, "%d %s %d %d\n", w.line.now, what, from, to)
	if w.Log != nil {
		_, _ = fmt.Fprintf(w.Log, "%12v %-9s %d %d\n", w.line.now, what, from, to)
	}
}

// Contact returns a node, or one that liars invented, as others know it.
func (w *World) Contact(i int) routing.Contact {
	if i >= w.pop.Len() {
		return w.invented.contacts[i-w.pop.Len()]
	}
	return w.pop.Contact(i)
}

// number returns which node a contact is.
func (w *World) number(c routing.Contact) int {
	if i, ok := w.pop.find(c.Key); ok {
		return i
	}
	return w.pop.Len() + w.invented.numbers[c.Key]
}

// node returns what is known of a node.
func (w *World) node(i int) *node {
	n := w.nodes[i]
	if n == nil {
		n = &node{}
		w.nodes[i] = n
	}
	return n
}

// Table returns the table of a node. It may be changed.
func (w *World) Table(i int) *routing.Table {
	n := w.node(i)
	if n.table == nil {
		n.table = w.pop.table(i, w.scenario.Table)
	}
	return n.table
}

// closest returns the contacts that node i knows closest to target, without one
// of them.
func (w *World) closest(i int, target routing.Key, without int) []routing.Contact {
	n, k := w.node(i), w.scenario.Lookup.K
	table := n.table
	if table == nil && w.pop.tables != nil {
		table = w.pop.tables[i]
	}
	if table != nil {
		return w.except(table.Closest(target, k+1), without, k)
	}
	if n.view == nil {
		v := w.pop.view(i, bucketSize(w.scenario.Table))
		n.view = &v
	}
	var out []routing.Contact
	for _, c := range w.pop.closest(*n.view, target, k, without) {
		out = append(out, w.pop.Contact(c))
	}
	return out
}

// except returns the first n contacts without one of them.
func (w *World) except(contacts []routing.Contact, without, n int) []routing.Contact {
	id := w.Contact(without).ID
	for i, c := range contacts {
		if c.ID == id {
			contacts = append(contacts[:i], contacts[i+1:]...)
			break
		}
	}
	return contacts[:min(n, len(contacts))]
}

// A role is what is wrong with a node.
type role uint8

const (
	well role = iota
	dead
	silent
	slow
	liar
	nated
)

// role returns what is wrong with a node.
func (w *World) role(i int) role {
	if i >= w.pop.Len() {
		if w.scenario.Lie == LieSybils {
			return liar
		}
		return dead
	}
	if w.pop.gone != nil && w.pop.gone[i] {
		return dead
	}
	s, u := &w.scenario, unit(mix(w.seed, forRole, word(i)))
	for _, part := range []struct {
		share float64
		role  role
	}{{s.Dead, dead}, {s.Silent, silent}, {s.Slow, slow}, {s.Liars, liar}, {s.NATed, nated}} {
		if u < part.share {
			return part.role
		}
		u -= part.share
	}
	return well
}

// Answers reports whether a node is there and answers whoever dials it: only
// such ones can be in a result.
func (w *World) Answers(i int) bool {
	switch w.role(i) {
	case dead, silent, nated:
		return false
	}
	return w.session(i).up
}

// honest reports whether a node answers, and does not lie.
func (w *World) honest(i int) bool { return w.Answers(i) && w.role(i) != liar }

// Anybody returns a random node that is well. It panics if there is none among
// many tries.
func (w *World) Anybody() int {
	for range 100_000 {
		if i := w.rng.IntN(w.pop.Len()); w.role(i) == well && w.session(i).up {
			return i
		}
	}
	panic("sim: nobody is well")
}

// AnyPreimage returns random bytes, whose key is to be looked up.
func (w *World) AnyPreimage() []byte { return randomBytes(w.rng) }
