package routing

import "math"

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
	cpl int     // of the contact that answered, with the target
	far float64 // the distance of the farthest it named
}

// reachOf returns the reach of an answer of c.
func (l *Lookup) reachOf(c *candidate, closer []Contact) reach {
	r := reach{cpl: l.target.CPL(c.Key)}
	for _, n := range closer {
		r.far = max(r.far, l.target.distance(n.Key))
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
	sum, from, live := 0.0, 0.0, almost
	for _, c := range p.candidates {
		if l.skips(c) {
			continue
		}
		at := l.target.distance(c.Key)
		sum += (at - from) * l.cfg.Size.Nodes * l.missedBy(p, at, l.target.CPL(c.Key))
		from = at
		p.unheard = append(p.unheard, sum)
		if live += l.likelihood(c); live >= float64(l.cfg.K) {
			return p.unheard, true
		}
	}
	return p.unheard, false
}

// missedBy returns how likely no answer to p names a given node at that distance,
// which shares cpl bits with the target.
func (l *Lookup) missedBy(p *path, at float64, cpl int) float64 {
	missed := 1.0
	for _, r := range p.reaches {
		if r.far >= at {
			bucket := math.Ldexp(l.cfg.Size.Nodes, -1-min(cpl, r.cpl))
			missed *= 1 - (1-missShare)*min(1, float64(l.cfg.K)/bucket)
		}
	}
	return missed
}

// confidence returns how likely the K closest live candidates of p are the K
// closest nodes that are alive; 0 if there are fewer.
func (l *Lookup) confidence(p *path) float64 {
	if u, full := l.unheard(p); full {
		return math.Exp(-u[len(u)-1])
	}
	return 0
}

// overall returns the confidence of the lookup: that of its best path, since a path of
// liars cannot hide what another finds. Without the size of the network, it is 1 if
// all of the closest have answered.
func (l *Lookup) overall() float64 {
	switch {
	case l.end == Exhausted && len(l.overdue) > 0: // there are no others to compare with
		return float64(len(l.answered)) / float64(len(l.answered)+len(l.overdue))
	case l.end == Exhausted, l.end == Converged && l.nodes() == 0:
		return 1
	case l.nodes() == 0:
		return 0
	}
	best := 0.0
	for _, p := range l.paths {
		best = max(best, l.confidence(p))
	}
	return best
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
