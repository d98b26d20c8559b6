package gossip

import (
	"maps"
	"slices"
)

// An order brings the messages of one peer into the order of their numbers, each once.
// They come on several paths, some faster than others, and are repeated after a
// connection broke.
type order struct {
	session  uint64
	previous uint64            // the session before: its late messages are dropped
	next     uint64            // the number of the message that is due; 0: not known yet
	early    map[uint64][]byte // messages with later numbers
	bytes    int               // of these, as pubsub sends them
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
	if _, again := o.early[number]; !again {
		o.early[number] = data
		o.bytes += len(data) + overhead
	}
	if messages := o.due(); len(messages) > 0 || !o.crowded() {
		return messages
	}
	return o.skip()
}

// crowded reports whether more messages wait than a peer repeats. As long as they are no more,
// the peer may repeat the missing ones. They were lost, for example, with a link that ended.
func (o *order) crowded() bool { return len(o.early) > minRecent && o.bytes > maxRecentBytes }

// due returns the messages that need not wait.
func (o *order) due() (messages [][]byte) {
	for {
		data, ok := o.early[o.next]
		if !ok {
			return messages
		}
		delete(o.early, o.next)
		o.bytes -= len(data) + overhead
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
	o.bytes = 0
	return messages
}
