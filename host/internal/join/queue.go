package join

import "github.com/libp2p/go-libp2p/core/peer"

// maxQueued bounds the peers that wait for an introduction. A further peer is dropped: a
// lookup, or its next request, brings it back.
const maxQueued = 1024

// A queue holds the peers that wait for an introduction, each once, in the order they
// came. The zero value is empty. The caller holds the lock of the room.
type queue struct {
	order []peer.ID
	in    map[peer.ID]struct{}
}

// add reports whether id is in the queue now.
func (q *queue) add(id peer.ID) bool {
	if _, ok := q.in[id]; ok {
		return true
	}
	if len(q.order) >= maxQueued {
		return false
	}
	if q.in == nil {
		q.in = make(map[peer.ID]struct{})
	}
	q.in[id] = struct{}{}
	q.order = append(q.order, id)
	return true
}

// take removes the peer that has waited for longest.
func (q *queue) take() (peer.ID, bool) {
	if len(q.order) == 0 {
		return "", false
	}
	id := q.order[0]
	q.order = q.order[1:]
	delete(q.in, id)
	return id, true
}

// Introduce queues a peer that may have to be introduced. It does not block.
func (j *Joiner) Introduce(id peer.ID) {
	j.mu.Lock()
	queued := j.queue.add(id)
	j.mu.Unlock()
	if queued {
		j.cfg.Wake()
	}
}

// next returns the peer that has waited for longest for an introduction.
func (j *Joiner) next() (peer.ID, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.queue.take()
}
