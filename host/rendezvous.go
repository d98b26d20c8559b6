package host

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxGroupDials bounds the peers of a group that are dialled at the same time, and
	// maxGroupSearch the peers that one search dials.
	maxGroupDials  = 16
	maxGroupSearch = 64

	groupDialTimeout = 5 * time.Second

	// maxGroupKnown bounds the peers of a group that are remembered.
	maxGroupKnown = 1000
)

// A rendezvous keeps announcing a node under a key, and connects it to the other nodes
// that do so, until its context ends. It needs nothing of a DHT but these functions.
type rendezvous struct {
	announce  func(context.Context) (lasts time.Duration, err error)
	search    func(context.Context) iter.Seq2[peer.AddrInfo, error]
	connect   func(context.Context, peer.AddrInfo) error
	connected func(peer.ID) bool
	protect   func(peer.ID, bool)                       // from the connection manager, or not any more
	run       func(func(ctx context.Context)) (ok bool) // starts a goroutine
	limit     int                                       // of peers that are connected

	running sync.WaitGroup
	slots   chan struct{} // one for each dial
	lost    chan struct{} // buffered, length 1: a peer of the group is connected no more
	changed chan struct{} // buffered, length 1: there is a change to read

	mu     sync.Mutex
	here   int // peers that are connected
	known  map[peer.ID]*groupPeer
	unread []peer.ID   // peers with a change to read
	report groupReport // of the operations
	news   bool        // report has not been read
	good   bool        // what the reader was told of the operations
}

// A groupPeer is a peer that a search has found.
type groupPeer struct {
	dialling bool
	failed   int       // dials in a row
	next     time.Time // it is not dialled before
	here     bool      // connected
	told     bool      // the reader was told that it is connected
	broke    bool      // its connection has ended since
	queued   bool      // in unread
}

// A groupReport says how the operations of a rendezvous stand.
type groupReport struct {
	announced time.Time // zero: not yet
	searched  time.Time
	err       error // of the last operation
}

// init makes a rendezvous ready.
func (r *rendezvous) init() {
	r.slots = make(chan struct{}, maxGroupDials)
	r.lost = make(chan struct{}, 1)
	r.changed = make(chan struct{}, 1)
	r.known = make(map[peer.ID]*groupPeer)
}

// start starts the two loops, which end with ctx.
func (r *rendezvous) start(ctx context.Context) {
	r.background(func() { r.keepAnnouncing(ctx) })
	r.background(func() { r.keepSearching(ctx) })
}

// background runs f in a goroutine that wait waits for, unless the node is closed.
func (r *rendezvous) background(f func()) {
	r.running.Add(1)
	if !r.run(func(context.Context) { defer r.running.Done(); f() }) {
		r.running.Done()
	}
}

// wait waits for the goroutines, after the context has ended, and lets go of the peers.
func (r *rendezvous) wait() {
	r.running.Wait()
	r.mu.Lock()
	var here []peer.ID
	for id, p := range r.known {
		if p.here {
			here = append(here, id)
		}
	}
	r.mu.Unlock()
	for _, id := range here {
		r.protect(id, false)
	}
}

// keepAnnouncing announces the node again and again: soon after a failure, and long
// before the announcement expires after a success.
func (r *rendezvous) keepAnnouncing(ctx context.Context) {
	good, bad := 0, 0
	for {
		lasts, err := r.announce(ctx)
		if ctx.Err() != nil {
			return
		}
		r.note(err, func(report *groupReport) { report.announced = time.Now() })
		var pause time.Duration
		if err != nil {
			pause = groupRetryAfter(bad)
			good, bad = 0, bad+1
		} else {
			pause = min(groupAnnounceAfter(good), lasts/2)
			good, bad = good+1, 0
		}
		if !groupPause(ctx, pause, nil) {
			return
		}
	}
}

// keepSearching searches again and again: often while no peer of the group is
// connected, and after one is connected no more.
func (r *rendezvous) keepSearching(ctx context.Context) {
	round, alone := 0, true
	for {
		err := r.searchOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		r.note(err, func(report *groupReport) { report.searched = time.Now() })
		if now := r.count() == 0; now != alone {
			alone, round = now, 0
		}
		pause := groupSearchAfter(round, alone)
		round++
		before := r.count()
		if !groupPause(ctx, pause, r.lost) {
			return
		}
		if r.count() < before {
			round = 0
		}
	}
}

// count returns the number of peers that are connected.
func (r *rendezvous) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.here
}

// searchOnce looks once for the other nodes, and starts to connect to each as it is
// found. It does not wait for the connections.
func (r *rendezvous) searchOnce(ctx context.Context) error {
	dials := 0
	for info, err := range r.search(ctx) {
		if err != nil {
			return err
		}
		if r.count() >= r.limit || dials == maxGroupSearch {
			return nil
		}
		if len(info.Addrs) == 0 && !r.connected(info.ID) || !r.beginDial(info.ID) {
			continue
		}
		dials++
		r.background(func() { r.dial(ctx, info) })
	}
	return ctx.Err()
}

// dial connects to a peer, when few others are dialled.
func (r *rendezvous) dial(ctx context.Context, info peer.AddrInfo) {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-r.slots }()
	ctx, cancel := context.WithTimeout(ctx, groupDialTimeout)
	defer cancel()
	err := r.connect(ctx, info)
	r.endDial(info.ID, err)
	if err == nil && r.update(info.ID, true) && !r.connected(info.ID) {
		r.update(info.ID, false) // it has ended meanwhile
	}
}

// beginDial reports whether a peer is to be dialled now.
func (r *rendezvous) beginDial(id peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.known[id]
	if p == nil {
		r.forget()
		p = &groupPeer{}
		r.known[id] = p
	}
	if p.dialling || p.here || time.Now().Before(p.next) {
		return false
	}
	p.dialling = true
	return true
}

// endDial notes the result of a dial. An announcement outlives its peer, so a peer that
// cannot be reached is dialled ever less often.
func (r *rendezvous) endDial(id peer.ID, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.known[id]
	p.dialling = false
	if err == nil {
		p.failed, p.next = 0, time.Time{}
		return
	}
	p.next = time.Now().Add(groupDeadAfter(p.failed))
	p.failed++
}

// forget makes room for another peer.
func (r *rendezvous) forget() {
	for id, p := range r.known {
		if len(r.known) < maxGroupKnown {
			return
		}
		if !p.dialling && !p.here && !p.queued {
			delete(r.known, id)
		}
	}
}

// note notes the result of an operation; success changes the report.
func (r *rendezvous) note(err error, success func(*groupReport)) {
	r.mu.Lock()
	if err == nil {
		success(&r.report)
	}
	r.report.err = err
	r.news = err != nil || !r.good
	r.mu.Unlock()
	poke(r.changed)
}

// state returns the report, and how many peers are known and connected.
func (r *rendezvous) state() (report groupReport, known, here int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report, len(r.known), r.here
}
