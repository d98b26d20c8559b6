package routing

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxPaces is how many round trips a Paces remembers in each of two halves, at
	// about 100 bytes each. A table has some hundreds of contacts.
	maxPaces = 2048

	// lately is over how many requests the share that fails is averaged.
	lately = 64

	// manyAnswers is how many answers show whether most take longer than they did before.
	manyAnswers = 8
)

// Paces are what a node has learnt from its own requests: how long each peer takes
// to answer, how many requests fail, and how many nodes the network has. Lookups set
// their patience by them. The zero value has learnt nothing. Paces are not safe for
// concurrent use.
type Paces struct {
	all     RTT // of the first answer of each peer
	peers   map[peer.ID]*RTT
	before  map[peer.ID]*RTT // the older half, which is forgotten first
	failing float64
	excess  [manyAnswers]time.Duration // how much longer than before the last answers took
	answers int                        // how many of them there are, and where the next one goes
	size    Size
	crowded []sighting // what was found where targets were crowded, since one was not
}

// A sighting is what a lookup has found: the contacts closest to key.
type sighting struct {
	key     Key
	closest []Contact
}

// reach returns how far the contacts are from the key, as a share of the key space.
func (s sighting) reach() float64 { return s.key.distance(s.closest[len(s.closest)-1].Key) }

// Answered records that a peer took so long to answer on an open connection.
//
// Only the first answer of each peer counts for [Paces.Strangers]: quick peers answer
// the requests of a burst first, so that all answers together would be too quick.
func (p *Paces) Answered(id peer.ID, took time.Duration) {
	pace := p.of(id)
	if pace == nil {
		pace = new(RTT)
		if p.all.seen {
			p.exceed(took - p.all.mean)
		}
		p.all.Memory = lately
		p.all.Observe(took)
	} else {
		p.exceed(took - pace.mean)
	}
	if p.peers[id] == nil {
		if p.peers == nil || len(p.peers) == maxPaces {
			p.before, p.peers = p.peers, make(map[peer.ID]*RTT)
		}
		p.peers[id] = pace
	}
	pace.Observe(took)
	p.failing -= p.failing / lately
}

// exceed records how much longer than before an answer took.
func (p *Paces) exceed(by time.Duration) {
	p.excess[p.answers%manyAnswers] = by
	p.answers++
}

// delay returns how much longer than before more than half of the last answers took, at least; 0
// if fewer did, or answers are few. Jitter makes it a part of itself. Where our own connection or
// the machine has become slow, it is much more, and counts for the peers too that have not
// answered since. It fades as the means follow.
func (p *Paces) delay() time.Duration {
	if p.answers < manyAnswers {
		return 0
	}
	sorted := p.excess
	slices.Sort(sorted[:])
	return max(0, sorted[(manyAnswers-1)/2])
}

// Failed records that a peer did not answer in time, or at all.
func (p *Paces) Failed() { p.failing += (1 - p.failing) / lately }

// Strangers returns the longest time that a peer which has never answered us is
// expected to take; 0 if no peer has answered yet.
func (p *Paces) Strangers() time.Duration { return p.expect(&p.all, p.delay()) }

// expect returns the longest time that an answer is expected to take, where all take longer by
// delay.
func (p *Paces) expect(pace *RTT, delay time.Duration) time.Duration {
	if !pace.seen {
		return 0
	}
	return min(pace.Timeout(p.failing)+delay, maxTimeout)
}

// Expect sets RoundTrip and Expect of each contact: from its own answers, or if it has
// never answered, from the answers of all peers. If most answers take longer than before, each
// is expected to.
func (p *Paces) Expect(contacts []Contact) {
	delay := p.delay()
	strangers := p.expect(&p.all, delay)
	for i := range contacts {
		c := &contacts[i]
		c.RoundTrip, c.Expect = 0, strangers
		if pace := p.of(c.ID); pace != nil {
			c.RoundTrip, c.Expect = pace.Mean(), p.expect(pace, delay)
		}
	}
}

