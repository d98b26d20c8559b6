package routing

import "math"

const (
	// farRanks is the rank, in multiples of K, beyond which a contact is asked for the
	// way only, by half as many requests at a time: the first few answers show it.
	farRanks = 4

	// quiet is after how many answers in a row that brought no closer contact all of
	// the K closest are asked, with twice as many requests.
	quiet = 2

	// spareShare is how many contacts beyond K, as a share of K, a lookup asks if some
	// of the closest are likely gone.
	spareShare = 0.1

	// failingWeight is how many requests LookupConfig.Failing counts as.
	failingWeight = 10
)

// A scan is one walk through the candidates of a path, closest first.
type scan struct {
	next     *candidate // to be asked first
	doubtful *candidate // to be asked if no other is
	led      bool       // a contact closer than next is being asked
	over     bool
	live     int
	gone     int // likely gone, and holding no slot
}

// pick returns the contact that p is to ask now, if any, whether p is over: its Beta closest
// live candidates, or all of them, have answered, and whether one is to be asked for which
// there is no room.
//
// Closer ones with namers that are not trusted are awaited, and hold up no other: doubted
// ones are asked last.
func (l *Lookup) pick(p *path) (next *candidate, over, full bool) {
	if p.stopped {
		return nil, true, false
	}
	s := scan{over: true}
	h := l.horizon()
	for _, c := range p.candidates {
		if h.passed {
			break
		}
		switch skips := l.skips(c); {
		case !skips:
			l.look(&s, c)
			l.pass(&h, p, c)
		case l.awaits(c):
			s.over = false
			if s.doubtful == nil && c.trust() == doubted {
				s.doubtful = c
			}
		}
	}
	if s.next == nil {
		s.next = s.doubtful
	}
	if s.next == nil && (h.gone || l.crowded) {
		s.next = l.askAgain(p)
		s.over = s.over && s.next == nil && !p.asksAgain()
	}
	if s.next == nil && l.census != nil {
		s.next = l.poll(p)
		s.over = s.over && s.next == nil && !p.asksAgain()
	}
	if s.over || s.next == nil || p.waiting-s.gone >= l.slots(p, s.next) || l.waiting() >= l.most() {
		return nil, s.over, s.next != nil && !s.over
	}
	return s.next, false, false
}

// look takes the live candidate c into s.
func (l *Lookup) look(s *scan, c *candidate) {
	if (c.state == fresh || c.state == waiting) && !l.presumed(c) {
		s.over = s.over && s.live >= l.cfg.Beta
		s.led = s.led || s.next == nil && c.state == waiting
		if c.state == fresh && (s.next == nil || s.led && l.overtakes(c, s.next)) {
			s.next = c
		}
		if c.state == waiting && l.likelyGone(c) {
			s.gone++
		}
	}
	s.live++
}

// overtakes reports whether c is asked before other, which is closer: if both share
// as many bits with the target, and c is quicker. Far from the target, speed matters;
// near it, no two contacts share as many bits.
func (l *Lookup) overtakes(c, other *candidate) bool {
	return c.quicker(other) && l.target.CPL(c.Key) == l.target.CPL(other.Key)
}

// quicker reports whether c is likely to answer sooner than other.
func (c *candidate) quicker(other *candidate) bool {
	switch {
	case c.Doubtful != other.Doubtful:
		return other.Doubtful
	case c.Connected != other.Connected:
		return c.Connected
	case c.RoundTrip > 0 && other.RoundTrip > 0:
		return c.RoundTrip < other.RoundTrip
	}
	return c.RoundTrip > other.RoundTrip
}

// likelyGone reports whether c has yet to be dialled where most that were asked
// were connected. It is awaited, and the next one is asked in its place. To ask such
// contacts first would end a lookup sooner where a fifth is dead, in 362 ms instead of
// 419 ms, and find 0.990 of the closest instead of 0.995.
func (l *Lookup) likelyGone(c *candidate) bool {
	return c.state != answered && !c.Connected && 2*l.dialled < l.requests
}

// slots returns how many requests p may have in flight if next is the next one.
//
// Source: Kademlia paper, section 2.3, for asking all of the K closest.
func (l *Lookup) slots(p *path, next *candidate) int {
	switch {
	case l.target.distance(next.Key)*l.nodes() > float64(farRanks*l.cfg.K):
		return (p.narrow + 1) / 2
	case p.fruitless >= quiet:
		return p.wide
	}
	return p.narrow
}

// A horizon is how far from the target contacts are asked: as far as K are expected
// to answer. While the size of the network is unknown, that is the K closest live ones.
type horizon struct {
	want   float64 // how many more must answer
	gone   bool    // some are likely gone
	spare  int     // how many more are asked, if the confidence is too low
	passed bool    // the next candidates are beyond it
}

// almost is how much less than K expected answers are enough, since they are the
// sum of many shares.
const almost = 0.01

// horizon returns where that of a path begins.
func (l *Lookup) horizon() horizon {
	h := horizon{want: float64(l.cfg.K) - almost}
	if l.nodes() > 0 {
		h.spare = int(math.Ceil(spareShare * float64(l.cfg.K)))
	}
	return h
}

// pass takes c into h, that of p: the next live candidate.
func (l *Lookup) pass(h *horizon, p *path, c *candidate) {
	share := l.likelihood(c)
	h.want -= share
	h.gone = h.gone || share < 0.95
	switch {
	case h.want > 0:
	case !h.gone || l.confidence(p) >= enough:
		h.passed = true
	case h.spare == 0:
		h.passed = true
	default:
		h.spare--
	}
}

// likelihood returns how likely the live candidate c has answered or will. While
// the size of the network is unknown it is 1, unless c is likely gone.
func (l *Lookup) likelihood(c *candidate) float64 {
	switch {
	case c.state == answered:
		return 1
	case l.likelyGone(c):
		return 0
	case l.nodes() == 0:
		return 1
	}
	return l.answering()
}

// answering returns the share of the contacts that answer, as far as it shows.
func (l *Lookup) answering() float64 {
	lost := failingWeight*l.cfg.Failing + float64(l.failed+len(l.overdue))
	return 1 - lost/(failingWeight+float64(l.failed+len(l.overdue)+len(l.answered)))
}
