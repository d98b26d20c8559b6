package sim

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-kad/kad/routing"
)

// A Past says how a network grew.
type Past struct {
	Growth  time.Duration // in which the first nodes arrive, one after the other
	Churn   time.Duration // after that; each node that leaves is replaced by a new one
	Session Span          // how long a node stays
}

// A past is a network that grows: only the tables are simulated, by the rules of
// package routing, and no message takes time.
type past struct {
	Past
	pop    *Population // of all nodes that ever come
	rng    *rand.Rand
	tables map[int]*routing.Table // of the nodes that are there
	moves  moves
	next   int   // the ordinal that arrives next
	number []int // of each ordinal
}

// A move is something that a node does in the past of a network.
type move struct {
	at   time.Duration
	node int
	what func(p *past, node int, at time.Duration)
}

// moves are a heap, the earliest first.
type moves []move

func (m moves) Len() int           { return len(m) }
func (m moves) Less(i, j int) bool { return m[i].at < m[j].at }
func (m moves) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *moves) Push(x any)        { *m = append(*m, x.(move)) } //nolint:forcetypeassert // only moves are pushed
func (m *moves) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

const (
	// pastReserve is how many nodes may come in the past, in multiples of the ones that
	// are there at its end.
	pastReserve = 12

	// tendEvery is how often a node removes the contacts that have left, and looks a
	// random key up.
	tendEvery = time.Hour
)

// Grown returns n nodes whose tables are those of a network that grew.
func Grown(n int, seed uint64, how Past) *Population {
	p := &past{
		Past: how, pop: NewPopulation(pastReserve*n, seed), rng: newRNG(mix(seed, forPast)),
		tables: make(map[int]*routing.Table),
	}
	p.number = make([]int, p.pop.Len())
	for i, ordinal := range p.pop.ordinal {
		p.number[ordinal] = i
	}
	for i := range n {
		p.plan(how.Growth*time.Duration(i)/time.Duration(n), -1, (*past).arrive)
	}
	for p.moves.Len() > 0 && p.moves[0].at < how.Growth+how.Churn {
		m := heap.Pop(&p.moves).(move) //nolint:forcetypeassert // only moves are pushed
		m.what(p, m.node, m.at)
	}
	return p.end()
}

// plan has a node do something later.
func (p *past) plan(at time.Duration, node int, what func(*past, int, time.Duration)) {
	heap.Push(&p.moves, move{at, node, what})
}

// arrive has the next node come and join.
func (p *past) arrive(_ int, at time.Duration) {
	i := p.number[p.next]
	p.next++
	table := routing.NewTable(p.pop.keys[i], routing.TableConfig{})
	p.ask(i, p.pop.keys[i], table, at) // a lookup of itself
	p.tables[i] = table
	f := table.Fill()
	for req, ok := f.Next(table); ok; req, ok = f.Next(table) {
		to, _ := p.pop.find(req.To.Key)
		if p.tables[to] == nil {
			f.Ended(req, nil)
			continue
		}
		p.meet(i, to, table, at)
		f.Ended(req, p.tables[to].Closest(p.keyAt(p.pop.keys[i], req.CPL), 20))
	}
	p.plan(at+p.Session(p.rng.Uint64()), i, (*past).leave)
	p.plan(at+time.Duration(p.rng.Int64N(int64(tendEvery))), i, (*past).tend)
}

// leave has a node go, and another come.
func (p *past) leave(i int, at time.Duration) {
	delete(p.tables, i)
	p.arrive(-1, at)
}

// tend has a node remove the contacts that have left, and look a random key up.
func (p *past) tend(i int, at time.Duration) {
	table := p.tables[i]
	if table == nil {
		return
	}
	for removed := true; removed; {
		removed = false
		for _, c := range slices.Collect(table.All()) {
			if to, _ := p.pop.find(c.Key); p.tables[to] == nil {
				removed = table.Remove(c) || removed
			}
		}
	}
	p.ask(i, routing.KeyOf(randomBytes(p.rng)), table, at)
	p.plan(at+tendEvery, i, (*past).tend)
}

// ask has a node ask the nodes closest to a key, as its lookup does.
func (p *past) ask(i int, key routing.Key, table *routing.Table, at time.Duration) {
	for _, to := range p.pop.Closest(key, 20, func(j int) bool { return j != i && p.tables[j] != nil }) {
		p.meet(i, to, table, at)
	}
}

// meet has a node ask another. Then both have a proof of each other.
func (p *past) meet(i, to int, table *routing.Table, at time.Duration) {
	table.Seen(epoch.Add(at), p.pop.Contact(to))
	if other := p.tables[to]; other.Wants(p.pop.Contact(i)) {
		other.Seen(epoch.Add(at), p.pop.Contact(i))
	}
}

// keyAt returns a random key that shares cpl bits with self.
func (p *past) keyAt(self routing.Key, cpl int) routing.Key {
	return routing.KeyOf(routing.Preimage(self, cpl, p.rng))
}

// end returns the nodes that are there, with what their tables hold.
func (p *past) end() *Population {
	out := &Population{seed: p.pop.seed}
	var there []int
	for i := range p.tables {
		there = append(there, i)
	}
	slices.Sort(there)
	renumbered := make(map[int]int32, len(there))
	for n, i := range there {
		renumbered[i] = int32(n)
		out.keys = append(out.keys, p.pop.keys[i])
		out.ordinal = append(out.ordinal, p.pop.ordinal[i])
	}
	for _, i := range there {
		var v view
		for c := range p.tables[i].All() {
			to, _ := p.pop.find(c.Key)
			if n, ok := renumbered[to]; ok {
				v.known = append(v.known, n)
			}
		}
		slices.SortFunc(v.known, cmp.Compare)
		out.views = append(out.views, v)
	}
	return out
}
