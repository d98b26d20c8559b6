package sim

import (
	"container/heap"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-kad/kad/routing"
)

// A Past says how a network grew.
type Past struct {
	Growth  time.Duration // in which the first nodes arrive, one after the other
	Churn   time.Duration // after that; each node that leaves is replaced by a new one
	Decline time.Duration // after that; nodes leave, and none comes
	Lost    float64       // the share of the nodes that leave in the decline before their session ends
	Session Span          // how long a node stays
	K       int           // of tables and lookups. If zero, 20
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

// Grown returns n nodes whose tables are those of a network that grew: fewer if it has
// declined. Tables name nodes that are gone, too, since their owners last looked. These are
// in the population, and count for none of its n nodes.
func Grown(n int, seed uint64, how Past) *Population {
	setDefault(&how.K, 20)
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
	if how.Lost > 0 {
		p.plan(how.Growth+how.Churn, -1, (*past).decline)
	}
	for p.moves.Len() > 0 && p.moves[0].at < how.Growth+how.Churn+how.Decline {
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
	table := routing.NewTable(p.pop.keys[i], routing.TableConfig{K: p.K})
	p.ask(i, p.pop.keys[i], p.K, table, at) // a lookup of itself
	p.tables[i] = table
	f := table.Fill()
	for req, ok := f.Next(table); ok; req, ok = f.Next(table) {
		to, _ := p.pop.find(req.To.Key)
		if p.tables[to] == nil {
			f.Ended(req, nil)
			continue
		}
		p.meet(i, to, table, at)
		f.Ended(req, p.tables[to].Closest(p.keyAt(p.pop.keys[i], req.CPL), p.K))
	}
	p.plan(at+p.Session(p.rng.Uint64()), i, (*past).leave)
	p.plan(at+time.Duration(p.rng.Int64N(int64(tendEvery))), i, (*past).tend)
}

// leave has a node go, and another come unless the network declines.
func (p *past) leave(i int, at time.Duration) {
	if p.tables[i] == nil {
		return // it was lost before its session ended
	}
	delete(p.tables, i)
	if at < p.Growth+p.Churn {
		p.arrive(-1, at)
	}
}

// decline has the share of the nodes that are lost go, one after the other.
func (p *past) decline(_ int, at time.Duration) {
	for _, i := range p.there() {
		if p.rng.Float64() < p.Lost {
			p.plan(at+time.Duration(p.rng.Int64N(int64(p.Decline))), i, (*past).leave)
		}
	}
}

// there returns the nodes that are there, in order.
func (p *past) there() []int { return slices.Sorted(maps.Keys(p.tables)) }

// tend has a node remove the contacts that have left, and look a random key up.
func (p *past) tend(i int, at time.Duration) {
	table := p.tables[i]
	if table == nil {
		return
	}
	k := routing.RefreshK
	for removed := true; removed; {
		removed = false
		for _, c := range slices.Collect(table.All()) {
			if to, _ := p.pop.find(c.Key); p.tables[to] == nil {
				removed = table.Remove(c) || removed
				k = p.K
			}
		}
	}
	p.ask(i, routing.KeyOf(randomBytes(p.rng)), k, table, at)
	p.plan(at+tendEvery, i, (*past).tend)
}

// ask has a node ask the k nodes closest to a key, as its lookup does.
func (p *past) ask(i int, key routing.Key, k int, table *routing.Table, at time.Duration) {
	for _, to := range p.pop.Closest(key, k, func(j int) bool { return j != i && p.tables[j] != nil }) {
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

// end returns the nodes that are there or that their tables name, with what their tables
// hold.
func (p *past) end() *Population {
	named := make(map[int]bool)
	for i, table := range p.tables {
		named[i] = true
		for c := range table.All() {
			to, _ := p.pop.find(c.Key)
			named[to] = true
		}
	}
	out := &Population{seed: p.pop.seed}
	renumbered := make(map[int]int32, len(named))
	all := slices.Sorted(maps.Keys(named))
	for n, i := range all {
		renumbered[i] = int32(n)
		out.keys = append(out.keys, p.pop.keys[i])
		out.ordinal = append(out.ordinal, p.pop.ordinal[i])
		out.gone = append(out.gone, p.tables[i] == nil)
	}
	for _, i := range all {
		var v view
		if table := p.tables[i]; table != nil {
			for c := range table.All() {
				to, _ := p.pop.find(c.Key)
				v.known = append(v.known, renumbered[to])
			}
		}
		slices.Sort(v.known)
		out.views = append(out.views, v)
	}
	return out
}
