package sim

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// A memory is what a node knows of its network beside its table. Its lookups go by it.
type memory struct {
	paces  routing.Paces
	recall routing.Recall
	doubts routing.Doubts
}

const (
	// pastPeers is how many peers a node has asked before the start, and pastRequests
	// how often each: enough for the share that fails to be known.
	pastPeers    = 64
	pastRequests = 4

	// pastLookups is how many lookups a node has made before the start.
	pastLookups = 5
)

// memory returns that of node i. At first it is of the requests and lookups of before
// the start; that of a node with upkeep is empty.
func (w *World) memory(i int) *memory {
	n := w.node(i)
	if n.memory != nil {
		return n.memory
	}
	n.memory = &memory{}
	if !w.scenario.Upkeep {
		w.recollect(i, n.memory)
	}
	return n.memory
}

// recollect makes the requests and lookups of node i from before the start. The peers
// that it asked then are like the ones of the population, or of its table in a network that
// grew, and none of them.
func (w *World) recollect(i int, m *memory) {
	rng := newRNG(mix(w.seed, forPast, word(i)))
	asked := make([]int, pastPeers)
	for p := range asked {
		asked[p] = rng.IntN(w.pop.Len())
		if w.pop.views != nil && len(w.pop.views[i].known) > 0 {
			known := w.pop.views[i].known
			asked[p] = int(known[rng.IntN(len(known))])
		}
	}
	for range pastRequests {
		for p, j := range asked {
			if r := w.role(j); r != well && r != slow && r != liar {
				m.paces.Failed()
				continue
			}
			there, _ := w.delay(way{i, j})
			back, _ := w.delay(way{j, i})
			m.paces.Answered(peer.ID(fmt.Sprint("past ", p)), there+back)
		}
	}
	for range pastLookups {
		target := routing.KeyOf(randomBytes(rng))
		result := routing.Result{End: routing.Converged, Closest: w.closestAnswering(target, -1)}
		m.paces.Learn(time.Time{}, target, result)
	}
}

// neighbours returns the contacts closest to node i. Without upkeep, tables hold dead
// nodes that were never probed; then they are the closest nodes that answer, as a node
// that asks its neighbours knows them.
func (w *World) neighbours(i int) []routing.Contact {
	if w.scenario.Upkeep {
		return w.Table(i).Neighbours(w.scenario.Lookup.K)
	}
	return w.closestAnswering(w.Contact(i).Key, i)
}

// closestAnswering returns the K nodes closest to target that answer, without one.
func (w *World) closestAnswering(target routing.Key, without int) []routing.Contact {
	var closest []routing.Contact
	for _, j := range w.pop.Closest(target, w.scenario.Lookup.K, func(j int) bool { return j != without && w.Answers(j) }) {
		closest = append(closest, w.Contact(j))
	}
	return closest
}

// judge says of contacts what node i expects of them.
func (w *World) judge(i int, contacts []routing.Contact) {
	m, table := w.memory(i), w.Table(i)
	m.doubts.Mark(w.time(), table, table.Live(w.time()), contacts)
	m.paces.Expect(contacts)
	for j, c := range contacts {
		contacts[j].Connected = w.connected(i, w.number(c))
	}
}

// learn records that a contact of node i answered or failed.
func (w *World) learn(i int, contact routing.Contact, ok bool) {
	m, table := w.memory(i), w.Table(i)
	if ok {
		w.clear(i, contact)
		table.Seen(w.time(), routing.Contact{ID: contact.ID, Key: contact.Key})
	} else {
		m.paces.Failed()
		m.doubts.Add(w.time(), contact.ID)
		table.Failed(w.time(), contact)
	}
	w.tendSoon(i)
}

// checked records what became of a probe of node i that its table asked for.
func (w *World) checked(i int, contact routing.Contact, ok bool) {
	if ok {
		w.clear(i, contact)
	} else {
		w.memory(i).doubts.Add(w.time(), contact.ID)
	}
	w.Table(i).Checked(w.time(), contact, ok)
}

// clear takes a contact of node i out of doubt, and all others if it is the first to
// answer: it was the node's own connection.
func (w *World) clear(i int, contact routing.Contact) {
	m := w.memory(i)
	if !w.Table(i).Live(w.time()) {
		m.doubts.Clear()
	}
	m.doubts.Remove(contact.ID)
}

// late records that a request of node i was given up, if its answer was late.
func (w *World) late(c *call) {
	if w.line.now-max(c.sent, c.since) < routing.LateAfter(w.scenario.Lookup.SlowAfter) {
		return
	}
	w.memory(c.from).paces.Failed()
	w.doubt(c.from, w.Contact(c.to))
}

// doubt puts a contact of node i in doubt: its answer is late.
func (w *World) doubt(i int, contact routing.Contact) {
	w.memory(i).doubts.Add(w.time(), contact.ID)
	w.Table(i).Doubt(w.time(), contact)
}
