package sim

import (
	"encoding/binary"
	"math/bits"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// answer returns what a node answers to a request now.
func (w *World) answer(c *call) reply {
	if w.role(c.to) == liar {
		return reply{closer: w.lie(c)}
	}
	n := w.node(c.to)
	switch c.errand {
	case store:
		if n.holds == nil {
			n.holds = make(map[routing.Key]bool)
		}
		n.holds[c.target] = true
		return reply{}
	case getValue:
		return reply{closer: w.closest(c.to, c.target, c.from), value: n.holds[c.target]}
	}
	return reply{closer: w.closest(c.to, c.target, c.from)}
}

// lie returns what a liar answers.
func (w *World) lie(c *call) []routing.Contact {
	var named []int
	k := w.scenario.Lookup.K
	switch w.scenario.Lie {
	case LieFriends:
		named = w.pop.Closest(c.target, k, func(i int) bool { return w.role(i) == liar && i != c.to })
	case LieSybils: // all liars work together
		named = w.invent(c.target, 0, k)
	case LieInvent:
		named = w.invent(c.target, c.to, k)
	}
	contacts := make([]routing.Contact, 0, len(named))
	for _, i := range named {
		contacts = append(contacts, w.Contact(i))
	}
	return contacts
}

// inventions are the contacts that liars made up.
type inventions struct {
	contacts []routing.Contact
	numbers  map[routing.Key]int
}

// closerBits is how many bits more than the closest node an invented contact
// shares with the target. Whoever has hashed that often has such an ID.
const closerBits = 8

// invent returns n contacts that liar by makes up for a target, the same at each
// call: all closer to it than anybody real.
func (w *World) invent(target routing.Key, by, n int) []int {
	v := &w.invented
	if v.numbers == nil {
		v.numbers = make(map[routing.Key]int)
	}
	out := make([]int, 0, n)
	for j := range n {
		key := w.closeTo(target, mix(w.seed, forInvention, word(by), word(j)))
		number, ok := v.numbers[key]
		if !ok {
			number = len(v.contacts)
			v.numbers[key] = number
			v.contacts = append(v.contacts, routing.Contact{ID: peer.ID(key[:]), Key: key})
		}
		out = append(out, w.pop.Len()+number)
	}
	return out
}

// closeTo returns the key that follows from draw and shares closerBits more with
// target than the closest of so many nodes does on average.
func (w *World) closeTo(target routing.Key, draw uint64) routing.Key {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], draw)
	key := routing.KeyOf(b[:])
	shared := bits.Len(uint(w.pop.Len())) + closerBits
	for i := range shared {
		if bitOf(&key, i) != bitOf(&target, i) {
			key[i/8] ^= 1 << (7 - i%8)
		}
	}
	return key
}
