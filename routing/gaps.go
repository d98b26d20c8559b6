package routing

import (
	"math"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A contact names the K closest to the target that it knows, gone ones among them. All
// that know the neighbourhood whole name the same ones. The nodes that take the place of
// the gone are named by contacts that are farther away, which overlook late comers. So a
// lookup asks some of the near contacts once more: for the contacts closest to another
// peer near the target, where answers so far leave a gap.

// gapShare is how many contacts are asked so, as a share of K.
const gapShare = 0.5

// minGapRequests is how many may be asked so at least, whatever K is.
const minGapRequests = 6

// askAgain returns the contact of p to ask about the widest gap; nil if p is confident, or
// has asked enough, or there is none.
func (l *Lookup) askAgain(p *path) *candidate {
	most := max(minGapRequests, int(math.Ceil(gapShare*float64(l.cfg.K))))
	if l.nodes() <= float64(2*l.k) || p.gapRequests() >= most || l.confidence(p) >= enough {
		return nil
	}
	about := l.gap(p)
	if about == nil {
		return nil
	}
	var by *candidate
	for _, c := range p.candidates {
		if c.state == answered && c != about && !l.hasAskedAgain(c) && (by == nil || about.Key.Compare(c.Key, by.Key) < 0) {
			by = c
		}
	}
	if by == nil {
		return nil
	}
	return &candidate{Contact: by.Contact, path: by.path, depth: by.depth, about: about}
}

// gap returns the live candidate of p around which most nodes are unheard of, of the ones
// that are expected to be among the K closest. The answers that are under way count as if
// they were here.
func (l *Lookup) gap(p *path) (widest *candidate) {
	reaches := p.reaches
	for _, s := range p.again {
		if s.state == waiting && !s.polls {
			far := float64(l.k) * l.answering() / l.nodes()
			reaches = append(slices.Clip(reaches), reach{s.Key, s.about.Key, far})
		}
	}
	most := minGap / l.nodes()
	l.gaps(p, reaches, func(width, missed float64, near *candidate) {
		if gap := width * missed; gap > most {
			widest, most = near, gap
		}
	})
	return widest
}

// gaps calls visit with each gap between two live candidates of p, up to the K closest that
// are expected: how wide it is, how likely a node in it is missed by all of the answers, and
// the one of the two near which that is likelier. It reports whether there are K.
//
// An answer may name the nodes near both ends of a gap, and none inside: how far it reaches
// is a distance from what the contact was asked about, which is not always the target. So
// places inside the gap count, and not its ends.
func (l *Lookup) gaps(p *path, reaches []reach, visit func(width, missed float64, near *candidate)) (full bool) {
	live, rooms := almost, l.rooms()
	var last *candidate // the live one before
	var from Key        // its distance
	for _, c := range p.candidates {
		if l.skips(c) {
			continue
		}
		to := l.target.xor(c.Key)
		var halves [2]float64
		for i, place := range quarters(from, to) {
			halves[i/2] += l.missedBy(rooms, reaches, l.target.xor(place)) / 2
		}
		near := c
		if last != nil && halves[0] > halves[1] {
			near = last
		}
		visit(Key{}.distance(to)-Key{}.distance(from), (halves[0]+halves[1])/2, near)
		from, last = to, c
		if live += l.likelihood(c); live >= float64(l.cfg.K) {
			return true
		}
	}
	return false
}

// quarters returns the middle of each quarter between two distances.
func quarters(from, to Key) [4]Key {
	half := from.middle(to)
	first, third := from.middle(half), half.middle(to)
	return [4]Key{from.middle(first), first.middle(half), half.middle(third), third.middle(to)}
}

// minGap is how many nodes unheard of are worth a request, on average.
const minGap = 0.001

// hasAskedAgain reports whether a path has asked c about another peer than the target. No
// other path does then, and no census: of two such requests to one contact that are under way,
// an answer would not show which one it belongs to.
func (l *Lookup) hasAskedAgain(c *candidate) bool {
	return slices.ContainsFunc(l.paths, func(p *path) bool {
		return slices.ContainsFunc(p.again, func(s *candidate) bool { return s.ID == c.ID })
	})
}

// gapRequests returns how many contacts p has asked once more because of gaps.
func (p *path) gapRequests() (n int) {
	for _, s := range p.again {
		if !s.polls {
			n++
		}
	}
	return n
}

// asksAgain reports whether p awaits an answer about another peer than the target.
func (p *path) asksAgain() bool {
	return slices.ContainsFunc(p.again, func(s *candidate) bool { return s.state == waiting })
}

// againOf returns the request about another peer than the target that id is to answer;
// nil if there is none.
func (l *Lookup) againOf(id peer.ID) *candidate {
	for _, p := range l.paths {
		for _, s := range p.again {
			if s.ID == id && (s.state == waiting || s.state == slow) {
				return s
			}
		}
	}
	return nil
}

// answeredAgain takes in the contacts that s named, which are closest to the peer that it was
// asked about.
func (l *Lookup) answeredAgain(p *path, s *candidate, closer []Contact) {
	if s.polls {
		l.census.count(s, closer, l.k)
		l.events++
		return
	}
	l.changed = l.hear(p, l.known[s.ID], closer) || l.changed
	p.reaches = append(p.reaches, reachOf(s, s.about.Key, closer))
	l.events++
}