// found records what a lookup of key has found: the nodes closest to it, with none
// missing. The keys of several lookups must be apart, as [Size] says.
func (p *Paces) found(key Key, closest []Contact) { p.size.Observe(key, closest) }

// network returns how many nodes there are, and the share of the requests that fail.
// The size is that of the lookups recorded with found, and of neighbours: the contacts
// closest to us now, with none missing. They count in this call only.
func (p *Paces) network(self Key, neighbours []Contact) (size Estimate, failing float64) {
	s := p.size
	s.Observe(self, neighbours)
	return s.Estimate(), p.failing
}

// Tune returns cfg with Size and Failing set. The neighbours are the contacts closest
// to self. They count if there are K at least: fewer may be all that there are, or all
// that we know.
func (p *Paces) Tune(cfg LookupConfig, self Key, neighbours []Contact) LookupConfig {
	if len(neighbours) < cfg.withDefaults().K {
		neighbours = nil
	}
	cfg.Size, cfg.Failing = p.network(self, neighbours)
	return cfg
}

// even reports whether the contacts are spread as chance spreads them, and not huddled around
// the key: the nearer half of them reaches half as far as all on average.
func (s sighting) even() bool {
	half := sighting{s.key, s.closest[:(len(s.closest)+1)/2]}
	return half.reach() >= s.reach()/4
}

// manyCrowds is how many lookups in a row find crowds where the network has grown. Their
// targets are apart, or cover crowdedShare of the key space together: in a small network,
// there is no room for as many.
const (
	manyCrowds   = 6
	crowdedShare = 0.5
)

// Learn takes in the result of a lookup of key. If the lookup has converged, its result
// counts for the size of the network; recalled is when the seeds taken from an earlier
// lookup last answered. Unless it is zero, the result does not count: one part of the
// key space counts once.
//
// A crowd does not count, whose peers would make the network seem larger. Where one lookup
// after the other finds one, and its contacts are spread evenly, the network has grown, and
// their results are the first to count for its new size. Without that, all targets in a
// network that grew from 40 nodes to 200 at once would seem crowded for good, and lookups
// would ask 90 peers in place of 24. Sybils that are to pass for growth so have to lie around
// six targets, and no longer nearer to each than all other peers.
//
// A census that shows growth replaces the size at once. For a false one, all of the three or
// four contacts that have answered it must lie. The next results correct it, since a size is
// made of sums: one that was a thousand times too large is 4 to 6 times too large after one result
// of 20 contacts, and 1.6 to 1.8 times after five (TestFalseGrowthFades).
func (p *Paces) Learn(recalled time.Time, key Key, r Result) {
	if r.grown != (Size{}) {
		p.size, p.crowded = r.grown, nil
	}
	switch {
	case r.End != Converged || !recalled.IsZero():
	case !r.Crowded:
		p.crowded = nil
		p.found(key, r.Closest)
	case sighting{key, r.Closest}.even():
		p.crowd(sighting{key, r.Closest})
	}
}

// crowd takes in what a lookup of a crowded target has found.
func (p *Paces) crowd(found sighting) {
	covered := found.reach()
	for _, s := range p.crowded {
		if s.key.distance(found.key) <= max(s.reach(), found.reach()) {
			return // one part of the key space counts once
		}
		covered += s.reach()
	}
	p.crowded = append(p.crowded, found)
	if len(p.crowded) < manyCrowds && covered < crowdedShare {
		return
	}
	p.size = Size{}
	for _, s := range p.crowded {
		p.found(s.key, s.closest)
	}
	p.crowded = nil
}

// of returns the round trip of a peer; nil if it is unknown.
func (p *Paces) of(id peer.ID) *RTT {
	if pace := p.peers[id]; pace != nil {
		return pace
	}
	return p.before[id]
}
