package routing

import (
	"bytes"
	"slices"
)

// A contact can name others that exist, at addresses where they are not. If it is quick, it is
// the first to name them. So a contact is asked at the addresses that most of its trusted namers
// give, and again at others if it cannot be dialled there: a contact that was connected is where
// it was asked, though it refuses or does not answer. While a request hangs, it is not repeated: a
// liar that names addresses which swallow dials hides as many contacts from one lookup as it may
// cause unanswered requests.

const (
	// maxPast is how many times more one contact is asked, at other addresses each time.
	maxPast = 3

	// maxWords is how many contacts are remembered that name one at other addresses.
	maxWords = 32
)

// A word is what one contact says of another: at which addresses it is.
type word struct {
	by   *candidate
	wire []byte
}

// chooseNamer records for which of its namers c is asked, and returns how far it is
// trusted. c is asked at the addresses that this one gave.
func (c *candidate) chooseNamer() trust {
	best, by := c.bestNamer()
	if by != nil && len(c.others) > 0 {
		by = c.chooseAddrs(best)
	}
	if by != nil {
		by.naming.open++
	}
	c.namer, c.namers, c.unheard = by, nil, false
	return best
}

// chooseAddrs takes the addresses of c that most of its namers give which are trusted so much,
// and returns one of these namers.
func (c *candidate) chooseAddrs(t trust) *candidate {
	words := make([]word, len(c.namers))
	for i, by := range c.namers {
		words[i] = word{by, c.Wire}
		if j := slices.IndexFunc(c.others, func(w word) bool { return w.by == by }); j >= 0 {
			words[i].wire = c.others[j].wire
		}
	}
	good := slices.DeleteFunc(slices.Clone(words), func(w word) bool { return w.by.naming.trust() != t })
	said := mostSaid(good)
	c.others = slices.DeleteFunc(words, func(w word) bool { return bytes.Equal(w.wire, said.wire) })
	c.Wire = said.wire
	return said.by
}

// mostSaid returns one of the words that most of the words are equal to, the first of several.
func mostSaid(words []word) (most word) {
	best := 0
	for _, w := range words {
		n := 0
		for _, other := range words {
			if bytes.Equal(w.wire, other.wire) {
				n++
			}
		}
		if n > best {
			most, best = w, n
		}
	}
	return most
}

// alsoAt records that c is at other addresses, as a contact says: the first ones, if it says so
// more than once.
func (c *candidate) alsoAt(w word) {
	was := func(wire []byte) bool { return bytes.Equal(wire, w.wire) }
	said := func(o word) bool { return o.by == w.by }
	if w.wire == nil || c.state == answered || len(c.others) >= maxWords ||
		slices.ContainsFunc(c.past, was) || slices.ContainsFunc(c.others, said) {
		return
	}
	c.others = append(c.others, w)
	c.tryElsewhere()
}

// tryElsewhere has c asked at other addresses, if there are any, and its request has ended
// without an answer.
func (c *candidate) tryElsewhere() {
	if !c.unheard || c.state != failed || len(c.others) == 0 || len(c.past) >= maxPast {
		return
	}
	said := mostSaid(c.others)
	c.past = append(c.past, c.Wire)
	c.state, c.Wire = fresh, said.wire
	c.namers = append(c.few[:0], said.by)
	c.others = slices.DeleteFunc(c.others, func(w word) bool { return bytes.Equal(w.wire, said.wire) })
}
