package routing

// A contact can name nodes that do not exist, each closer to the target than any node
// that does. A lookup would wait SlowAfter for one of them again and again. So it
// counts for each namer how many of the contacts that it named answer.

// maxUnanswered is how many unanswered requests a namer may cause at a time, and how
// many more with each contact that has answered. If as many fail or are slow, as many
// more are made, with the patience for a doubtful contact, and then none. Where 40 %
// of all contacts are dead, one honest peer in 100 gets the short patience, and one in
// 10 000 is not believed any more, unless others name the same contacts.
const maxUnanswered = 5

// A naming counts the requests to contacts that one contact named.
type naming struct {
	good int // answered
	open int // waiting
	bad  int // slow or failed
}

// A trust says how a fresh candidate is asked. Lower is better.
type trust uint8

const (
	trusted trust = iota // in order of distance
	doubted              // after the trusted ones, and as if doubtful
	held                 // after the requests to others have ended
	refused              // not at all
)

// trust returns how contacts are asked that have no other namer.
func (n naming) trust() trust {
	limit := maxUnanswered * (1 + n.good)
	asked := n.open + n.bad
	switch {
	case asked < limit:
		return trusted
	case n.bad < limit:
		return held
	case asked < 2*limit:
		return doubted
	case n.open > 0:
		return held
	}
	return refused
}

// trust returns how c is asked: as its best namer deserves, so that a liar which names
// an honest contact does it no harm. Seeds are trusted.
func (c *candidate) trust() trust {
	best, _ := c.bestNamer()
	return best
}

// bestNamer returns the namer of c that is trusted most, the first one of several, and
// how much. It is nil for a seed.
func (c *candidate) bestNamer() (best trust, by *candidate) {
	for _, n := range c.namers {
		if t := n.naming.trust(); by == nil || t < best {
			best, by = t, n
		}
		if best == trusted {
			break
		}
	}
	return best, by
}

// namedBy records that by, if not nil, named c as well. A seed needs no namer.
func (c *candidate) namedBy(by *candidate) {
	n := len(c.namers)
	if by == nil || n == 0 || c.namers[n-1] == by {
		return
	}
	c.namers = append(c.namers, by)
}

// settleNaming counts for the namer of c, which was asked, that c moves to a state.
func (c *candidate) settleNaming(to state) {
	if c.namer != nil {
		w := &c.namer.naming
		*w.count(c.state)--
		*w.count(to)++
	}
}

// count returns the number of the asked contacts in state s.
func (n *naming) count(s state) *int {
	switch s {
	case waiting:
		return &n.open
	case answered:
		return &n.good
	}
	return &n.bad
}
