package observe

import (
	"context"
	"iter"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/internal/tasks"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// Kept is how many events a reader may be behind before it loses some.
const Kept = 1024

// An Observer takes in what the rooms of a node tell. It is safe for concurrent use. A nil
// Observer takes in nothing.
type Observer struct {
	Operations Operations // how long operations took

	watched atomic.Int32 // readers
	tracer  Tracer       // nil: there are no spans

	mu      sync.Mutex     // held for one call, never over IO or a callback
	ring    []events.Event // of Kept places; nil until there is a reader
	next    uint64         // the number of the next event
	changed chan struct{}  // closed at the next event; nil if no reader waits
}

// New returns an Observer without readers. If tracer is nil, there are no spans.
func New(tracer Tracer) *Observer { return &Observer{tracer: tracer} }

// Watched reports whether there is a reader: an event that is not a change of state need
// not be made without one.
func (o *Observer) Watched() bool { return o != nil && o.watched.Load() > 0 }

// Tell gives an event to all readers, and a change of state to the log. It does not block.
// Call it without a lock.
func (o *Observer) Tell(what events.What) {
	if o == nil {
		return
	}
	if c, ok := what.(events.Change); ok {
		note(c)
	}
	if !o.Watched() {
		return
	}
	tasks.Locked(&o.mu, func(now time.Time) {
		if o.ring == nil {
			o.ring = make([]events.Event, Kept)
		}
		o.ring[o.next%Kept] = events.Event{At: now, What: what}
		o.next++
		if o.changed != nil {
			close(o.changed)
			o.changed = nil
		}
	})
}

// note writes a change of state to the log, unless it is one of a series of which the log
// has some.
func note(c events.Change) {
	sentence, fields := c.Says()
	if c, ok := c.(events.JoinFailed); ok {
		if bits.OnesCount(uint(c.Attempt)) != 1 {
			return
		}
		if c.Bootstrap > 0 {
			log.Warnw(sentence, fields...)
			return
		}
	}
	log.Infow(sentence, fields...)
}

// Events yields what is told from now on, until ctx or closed ends, or the loop over it is
// left. It can be read once.
func (o *Observer) Events(ctx, closed context.Context) iter.Seq[events.Event] {
	ctx, cancel := context.WithCancel(ctx)
	o.watched.Add(1)
	o.mu.Lock()
	at := o.next
	o.mu.Unlock()
	// The reader may never come.
	stop := context.AfterFunc(closed, cancel)
	context.AfterFunc(ctx, func() {
		stop()
		o.watched.Add(-1)
	})
	return func(yield func(events.Event) bool) {
		defer cancel()
		for {
			e, ok, changed := o.read(&at)
			if ok {
				if ctx.Err() != nil || !yield(e) {
					return
				}
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// read returns the event that is next for a reader at a place, which moves on. If there is
// none, it returns a channel that is closed when there is.
func (o *Observer) read(at *uint64) (e events.Event, ok bool, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if *at == o.next {
		if o.changed == nil {
			o.changed = make(chan struct{})
		}
		return e, false, o.changed
	}
	missed := uint64(0)
	if o.next-*at > Kept {
		missed = o.next - *at - Kept
		*at += missed
	}
	e = o.ring[*at%Kept]
	e.Missed = missed
	*at++
	return e, true, nil
}
