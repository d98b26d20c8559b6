package rendezvous

import (
	"context"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// maxDials bounds the peers of a group that are dialled at the same time, and
	// maxSearch the peers that one search dials.
	maxDials  = 16
	maxSearch = 64

	dialTimeout = 5 * time.Second

	// maxKnown bounds the peers of a group that are remembered.
	maxKnown = 1000
)

// A Config has what a Rendezvous needs of a node.
type Config struct {
	Announce  func(context.Context) (lasts time.Duration, err error)
	Search    func(context.Context) iter.Seq2[peer.AddrInfo, error]
	Connect   func(context.Context, peer.AddrInfo) error
	Connected func(peer.ID) bool
	Protect   func(peer.ID, bool)                       // from the connection manager, or not any more
	Run       func(func(ctx context.Context)) (ok bool) // starts a goroutine
	Limit     int                                       // of members that are connected
}

// A Rendezvous keeps announcing a node under a namespace, and connects it to the other
// members, until its context ends. It is safe for concurrent use.
type Rendezvous struct {
	cfg Config

	running sync.WaitGroup
	slots   chan struct{} // one for each dial
	lost    chan struct{} // buffered, length 1: a peer of the group is connected no more
	changed chan struct{} // buffered, length 1: there is a change to read

	mu     sync.Mutex
	known  map[peer.ID]*member
	unread []peer.ID // peers with a change to read
	report Report    // of the operations
	news   bool      // report has not been read
	good   bool      // what the reader was told of the operations
}

// A member is a peer that a search has found.
type member struct {
	dialling bool
	failed   int       // dials in a row
	next     time.Time // it is not dialled before
	here     bool      // connected
	told     bool      // the reader was told that it is connected
	broke    bool      // its connection has ended since
	queued   bool      // in unread
}

// A Report says how the operations of a rendezvous stand.
type Report struct {
	Announced time.Time // zero: not yet
	Searched  time.Time
	Err       error // of the last operation
}

// New returns a Rendezvous that has not started.
func New(cfg Config) *Rendezvous {
	return &Rendezvous{
		cfg: cfg, slots: make(chan struct{}, maxDials), lost: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		known: make(map[peer.ID]*member),
	}
}

// Start starts the two loops, which end with ctx.
func (r *Rendezvous) Start(ctx context.Context) {
	r.background(func() { r.keepAnnouncing(ctx) })
	r.background(func() { r.keepSearching(ctx) })
}

// background runs f in a goroutine that wait waits for, unless the node is closed.
func (r *Rendezvous) background(f func()) {
	r.running.Add(1)
	if !r.cfg.Run(func(context.Context) { defer r.running.Done(); f() }) {
		r.running.Done()
	}
}

// Wait waits for the goroutines, after the context has ended, and lets go of the peers.
func (r *Rendezvous) Wait() {
	r.running.Wait()
	r.mu.Lock()
	here := r.here()
	r.mu.Unlock()
	for _, id := range here {
		r.cfg.Protect(id, false)
	}
}

// keepAnnouncing announces the node again and again: soon after a failure, and long
// before the announcement expires after a success.
func (r *Rendezvous) keepAnnouncing(ctx context.Context) {
	good, bad := 0, 0
	for {
		lasts, err := r.cfg.Announce(ctx)
		if ctx.Err() != nil {
			return
		}
		r.note(err, func(report *Report, now time.Time) { report.Announced = now })
		var pause time.Duration
		if err != nil {
			pause = retryAfter(bad)
			good, bad = 0, bad+1
		} else {
			pause = min(announceAfter(good), lasts/2)
			good, bad = good+1, 0
		}
		if !sleep(ctx, pause, nil) {
			return
		}
	}
}

// keepSearching searches again and again: often while no peer of the group is
// connected, and after one is connected no more.
func (r *Rendezvous) keepSearching(ctx context.Context) {
	round, alone := 0, true
	for {
		err := r.searchOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		r.note(err, func(report *Report, now time.Time) { report.Searched = now })
		if now := r.count() == 0; now != alone {
			alone, round = now, 0
		}
		pause := searchAfter(round, alone)
		round++
		before := r.count()
		if !sleep(ctx, pause, r.lost) {
			return
		}
		if r.count() < before {
			round = 0
		}
	}
}

// count returns the number of peers that are connected.
func (r *Rendezvous) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.here())
}

// here returns the peers that are connected. The caller holds the lock.
func (r *Rendezvous) here() (ids []peer.ID) {
	for id, p := range r.known {
		if p.here {
			ids = append(ids, id)
		}
	}
	return ids
}

