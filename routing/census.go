package routing

import "slices"

// Where the estimate of a network that has grown is too old, lookups seem crowded as well. A
// crowd is around one key, and a network grows everywhere. So before a lookup takes its target
// for crowded, it asks some contacts elsewhere for the ones closest to them, as they are now.

const (
	// censusPlaces is how many contacts are asked so.
	censusPlaces = 4

	// censusVotes is how many of them must answer: with fewer, the target counts as crowded.
	censusVotes = 3

	// beyondCrowd is how far they are from the target at least, in multiples of how far those
	// are that seem to crowd it.
	beyondCrowd = 2
)

// A census is what contacts elsewhere say of how many nodes there are around them.
type census struct {
	places []*candidate // to be asked yet
	votes  int
	ranks  float64 // the nodes that they named, all together
	width  float64 // the part of the key space that a node has, where there are fewest
}

// newCensus returns a census of seeds, which come from our own table: a crowd that has not
// filled it is among them as one in many. They are as far as can be from the target and from
// each other, and each is in a Group of its own. The contacts that seem to crowd the target
// are within reach of it.
func (l *Lookup) newCensus(reach float64) *census {
	var chosen []*candidate
	apart := func(c *candidate, bits int) bool {
		return l.target.CPL(c.Key) <= bits && !slices.ContainsFunc(chosen, func(other *candidate) bool {
			return c.Key.CPL(other.Key) > bits || c.Group != "" && c.Group == other.Group
		})
	}
	for bits := range KeyBits {
		for _, c := range slices.Backward(l.paths[0].candidates) { // it has heard of all seeds
			usable := c.depth == 1 && !c.Doubtful && (c.state == fresh || c.state == answered)
			if len(chosen) < censusPlaces && usable && l.target.distance(c.Key) > beyondCrowd*reach && apart(c, bits) {
				chosen = append(chosen, c)
			}
		}
		if len(chosen) == censusPlaces {
			break
		}
	}
	return &census{places: chosen}
}

// next returns the contact that p is to ask about itself, if there is one.
func (c *census) next(p *path) *candidate {
	for len(c.places) > 0 {
		if place := c.places[0]; place.state == fresh || place.state == answered {
			return &candidate{Contact: place.Contact, path: p.index, depth: place.depth, about: place}
		}
		c.places = c.places[1:] // it is being asked for the target, or has failed
	}
	return nil
}

// polls reports whether c is asked about itself: by a census.
func (c *candidate) polls() bool { return c.about != nil && c.about.ID == c.ID }

// count takes in the contacts that s named, those closest to itself.
//
// Where there are fewest nodes, counts for all: a contact that lies makes no target seem less
// crowded as long as one of the others does not.
func (c *census) count(s *candidate, closer []Contact, k int) {
	around := slices.DeleteFunc(slices.Clone(closer), func(n Contact) bool { return n.ID == s.ID })
	SortByDistance(s.Key, around)
	around = around[:min(len(around), k)]
	if len(around) == 0 {
		return
	}
	c.votes++
	n := float64(len(around))
	c.ranks += n
	c.width = max(c.width, s.Key.distance(around[len(around)-1].Key)/n)
}

// size returns the size of the network by c; nothing if too few have answered.
func (c *census) size() Size {
	if c.votes < censusVotes {
		return Size{}
	}
	return Size{ranks: c.ranks, reach: c.ranks * c.width}
}
