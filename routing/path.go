package routing

import (
	"bytes"
	"slices"
	"time"
)

// maxCandidates is how many contacts a path remembers. A lookup of some 30
// requests hears of at most 30 times K contacts, most of them more than once,
// and only the K closest live ones matter; the others are a reserve if
// they fail. It bounds the memory that peers which make up contacts can take.
const maxCandidates = 1000

// The state of a candidate.
type state uint8

const (
	fresh    state = iota // not asked yet
	waiting               // asked, holds a slot
	slow                  // asked, unanswered for too long: counts as not there
	answered              // answered
	failed                // did not answer, or is not awaited any more
)

// A candidate is a contact that a lookup has heard of. Paths share it: all see
// its state, and only the path that asked it hears which contacts it named.
type candidate struct {
	Contact
	state    state
	polls    bool          // it is asked by a census
	path     int           // the path that asked it
	paths    int           // how many remember it
	depth    int           // hops to it, on the shortest way known when it was asked
	patience time.Duration // how long its dial, or its answer, may take
	since    time.Time     // when it was asked, or its dial began or ended
	slowAt   time.Time     // when it is slow
	namers   []*candidate  // the contacts that named it, while it is fresh; none if it is a seed
	few      [4]*candidate // where namers are as long as they are few
	namer    *candidate    // the one of them for which it was asked
	others   []word        // of contacts that name it at other addresses than Wire
	past     [][]byte      // where it was asked before
	unheard  bool          // its request has ended without an answer
	about    *candidate    // what it is asked about in place of the target; nil if it is not
	naming   naming        // what became of the contacts that it named
}

// A path is one of the disjoint walks of a lookup.
//
// A contact belongs to the path that asks it. If it belonged to the path that hears of
// it first, paths would lack what others are told. A lookup among 300 nodes takes 27
// requests with 8 paths, as with one.
//
// Source: S/Kademlia, section 4.4.
type path struct {
	index      int
	candidates []*candidate // closest first
	narrow     int          // requests in flight while it makes progress
	wide       int          // ... and while it makes none
	waiting    int          // its requests that hold a slot
	fruitless  int          // answers and failures in a row that brought no closer contact
	stopped    bool
	reaches    []reach      // of its answers
	again      []*candidate // contacts that are asked once more, about others than the target
	unheard    []float64    // kept for its memory
	sure       float64      // its confidence ...
	judged     int          // ... after so many events
}

// newPath returns path i of a lookup, with its share of the slots.
func newPath(i int, cfg LookupConfig) *path {
	share := func(n int) int {
		if i < n%cfg.Paths {
			return n/cfg.Paths + 1
		}
		return max(1, n/cfg.Paths)
	}
	return &path{index: i, narrow: share(cfg.Alpha), wide: share(2 * cfg.Alpha)}
}

// note records the outcome of a request of p.
func (p *path) note(progress bool) {
	if progress {
		p.fruitless = 0
	} else {
		p.fruitless++
	}
}

// skips reports whether c counts as not there: it failed, is slow, is too far to
// be asked, or has no namer that is trusted.
func (l *Lookup) skips(c *candidate) bool {
	switch c.state {
	case slow, failed:
		return true
	case fresh:
		return l.tooDeep(c.depth) || c.trust() != trusted
	}
	return false
}

// awaits reports whether c, which counts as not there, may still be asked.
func (l *Lookup) awaits(c *candidate) bool {
	return c.state == fresh && !l.tooDeep(c.depth) && c.trust() != refused
}

// tooDeep reports whether contacts at that depth are not asked.
func (l *Lookup) tooDeep(depth int) bool {
	return l.cfg.MaxDepth > 0 && depth > l.cfg.MaxDepth
}

// survey reports whether Beta candidates of p, which is over, have answered, and
// whether one that was too deep to be asked is among the K closest.
func (l *Lookup) survey(p *path) (full, limited bool) {
	live := 0
	for _, c := range p.candidates {
		switch {
		case c.state == fresh && l.tooDeep(c.depth):
			return live >= l.cfg.Beta, true
		case l.skips(c):
			continue
		}
		if live++; live == l.cfg.K {
			break
		}
	}
	return live >= l.cfg.Beta, false
}

// hear adds contacts to p, which by named, or seeds if by is nil. It reports
// whether that is progress: one of them is among the K closest that p knows.
func (l *Lookup) hear(p *path, by *candidate, contacts []Contact) (progress bool) {
	bar := l.farthest(p)
	for _, c := range contacts {
		if c.ID == l.self || c.ID == "" {
			continue
		}
		if l.add(p, by, c) && !c.Doubtful && (bar == nil || l.target.Compare(c.Key, bar.Key) < 0) {
			progress = true
		}
	}
	return progress
}

// farthest returns the K-th closest live candidate of p, or nil if there are
// fewer.
func (l *Lookup) farthest(p *path) *candidate {
	live := 0
	for _, c := range p.candidates {
		if l.skips(c) {
			continue
		}
		if live++; live == l.cfg.K {
			return c
		}
	}
	return nil
}

// add makes c, which by named, a candidate of p, and reports whether p did not
// know it and can use it.
func (l *Lookup) add(p *path, by *candidate, c Contact) bool {
	depth := 1
	if by != nil {
		depth = by.depth + 1
	}
	known := l.known[c.ID]
	if known == nil {
		known = &candidate{Contact: c, depth: depth}
		if by != nil {
			known.namers = append(known.few[:0], by)
		}
	} else if known.state == fresh {
		known.depth = min(known.depth, depth)
		known.namedBy(by)
	}
	if by != nil && !bytes.Equal(c.Wire, known.Wire) {
		known.alsoAt(word{by, c.Wire})
	}
	i, found := search(p.candidates, l.target, known.Key)
	if found || i >= maxCandidates {
		return false
	}
	l.known[c.ID] = known
	known.paths++
	p.candidates = slices.Insert(p.candidates, i, known)
	if len(p.candidates) > maxCandidates {
		l.forgetFarthest(p)
	}
	return !l.skips(known)
}

// forgetFarthest drops the last candidate of p. Asked ones stay known to the
// lookup, so that none is asked twice, and seeds for a census: contacts that name a thousand
// others near the target do not choose by that which of them it asks.
func (l *Lookup) forgetFarthest(p *path) {
	last := len(p.candidates) - 1
	c := p.candidates[last]
	p.candidates = slices.Delete(p.candidates, last, last+1)
	c.paths--
	if c.paths == 0 && c.state == fresh && c.depth > 1 {
		delete(l.known, c.ID)
	}
}

// search returns where in candidates, which are sorted by their distance to
// target, the one with that key is or belongs.
func search(candidates []*candidate, target, key Key) (int, bool) {
	return slices.BinarySearchFunc(candidates, key, func(c *candidate, key Key) int {
		return target.Compare(c.Key, key)
	})
}
