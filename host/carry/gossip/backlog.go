package gossip

// A backlog has messages that may be sent later, the oldest first.
type backlog struct {
	messages [][]byte
	bytes    int // of the messages, as pubsub sends them
}

// add adds a message.
func (b *backlog) add(message []byte) {
	b.messages = append(b.messages, message)
	b.bytes += len(message) + overhead
}

// drop drops the oldest message.
func (b *backlog) drop() {
	b.bytes -= len(b.messages[0]) + overhead
	b.messages[0] = nil
	b.messages = b.messages[1:]
}

// trim drops the oldest messages until there are no more than most, and they have no more
// than bytes, or are as few as least. It returns how many it has dropped.
func (b *backlog) trim(least, most, bytes int) (dropped int) {
	for len(b.messages) > most || len(b.messages) > least && b.bytes > bytes {
		b.drop()
		dropped++
	}
	return dropped
}
