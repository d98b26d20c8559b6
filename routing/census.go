package routing

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Where the estimate of a network that has grown is too old, lookups seem crowded as well. A
// crowd is around one key, and a network grows everywhere. So before a lookup takes its target
// for crowded, it asks some contacts elsewhere for the ones around them, as they are now.

const (
	// censusPlaces is how many contacts are asked so.
	censusPlaces = 4

	// censusVotes is how many of them must answer: with fewer, the target counts as crowded.
	censusVotes = 3

	// beyondCrowd is how far they are from the target at least, in multiples of how far those
	// are that seem to crowd it.
	beyondCrowd = 2

	// censusGrowth is by how much a network may have grown for a census to see all of it: the
	// contact that is asked then knows the k closest to the key that it is asked about.
	censusGrowth = 8
)

// A census is what contacts elsewhere say of how many nodes there are around them.
type census struct {
	places []*candidate // to be asked yet
	bits   int          // how many bits a key that they are asked about shares with theirs, at least
	votes  int
	ranks  float64 // the nodes that they named, all together
	width  float64 // the part of the key space that a node has, where there are fewest
}

// newCensus returns a census of seeds. They are as far as can be from the target and from each
// other, and each is in a Group of its own. The contacts that seem to crowd the target are
// within reach of it. The census has no places if their answers would be too few to count: with
// k up to 3, or where fewer than three seeds are that far.
//
// Seeds come from our own table, where a crowd that has not filled it is one in many, or from
// the result of an earlier lookup of a key near the target. Contacts of that result are nearer
// to the target than most of the table, so that they are chosen only where others are too few.
func (l *Lookup) newCensus(reach float64) *census {
	var seeds, chosen []*candidate
	for _, c := range l.known {
		if c.depth == 1 && !c.Doubtful && l.canPoll(c) && l.target.distance(c.Key) > beyondCrowd*reach {
			seeds = append(seeds, c)
		}
	}
	slices.SortFunc(seeds, func(a, b *candidate) int { return l.target.Compare(b.Key, a.Key) })
	apart := func(c *candidate, bits int) bool {
		return l.target.CPL(c.Key) <= bits && !slices.ContainsFunc(chosen, func(other *candidate) bool {
			return c.Key.CPL(other.Key) > bits || c.Group != "" && c.Group == other.Group
		})
	}
	for bits := range KeyBits {
		for _, c := range seeds {
			if len(chosen) < censusPlaces && apart(c, bits) {
				chosen = append(chosen, c)
			}
		}
		if len(chosen) == censusPlaces {
			break
		}
	}
	all := census{votes: len(chosen), ranks: float64(len(chosen) * l.k), width: 1}
	if size := all.size(); size.Estimate().thin() {
		chosen = nil
	}
	bits := math.Ceil(math.Log2(censusGrowth * l.nodes() / float64(l.k)))
	return &census{places: chosen, bits: int(min(max(bits, 0), MaxRefreshCPL))}
}

// canPoll reports whether c is asked nothing now, and has not failed.
func (l *Lookup) canPoll(c *candidate) bool {
	return (c.state == fresh || c.state == answered) && !l.hasAskedAgain(c)
}

// poll returns the contact that p is to ask for a census, if there is one. It is asked about an
// ID next to its own, which follows from its key and the target: about itself, a contact of
// go-libp2p-kad-dht names itself alone.
func (l *Lookup) poll(p *path) *candidate {
	for c := l.census; len(c.places) > 0; c.places = c.places[1:] {
		if place := c.places[0]; l.canPoll(place) {
			rng := rand.New(rand.NewPCG(place.Key.word(0), l.target.word(0)))
			beside := ContactOf(peer.ID(PreimageOf(place.Key, c.bits, rng)))
			return &candidate{Contact: place.Contact, path: p.index, depth: place.depth, about: &candidate{Contact: beside}, polls: true}
		}
	}
	return nil
}

// count takes in the contacts that s named: the ones closest to an ID next to its own.
//
// Where there are fewest nodes, counts for all: a contact that lies makes no target seem less
// crowded as long as one of the others does not.
func (c *census) count(s *candidate, closer []Contact, k int) {
	around := slices.DeleteFunc(slices.Clone(closer), func(n Contact) bool { return n.ID == s.ID })
	SortByDistance(s.about.Key, around)
	around = around[:min(len(around), k)]
	if len(around) == 0 {
		return
	}
	c.votes++
	n := float64(len(around))
	c.ranks += n
	c.width = max(c.width, s.about.Key.distance(around[len(around)-1].Key)/n)
}

// size returns the size of the network by c; nothing if too few have answered.
func (c *census) size() Size {
	if c.votes < censusVotes {
		return Size{}
	}
	return Size{ranks: c.ranks, reach: c.ranks * c.width}
}
