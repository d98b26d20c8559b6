package routing

import (
	"bytes"
	"slices"
	"time"
)

// A contact can name others that exist, at addresses where they are not. If it is quick, it is
// the first to name them. So a contact is asked at the addresses that most of its trusted namers
// give, and again at others if it cannot be dialled there: a contact that was connected is where
// it was asked, though it refuses or does not answer. It is asked again when no other contact is to
// be asked: by then most namers have answered, and liars are trusted no more. A dial that hangs
// goes on, and other addresses are dialled beside it.

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
	if by != nil && len(c.others) > 0 && len(c.past) == 0 {
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
}

// doubted reports whether a word is that of a contact which is not trusted.
func (w word) doubted() bool { return w.by.naming.trust() != trusted }

// mayBeElsewhere reports whether c was not connected where it was asked, and may be where trusted
// contacts say: its request has failed, or its dial hangs.
func (c *candidate) mayBeElsewhere() bool {
	return (c.state == failed && c.unheard || c.state == slow && c.about == nil && !c.Connected) &&
		len(c.past) < maxPast && slices.ContainsFunc(c.others, func(w word) bool { return !w.doubted() })
}

// elsewhere returns a contact that may be elsewhere, of the closest of a path; nil if there is
// none, or no room for one more request.
func (l *Lookup) elsewhere() *candidate {
	if l.failed+len(l.overdue) == 0 || l.waiting() >= l.most() || l.requests >= l.bound() {
		return nil
	}
	for _, p := range l.paths {
		rank := 0
		for _, c := range p.candidates {
			if p.stopped || rank == l.cfg.K {
				break
			}
			switch {
			case c.path == p.index && c.mayBeElsewhere():
				return c
			case c.state != failed && c.believed():
				rank++
			}
		}
	}
	return nil
}

// askElsewhere has c asked where most of its trusted namers say it is. If its request is under
// way, that is Also: c is awaited again.
func (l *Lookup) askElsewhere(now time.Time, c *candidate) Action {
	said := mostSaid(slices.DeleteFunc(slices.Clone(c.others), word.doubted))
	c.past = append(c.past, c.Wire)
	c.Wire = said.wire
	c.others = slices.DeleteFunc(c.others, func(w word) bool { return bytes.Equal(w.wire, said.wire) })
	if c.state == failed {
		c.state, c.namers = fresh, append(c.few[:0], said.by)
		return l.ask(now, l.paths[c.path], c)
	}
	i := slices.Index(l.overdue, c)
	l.overdue = slices.Delete(l.overdue, i, i+1)
	l.paths[c.path].waiting++
	c.state, c.namer = waiting, said.by // the one before has named a contact that did not answer
	c.namer.naming.open++
	c.patience = l.patience(c, false)
	l.await(c, now)
	l.events++
	also := Action{Kind: Also, Contact: c.Contact, Path: c.path, Depth: c.depth}
	also.Contact.Namer = c.namer.ID
	return also
}
