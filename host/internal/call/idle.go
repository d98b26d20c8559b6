package call

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// sweepInterval is how often idle streams grow older: they are closed after 4 to 8 s.
	// js-libp2p peers reset a stream that is idle for 10 s, other peers after 60 s.
	sweepInterval = 4 * time.Second

	// maxIdlePerPeer bounds the idle streams of a peer: each takes one of its places for
	// streams, which are 32. With 4, one in 13 requests of 16 lookups at a time still opened
	// one, and a request cost the server 34 to 41 µs in place of 29 and 30.
	maxIdlePerPeer = 16

	// maxIdle bounds the idle streams, so that other protocols of the host find room.
	maxIdle = 256

	// maxRecent bounds the peers that are remembered because they were asked just now, and
	// those whose streams are not kept.
	maxRecent = 1024

	// maxSingle is for how many sweeps at most the streams of a peer are not kept that did not
	// answer a further request in time: 8.5 min. It begins with one sweep, because a machine
	// that is busy answers late, too.
	maxSingle = 128

	// maxClosing bounds the idle streams that are closed at a time. It takes no time, unless
	// the connection is stuck.
	maxClosing = 8
)

// idle has the streams that are kept. A peer that is asked once has none: a stream is kept
// from the second request in 4 to 8 s.
type idle struct {
	wake func()

	mu      sync.Mutex
	recent  map[peer.ID]*recent
	singles map[peer.ID]*single
	count   int
	unused  []*stream // to be closed
	closed  bool
}

// recent is what there is of a peer that was asked just now.
type recent struct {
	streams []*stream // the one that was used last comes last
	old     bool      // it was not asked since the last sweep
}

// A single is a peer that did not answer a further request of a stream in time. Its streams are
// not kept for some sweeps, for twice as many when that is so again. It is forgotten when its
// streams were kept for as many.
type single struct{ sweeps, left int }

func newIdle(wake func()) idle {
	return idle{wake: wake, recent: make(map[peer.ID]*recent), singles: make(map[peer.ID]*single)}
}

// take returns an idle stream to a peer that its other side has not ended; nil if there is
// none.
func (i *idle) take(id peer.ID) *stream {
	for {
		s := i.last(id)
		if s == nil {
			return nil
		}
		open, ended := s.state()
		if open {
			return s
		}
		if ended {
			i.single(id)
		}
		_ = s.Reset() // it has gone
	}
}

func (i *idle) last(id peer.ID) *stream {
	i.mu.Lock()
	defer i.mu.Unlock()
	r := i.recent[id]
	if r == nil || len(r.streams) == 0 {
		return nil
	}
	n := len(r.streams) - 1
	s := r.streams[n]
	r.streams = slices.Delete(r.streams, n, n+1)
	i.count--
	return s
}

// state reports whether a stream is open, or else, whether its other side has ended it,
// without a reset. It does not block.
func (s *stream) state() (open, ended bool) {
	if s.Conn().IsClosed() || s.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false, false
	}
	_, err := s.r.Peek(1)
	switch {
	case kaderr.Ended(err):
		return false, true
	case err == nil || !kaderr.TimedOut(err): // something that was not asked for, or a reset
		return false, false
	}
	return s.SetReadDeadline(time.Time{}) == nil, false
}

// keep keeps a stream for a further request, and reports whether it does.
func (i *idle) keep(s *stream, reusable bool) (kept bool) {
	id := s.peer()
	i.change(func() (wake bool) {
		r := i.recent[id]
		switch {
		case i.closed:
		case r != nil:
			r.old = false
			if i.count < maxIdle && len(r.streams) < maxIdlePerPeer && !i.isSingle(id) && reusable {
				s.used, s.old, kept = true, false, true
				r.streams = append(r.streams, s)
				i.count++
			}
		case len(i.recent) < maxRecent:
			i.recent[id] = new(recent)
			return len(i.recent) == 1
		}
		return false
	})
	return kept
}

// isSingle reports whether the streams of a peer are not kept now. The lock is held.
func (i *idle) isSingle(id peer.ID) bool {
	p := i.singles[id]
	return p != nil && p.left > 0
}

// answersOnce is isSingle for a caller without the lock.
func (i *idle) answersOnce(id peer.ID) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.isSingle(id)
}

