package gossip

import (
	"maps"
	"slices"
)

// maxEarly bounds the messages of one peer that wait for an earlier one.
const maxEarly = 64

// An order brings the messages of one peer into the order of their numbers, each once.
// They come on several paths, some faster than others, and are repeated after a
// connection broke.
type order struct {
	session  uint64
	previous uint64            // the session before: its late messages are dropped
	next     uint64            // the number of the message that is due; 0: not known yet
	early    map[uint64][]byte // messages with later numbers
	awaited  uint64            // the missing message for which a gap is noted
}

// expect notes the number of the next message, if none is known: a peer that has just
// joined does not wait for earlier messages.
func (o *order) expect(number uint64) {
	if o.next == 0 {
		o.next = number
	}
}

// take takes a message, and returns the messages that are due now.
func (o *order) take(number uint64, data []byte) [][]byte {
	o.expect(number)
	if number < o.next {
		return nil // received before
	}
	if o.early == nil {
		o.early = make(map[uint64][]byte)
	}
	o.early[number] = data
	if len(o.early) > maxEarly {
		return o.skip()
	}
	return o.due()
}

// due returns the messages that need not wait.
func (o *order) due() (messages [][]byte) {
	for {
		data, ok := o.early[o.next]
		if !ok {
			return messages
		}
		delete(o.early, o.next)
		messages = append(messages, data)
		o.next++
	}
}

// skip gives up the missing messages, and returns the others.
func (o *order) skip() (messages [][]byte) {
	for _, number := range slices.Sorted(maps.Keys(o.early)) {
		messages = append(messages, o.early[number])
		o.next = number + 1
	}
	clear(o.early)
	return messages
}
