package routing

import (
	"math"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// enough is the confidence at which a lookup looks no further.
	enough = 0.99

	// certain is how likely a contact must be among the K closest to be certain. One
	// in 20 is not among them, and costs a request if something is sent to it.
	certain = 0.95

	// missShare is the share of the contacts that a peer leaves out which it
	// should name.
	missShare = 0.1
)

// A reach is what an answer shows of how complete our knowledge is.
type reach struct {
	by    Key     // of the contact that answered
	about Key     // what it was asked for
	far   float64 // the distance from that of the farthest contact it named
}

// reachOf returns the reach of an answer of c about a key.
func reachOf(c *candidate, about Key, closer []Contact) reach {
	r := reach{by: c.Key, about: about}
	for _, n := range closer {
		r.far = max(r.far, about.distance(n.Key))
	}
	return r
}

// nodes returns the size of the network; 0 if it is unknown.
func (l *Lookup) nodes() float64 {
	if l.cfg.Size.thin() {
		return 0
	}
	return l.cfg.Size.Nodes
}

// unheard returns for each live candidate of p how many nodes that no answer named
// are closer to the target, on average. It ends where K are expected to answer;
// full says whether there are so many.
//
// A contact names the closest that it knows. Up to the farthest that it named, it
// knows all nodes in buckets of its table that are not full, and K of a full one.
// How many nodes that bucket has to choose from follows from the size of the
// network.
func (l *Lookup) unheard(p *path) (nodes []float64, full bool) {
	p.unheard = p.unheard[:0]
	sum := 0.0
	full = l.gaps(p, p.reaches, func(width, missed float64, _ *candidate) {
		sum += width * l.cfg.Size.Nodes * missed
		p.unheard = append(p.unheard, sum)
	})
	return p.unheard, full
}

// missedBy returns how likely no answer named a given node with a key near to that one.
//
// Each answer may leave a node out by chance. What buckets have no room for, they leave out
// together: full buckets keep the contacts that came first, so that all overlook the same
// late ones. So that counts once, with the share of the answer that has most room.
func (l *Lookup) missedBy(rooms *rooms, reaches []reach, near Key) float64 {
	common, chance := 1.0, 1.0
	for _, r := range reaches {
		if r.about.distance(near) > r.far {
			continue
		}
		overlooked := rooms.overlooked(r.by.CPL(near))
		common = min(common, overlooked)
		chance *= overlooked + (1-overlooked)*missShare
	}
	return common + (1-common)*chance
}

// rooms are how many of the nodes that belong in a bucket it has no room for.
type rooms struct {
	k     int
	nodes float64                    // in the network, and in tables though they are gone
	share [MaxRefreshCPL + 9]float64 // by CPL, plus 1; 0 is not known yet
}

// rooms returns those of the tables of the network. To be on the safe side, the network has
// two standard deviations more nodes than it is estimated to have. The nodes that are gone
// and still in tables take places too.
func (l *Lookup) rooms() *rooms {
	return &rooms{k: l.k, nodes: l.cfg.Size.Nodes * (1 + 2*l.cfg.Size.Error) / max(l.answering(), minAnswering)}
}

// minAnswering is the least share of answering contacts that is believed.
const minAnswering = 0.1

// overlooked returns the share of the nodes of a bucket, of that CPL, for which it has no
// room.
func (r *rooms) overlooked(cpl int) float64 {
	if cpl >= len(r.share) {
		return excess(r.k, math.Ldexp(r.nodes, -1-cpl))
	}
	if r.share[cpl] == 0 {
		r.share[cpl] = 1 + excess(r.k, math.Ldexp(r.nodes, -1-cpl))
	}
	return r.share[cpl] - 1
}

// excess returns the share of so many things on average that are more than k, if they come
// independently: the Poisson distribution.
func excess(k int, mean float64) float64 {
	switch {
	case mean > float64(4*k):
		return 1 - float64(k)/mean
	case mean < float64(k)/8:
		return 0
	}
	term, over := math.Exp(-mean), mean-float64(k)
	for i := range k {
		over += float64(k-i) * term
		term *= mean / float64(i+1)
	}
	return max(0, over/mean)
}