// single has the streams of a peer not kept for a while.
func (i *idle) single(id peer.ID) {
	i.change(func() (wake bool) {
		p := i.singles[id]
		switch {
		case p == nil && len(i.singles) >= maxRecent:
			clear(i.singles)
			fallthrough
		case p == nil:
			i.singles[id] = &single{1, 1}
		case p.left <= 0:
			p.sweeps = min(2*p.sweeps, maxSingle)
			p.left = p.sweeps
		}
		return i.dropOf(id, func(*stream) bool { return true })
	})
}

// change calls f with the lock held, and wakes the Job if f says so.
func (i *idle) change(f func() (wake bool)) {
	i.mu.Lock()
	wake := f()
	i.mu.Unlock()
	if wake {
		i.wake()
	}
}

// dropOf has the idle streams of a peer closed that match, and reports whether the Job has
// to. The lock is held.
func (i *idle) dropOf(id peer.ID, match func(*stream) bool) (unused bool) {
	r := i.recent[id]
	if r == nil {
		return false
	}
	r.streams = slices.DeleteFunc(r.streams, func(s *stream) bool {
		if !match(s) {
			return false
		}
		i.unused = append(i.unused, s)
		i.count--
		return true
	})
	return len(i.unused) > 0
}

// sweep drops the streams that were idle at the sweep before, and forgets the peers that
// were not asked since. It reports whether anything is left.
func (i *idle) sweep() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id, r := range i.recent {
		i.dropOf(id, func(s *stream) bool { return s.old })
		for _, s := range r.streams {
			s.old = true
		}
		if r.old && len(r.streams) == 0 {
			delete(i.recent, id)
		}
		r.old = true
	}
	for id, p := range i.singles {
		if p.left--; p.left <= -p.sweeps {
			delete(i.singles, id)
		}
	}
	return len(i.recent) > 0
}

// state returns whether peers were asked just now, and whether streams are to be closed.
func (i *idle) state() (inUse, unused bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.recent) > 0, len(i.unused) > 0
}

// dropAll has all idle streams closed, and reports whether the Job has to. The lock is held.
func (i *idle) dropAll() (unused bool) {
	for id := range i.recent {
		i.dropOf(id, func(*stream) bool { return true })
	}
	return len(i.unused) > 0
}

// closeUnused closes the streams that were dropped, all of them, also if ctx ends.
func (i *idle) closeUnused(ctx context.Context) error {
	i.mu.Lock()
	unused := i.unused
	i.unused = nil
	i.mu.Unlock()
	return tasks.Each(context.WithoutCancel(ctx), maxClosing, slices.Values(unused), func(_ context.Context, s *stream) error { return s.Close() })
}

// free closes all idle streams, and reports whether there was one.
func (i *idle) free(ctx context.Context) (some bool) {
	i.change(func() (wake bool) {
		some = i.dropAll()
		return false
	})
	_ = i.closeUnused(ctx)
	return some
}

// Job closes the streams that are idle for 4 to 8 s, and what Drop has dropped.
func (s *Streams) Job() tasks.Job {
	var next time.Time // sweep
	return tasks.Job{Name: "streams", Due: func(now time.Time, start *tasks.Start) time.Time {
		switch inUse, _ := s.idle.state(); {
		case !inUse:
			next = time.Time{}
		case next.IsZero():
			next = now.Add(sweepInterval)
		case now.Before(next):
		case s.idle.sweep():
			next = now.Add(sweepInterval)
		default:
			next = time.Time{}
		}
		if _, unused := s.idle.state(); unused && start.Room() > 0 {
			start.Run(s.idle.closeUnused, nil)
		}
		return next
	}}
}

// Drop closes, in the background, the idle streams to a peer on all connections except one,
// which may be nil.
func (s *Streams) Drop(id peer.ID, except network.Conn) {
	s.idle.change(func() (wake bool) {
		return s.idle.dropOf(id, func(s *stream) bool { return s.Conn() != except })
	})
}

// DropAll closes all idle streams in the background.
func (s *Streams) DropAll() { s.idle.change(s.idle.dropAll) }

// Close closes all idle streams, also if ctx has ended. From then on, none is kept.
func (s *Streams) Close(ctx context.Context) {
	s.idle.change(func() (wake bool) {
		s.idle.closed = true
		return false
	})
	s.idle.free(ctx)
}
