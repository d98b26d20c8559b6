package resume

const (
	// blockSize is the size of the largest block of a queue, and of the largest frame of data,
	// in bytes.
	blockSize = 256 << 10

	// smallBlock is the size up to which bytes that are put into a queue are copied to the
	// block before.
	smallBlock = 4 << 10
)

// A queue has the bytes of one direction of a stream that are between two offsets. It keeps
// them in blocks, whose bytes do not change: what is taken from a queue can be used without
// its lock.
type queue struct {
	start  int64 // the offset of the first byte
	end    int64 // the offset after the last byte
	blocks [][]byte
}

// size is the number of bytes in the queue.
func (q *queue) size() int { return int(q.end - q.start) }

// append adds a copy of p at the end.
func (q *queue) append(p []byte) {
	q.end += int64(len(p))
	for len(p) > 0 {
		last := len(q.blocks) - 1
		if last < 0 || len(q.blocks[last]) >= blockSize || cap(q.blocks[last]) == len(q.blocks[last]) && len(p) > smallBlock {
			q.blocks = append(q.blocks, make([]byte, 0, max(512, min(len(p), blockSize))))
			continue
		}
		n := min(len(p), max(blockSize-len(q.blocks[last]), 0))
		if room := cap(q.blocks[last]) - len(q.blocks[last]); room > 0 {
			n = min(n, room)
		}
		q.blocks[last] = append(q.blocks[last], p[:n]...)
		p = p[n:]
	}
}

// push adds a block at the end, which belongs to the queue then.
func (q *queue) push(block []byte) {
	if len(block) <= smallBlock {
		q.append(block)
		return
	}
	q.blocks = append(q.blocks, block)
	q.end += int64(len(block))
}

// from returns bytes from an offset on, which is from start to end: those of one block.
func (q *queue) from(offset int64) []byte {
	skip := offset - q.start
	for _, block := range q.blocks {
		if skip < int64(len(block)) {
			return block[skip:]
		}
		skip -= int64(len(block))
	}
	return nil
}

// drop takes out what is before an offset, which is from start to end.
func (q *queue) drop(to int64) {
	skip := to - q.start
	q.start = to
	for i, block := range q.blocks {
		if skip < int64(len(block)) {
			clear(q.blocks[:i]) // so that their memory is free
			q.blocks = q.blocks[i:]
			q.blocks[0] = block[skip:]
			return
		}
		skip -= int64(len(block))
	}
	q.blocks = nil
}
