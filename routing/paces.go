package routing

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxPaces is how many round trips a Paces remembers in each of two halves, at
	// about 100 bytes each. A table has some hundreds of contacts.
	maxPaces = 2048

	// lately is over how many requests the share that fails is averaged.
	lately = 64
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
	size    Size
}

// Answered records that a peer took so long to answer on an open connection.
//
// Only the first answer of each peer counts for [Paces.Strangers]: quick peers answer
// the requests of a burst first, so that all answers together would be too quick.
func (p *Paces) Answered(id peer.ID, took time.Duration) {
	pace := p.of(id)
	if pace == nil {
		pace = new(RTT)
		p.all.Memory = lately
		p.all.Observe(took)
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

// Failed records that a peer did not answer in time, or at all.
func (p *Paces) Failed() { p.failing += (1 - p.failing) / lately }

// Strangers returns the longest time that a peer which has never answered us is
// expected to take; 0 if no peer has answered yet.
func (p *Paces) Strangers() time.Duration { return p.all.Timeout(p.failing) }

// Expect sets RoundTrip and Expect of each contact: from its own answers, or if it has
// never answered, from the answers of all peers.
func (p *Paces) Expect(contacts []Contact) {
	strangers := p.Strangers()
	for i := range contacts {
		c := &contacts[i]
		c.RoundTrip, c.Expect = 0, strangers
		if pace := p.of(c.ID); pace != nil {
			c.RoundTrip, c.Expect = pace.Mean(), pace.Timeout(p.failing)
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

// Learn takes in the result of a lookup of key. If the lookup has converged, its result
// counts for the size of the network; recalled is when the seeds taken from an earlier
// lookup last answered. Unless it is zero, the result does not count: one part of the
// key space counts once. Nor does a crowd count, whose peers would make the network seem
// larger, until they are no crowd.
func (p *Paces) Learn(recalled time.Time, key Key, r Result) {
	if r.End == Converged && recalled.IsZero() && !r.Crowded {
		p.found(key, r.Closest)
	}
}

// of returns the round trip of a peer; nil if it is unknown.
func (p *Paces) of(id peer.ID) *RTT {
	if pace := p.peers[id]; pace != nil {
		return pace
	}
	return p.before[id]
}
