package rendezvous

import (
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/tasks"
)

// A Change is what a reader of a rendezvous gets: a peer that is connected, or not
// any more, or how the operations stand.
type Change struct {
	ID   peer.ID // "": an operation
	Here bool
	Err  error
}

// Update notes that a peer is connected, or not any more. It is false if that is no
// change, or the peer is not known to be of the group.
func (r *Rendezvous) Update(id peer.ID, here bool) bool {
	r.mu.Lock()
	p := r.known[id]
	if p == nil || p.here == here {
		r.mu.Unlock()
		return false
	}
	p.here = here
	p.broke = p.broke || !here
	if !p.queued {
		p.queued = true
		r.unread = append(r.unread, id)
	}
	r.mu.Unlock()
	r.cfg.Protect(id, here)
	tasks.Poke(r.changed)
	if !here {
		tasks.Poke(r.lost)
	}
	return true
}

// Next returns the next change. It waits for one until done is closed.
func (r *Rendezvous) Next(done <-chan struct{}) (Change, bool) {
	for {
		select {
		case <-done:
			return Change{}, false
		default:
		}
		if c, ok := r.take(); ok {
			tasks.Poke(r.changed) // there may be more, for another reader
			return c, true
		}
		select {
		case <-r.changed:
		case <-done:
			return Change{}, false
		}
	}
}

// take returns the next change, if there is one. A peer that has come and gone between
// two calls yields nothing, and a peer that has gone and come back yields both.
func (r *Rendezvous) take() (Change, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.news {
		r.news, r.good = false, r.report.Err == nil
		return Change{Err: r.report.Err}, true
	}
	for len(r.unread) > 0 {
		id := r.unread[0]
		p := r.known[id]
		if p.told && p.broke {
			p.told, p.broke = false, false
			return Change{ID: id}, true // it stays in unread: it may be back
		}
		r.unread = r.unread[1:]
		p.queued, p.broke = false, false
		if p.here && !p.told {
			p.told = true
			return Change{ID: id, Here: true}, true
		}
	}
	return Change{}, false
}
