package host

import "github.com/libp2p/go-libp2p/core/peer"

// A groupChange is what a reader of a rendezvous gets: a peer that is connected, or not
// any more, or how the operations stand.
type groupChange struct {
	id   peer.ID // "": an operation
	here bool
	err  error
}

// update notes that a peer is connected, or not any more. It is false if that is no
// change, or the peer is not known to be of the group.
func (r *rendezvous) update(id peer.ID, here bool) bool {
	r.mu.Lock()
	p := r.known[id]
	if p == nil || p.here == here {
		r.mu.Unlock()
		return false
	}
	p.here = here
	if here {
		r.here++
	} else {
		r.here--
		p.broke = true
	}
	if !p.queued {
		p.queued = true
		r.unread = append(r.unread, id)
	}
	r.mu.Unlock()
	r.protect(id, here)
	poke(r.changed)
	if !here {
		poke(r.lost)
	}
	return true
}

// next returns the next change. It waits for one until done is closed.
func (r *rendezvous) next(done <-chan struct{}) (groupChange, bool) {
	for {
		select {
		case <-done:
			return groupChange{}, false
		default:
		}
		if c, ok := r.take(); ok {
			poke(r.changed) // there may be more, for another reader
			return c, true
		}
		select {
		case <-r.changed:
		case <-done:
			return groupChange{}, false
		}
	}
}

// take returns the next change, if there is one. A peer that has come and gone between
// two calls yields nothing, and a peer that has gone and come back yields both.
func (r *rendezvous) take() (groupChange, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.news {
		r.news, r.good = false, r.report.err == nil
		return groupChange{err: r.report.err}, true
	}
	for len(r.unread) > 0 {
		id := r.unread[0]
		p := r.known[id]
		if p.told && p.broke {
			p.told, p.broke = false, false
			return groupChange{id: id}, true // it stays in unread: it may be back
		}
		r.unread = r.unread[1:]
		p.queued, p.broke = false, false
		if p.here && !p.told {
			p.told = true
			return groupChange{id: id, here: true}, true
		}
	}
	return groupChange{}, false
}
