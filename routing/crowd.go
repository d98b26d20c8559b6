package routing

// Peers that are made to lie next to a key can deny, and drop, what is stored under it. They
// show by their distances: more of them are near the key than chance brings there.

const (
	// crowdChance is how unlikely it is, by chance, that the K closest are as near as they
	// are, so that they count as a crowd: one lookup of 10 000 in a network without liars.
	crowdChance = 1e-4

	// maxCrowd bounds the contacts that a lookup finds in a crowd, in multiples of K.
	maxCrowd = 4
)

// crowdedBy reports whether so many nodes within a distance, as a share of the key space, are
// more than chance brings there. To be on the safe side, the network has two standard
// deviations more nodes than it is estimated to have.
func (e Estimate) crowdedBy(count int, within float64) bool {
	return !e.thin() && 1-atMost(count-1, e.Nodes*(1+2*e.Error)*within) < crowdChance
}

// CrowdedCount reports whether so many contacts nearer to target than key is are more than
// chance brings there. It is false while the size of the network is unknown.
func (e Estimate) CrowdedCount(target, key Key, count int) bool {
	return e.crowdedBy(count, target.distance(key))
}

// Crowded reports whether contacts, the closest to target, are more than chance brings so near
// to it. It is false while the size of the network is unknown.
func (e Estimate) Crowded(target Key, closest []Contact) bool {
	return len(closest) > 0 && e.crowdedBy(len(closest), target.distance(closest[len(closest)-1].Key))
}

// Within returns how many nodes a network of that size has on average as near to target as
// key is, at least; 0 if the size is unknown.
func (e Estimate) Within(target, key Key) float64 {
	if e.thin() {
		return 0
	}
	return max(0, 1-2*e.Error) * e.Nodes * target.distance(key)
}

// widen has a lookup that is over go on where the target seems crowded. First it asks elsewhere
// whether the network has grown: then its size is mended, and the target is not crowded. Else
// it is to find all contacts that are as near as K would be on average, whatever is nearer. It
// reports whether there is more to find.
func (l *Lookup) widen() bool {
	if l.nodes() == 0 || l.stopped() || len(l.answered) < l.k {
		return false
	}
	if !l.crowded {
		reach := l.target.distance(l.answered[l.k-1].Key)
		if !l.cfg.Size.crowdedBy(l.k, reach) {
			return false
		}
		if l.census == nil {
			l.census = l.newCensus(reach)
			return true
		}
		grown := l.census.size()
		if now := grown.Estimate(); !now.thin() && !now.crowdedBy(l.k, reach) {
			l.grown, l.cfg.Size = grown, now
			return true
		}
	}
	l.crowded = true
	radius, within := float64(l.k)/l.nodes(), 0
	for _, c := range l.known {
		if c.state != failed && c.believed() && l.target.distance(c.Key) <= radius {
			within++
		}
	}
	within = min(max(within, l.k+1), maxCrowd*l.k)
	if within <= l.cfg.K {
		return false
	}
	l.cfg.Beta += within - l.cfg.K
	l.cfg.K = within
	return true
}