// confidence returns how likely the K closest live candidates of p are the K
// closest nodes that are alive; 0 if there are fewer.
func (l *Lookup) confidence(p *path) float64 {
	if p.judged != l.events {
		p.judged, p.sure = l.events, 0
		if u, full := l.unheard(p); full {
			p.sure = math.Exp(-u[len(u)-1])
		}
	}
	return p.sure
}

// overall returns the confidence of the lookup: that of its best path, since a path of
// liars cannot hide what another finds, and that the contacts which were not asked again
// still answer. Without the size of the network it is 0, unless the lookup is exhausted:
// that all of the closest have answered does not show that there are no others. It is 0 too if
// one that could not be asked may be among them.
func (l *Lookup) overall() float64 {
	switch {
	case l.end == Exhausted && l.leftOut(), l.unasked():
		return 0
	case l.end == Exhausted: // there are no others to compare with
		return float64(len(l.answered)) / float64(max(1, len(l.answered)+len(l.overdue)))
	case l.nodes() == 0:
		return 0
	}
	best := 0.0
	for _, p := range l.paths {
		best = max(best, l.confidence(p))
	}
	return best * l.present()
}

// Hindered is Failed for a request that failed here, or may have: a stream, memory, a file
// descriptor or processor time was lacking. That says nothing of id. So the confidence is 0 then,
// unless K contacts that are closer have answered.
func (l *Lookup) Hindered(id peer.ID) bool {
	if c := l.awaited(id); c != nil && c.about == nil {
		l.hindered = append(l.hindered, c)
	}
	return l.Failed(id)
}

// unasked reports whether a request failed here to a contact that may be among the K closest.
func (l *Lookup) unasked() bool {
	if len(l.hindered) == 0 {
		return false
	}
	closest := l.closest()
	return slices.ContainsFunc(l.hindered, func(c *candidate) bool {
		return c.state == failed && (len(closest) < l.k || l.target.Compare(c.Key, closest[l.k-1].Key) < 0)
	})
}

// leftOut reports whether a lookup that is exhausted, with fewer than K contacts, may have heard
// of a part of the network alone. An answer of fewer than K contacts holds all that its sender knows. One of K may leave
// others out, behind contacts that have failed; and a network that is known to be larger than
// all that were heard of has others.
func (l *Lookup) leftOut() bool {
	return len(l.answered) < l.k && (l.full || l.nodes()*(1-2*l.cfg.Size.Error) > float64(len(l.known)+1))
}

// Certain returns the contacts that have answered and are most likely among the K
// closest, closest first, so that something can be sent to them while the lookup
// goes on. It is empty while the size of the network is unknown, and the Closest
// of the result once the lookup has converged or is exhausted.
func (l *Lookup) Certain() []Contact {
	if l.end == Converged || l.end == Exhausted {
		return l.Result().Closest
	}
	var out []Contact
	if l.nodes() == 0 {
		return out
	}
	taken := make(map[*candidate]bool)
	for _, p := range l.paths {
		unheard, _ := l.unheard(p)
		rank := 0
		for _, c := range p.candidates {
			if rank == min(len(unheard), l.cfg.K) {
				break
			}
			if l.skips(c) {
				continue
			}
			room := l.cfg.K - 1 - rank
			if c.state == answered && !taken[c] && atMost(room, unheard[rank]) >= certain {
				taken[c] = true
				out = append(out, c.Contact)
			}
			rank++
		}
	}
	SortByDistance(l.target, out)
	return out[:min(len(out), l.cfg.K)]
}

// atMost returns how likely there are n or fewer of what there are mean of on
// average, if they come independently: the Poisson distribution.
func atMost(n int, mean float64) float64 {
	term := math.Exp(-mean)
	sum := term
	for i := 1; i <= n; i++ {
		term *= mean / float64(i)
		sum += term
	}
	return sum
}