// searchOnce looks once for the other nodes, and starts to connect to each as it is
// found. It does not wait for the connections.
func (r *Rendezvous) searchOnce(ctx context.Context) error {
	dials := 0
	for info, err := range r.cfg.Search(ctx) {
		if err != nil {
			return err
		}
		if r.count() >= r.cfg.Limit || dials == maxSearch {
			return nil
		}
		if len(info.Addrs) == 0 && !r.cfg.Connected(info.ID) || !r.beginDial(info.ID) {
			continue
		}
		dials++
		r.background(func() { r.dial(ctx, info) })
	}
	return ctx.Err()
}

// dial connects to a peer, when few others are dialled.
func (r *Rendezvous) dial(ctx context.Context, info peer.AddrInfo) {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-r.slots }()
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	err := r.cfg.Connect(ctx, info)
	r.endDial(info.ID, err)
	if err == nil && r.Update(info.ID, true) && !r.cfg.Connected(info.ID) {
		r.Update(info.ID, false) // it has ended meanwhile
	}
}

// beginDial reports whether a peer is to be dialled now.
func (r *Rendezvous) beginDial(id peer.ID) (begun bool) {
	tasks.Locked(&r.mu, func(now time.Time) {
		p := r.known[id]
		if p == nil {
			r.forget()
			p = &member{}
			r.known[id] = p
		}
		begun = !p.dialling && !p.here && !now.Before(p.next)
		p.dialling = p.dialling || begun
	})
	return begun
}

// endDial notes the result of a dial. An announcement outlives its peer, so a peer that
// cannot be reached is dialled ever less often.
func (r *Rendezvous) endDial(id peer.ID, err error) {
	tasks.Locked(&r.mu, func(now time.Time) {
		p := r.known[id]
		p.dialling = false
		if err == nil {
			p.failed, p.next = 0, time.Time{}
			return
		}
		p.next = now.Add(deadAfter(p.failed))
		p.failed++
	})
}

// forget makes room for another peer: of the one that was dialled most often in vain.
func (r *Rendezvous) forget() {
	if len(r.known) < maxKnown {
		return
	}
	var worst peer.ID
	for id, p := range r.known {
		if !p.dialling && !p.here && !p.queued && (worst == "" || p.failed > r.known[worst].failed) {
			worst = id
		}
	}
	delete(r.known, worst)
}

// note notes the result of an operation; success changes the report.
func (r *Rendezvous) note(err error, success func(*Report, time.Time)) {
	tasks.Locked(&r.mu, func(now time.Time) {
		if err == nil {
			success(&r.report, now)
		}
		r.report.Err = err
		r.news = err != nil || !r.good
	})
	tasks.Poke(r.changed)
}

// State returns the report, and how many peers are known and connected.
func (r *Rendezvous) State() (report Report, known, here int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report, len(r.known), len(r.here())
}

// searchAfter is the pause before the next search: while the node is alone from
// half a second to 5s, later from 5s to 30s.
func searchAfter(round int, alone bool) time.Duration {
	if alone {
		return grow(500*time.Millisecond, 5*time.Second, max(0, round-20)) // nodes of a group often start within ten seconds
	}
	return grow(5*time.Second, 30*time.Second, round)
}

// retryAfter is the pause after an announcement that failed for the n-th time in a
// row.
func retryAfter(n int) time.Duration { return grow(250*time.Millisecond, 10*time.Second, n) }

// announceAfter is the pause after the n-th announcement that succeeded. The first
// ones are short: in a young network, holders that are closer still come.
func announceAfter(n int) time.Duration { return grow(10*time.Second, 5*time.Minute, n) }

// deadAfter is the pause after the n-th dial of a peer that failed in a row.
func deadAfter(n int) time.Duration { return grow(time.Second, 10*time.Minute, n) }

// grow doubles from first, n times, up to limit.
func grow(first, limit time.Duration, n int) time.Duration {
	for range n {
		if first >= limit/2 {
			return limit
		}
		first *= 2
	}
	return first
}

// sleep waits for d, more or less, so that nodes that started together do not stay
// in step. It ends early when interrupt can be read, and is false if ctx has ended.
func sleep(ctx context.Context, d time.Duration, interrupt <-chan struct{}) bool {
	tasks.Pause(ctx, time.Duration(float64(d)*(0.8+0.4*rand.Float64())), interrupt)
	return ctx.Err() == nil
}
