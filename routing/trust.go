package routing

// A contact that names others gives its word for them. One that invents them
// would otherwise have a lookup wait SlowAfter for some of them, again and again,
// each closer to the target than anybody real. So its word is good for so many
// unanswered requests at a time, and for as many more with each contact that has
// answered of those asked on its word.

// blameAfter is for how many unanswered requests a word is good. If that many
// fail or are slow, the namer is blamed: it is given as many more, with the
// patience for a doubtful contact, and then none. Where 40 % of all contacts are
// dead, that blames one honest peer in 100, and silences one in 10 000, if nobody
// else names the same ones.
const blameAfter = 5

// A word is what came of the requests that were made on the word of a contact.
type word struct {
	good int // answered
	open int // waiting
	bad  int // slow or failed
}

// A trust says how a fresh candidate is asked. Lower is better.
type trust uint8

const (
	trusted trust = iota // in order of distance
	doubted              // after the trusted ones, and as if doubtful
	held                 // not before it is known what becomes of others
	refused              // not at all
)

// trust returns how those are asked that only the owner of w named.
func (w word) trust() trust {
	limit := blameAfter * (1 + w.good)
	asked := w.open + w.bad
	switch {
	case asked < limit:
		return trusted
	case w.bad < limit:
		return held
	case asked < 2*limit:
		return doubted
	case w.open > 0:
		return held
	}
	return refused
}

// trust returns how c is asked: as the best of its namers deserves, so that a
// liar who names an honest contact does it no harm. Seeds are trusted.
func (c *candidate) trust() trust {
	best, _ := c.bestNamer()
	return best
}

// bestNamer returns the namer of c that is trusted most, the first one of those,
// and how much. It is nil for a seed.
func (c *candidate) bestNamer() (best trust, by *candidate) {
	for _, n := range c.namers {
		if t := n.word.trust(); by == nil || t < best {
			best, by = t, n
		}
		if best == trusted {
			break
		}
	}
	return best, by
}

// namedBy records that by, if not nil, named c as well. A seed needs no word.
func (c *candidate) namedBy(by *candidate) {
	n := len(c.namers)
	if by == nil || n == 0 || c.namers[n-1] == by {
		return
	}
	c.namers = append(c.namers, by)
}

// vouch records on whose word c is asked, and returns how far that is trusted.
func (c *candidate) vouch() trust {
	best, by := c.bestNamer()
	c.voucher, c.namers = by, nil
	if by != nil {
		by.word.open++
	}
	return best
}

// settleWord tells the voucher of c, which was asked, that c moves to a state.
func (c *candidate) settleWord(to state) {
	if c.voucher != nil {
		w := &c.voucher.word
		*w.count(c.state)--
		*w.count(to)++
	}
}

// count returns the number of those in state s, which have been asked.
func (w *word) count(s state) *int {
	switch s {
	case waiting:
		return &w.open
	case answered:
		return &w.good
	}
	return &w.bad
}
