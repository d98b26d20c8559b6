package publish

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
)

// A Status says what there is to publish, and how publishing went since the start.
type Status struct {
	Publications int // all that are in the agenda
	Overdue      int // of these, due and not under way
	Soon         int // of these, due within an hour, and not overdue
	UnderWay     int // being published: for the first time, or again

	Succeeded, Failed uint64 // publications, for the first time or again
	Last              Failure
}

// A Failure is a publication that has failed.
type Failure struct {
	At   time.Time // the zero time: there is none
	Kind store.Kind
	Key  string
	Err  error
}

// Status returns the status of all publications. It visits the publications that are due within an
// hour: 0.09 s for a million, under the lock of the agenda.
func (p *Publisher) Status() Status {
	s := p.agenda.status(time.Hour)
	s.UnderWay += int(p.outcomes.first.Load())
	p.outcomes.mu.Lock()
	defer p.outcomes.mu.Unlock()
	s.Succeeded, s.Failed, s.Last = p.outcomes.succeeded, p.outcomes.failed, p.outcomes.last
	return s
}

// outcomes count how publications ended.
type outcomes struct {
	first atomic.Int64 // publications that are published for the first time now, and are not in the agenda

	mu                sync.Mutex
	succeeded, failed uint64
	last              Failure
}

// ended counts a publication that has ended with an error or nil. One that was stopped, with its
// ctx, has not failed.
func (o *outcomes) ended(ctx context.Context, kind store.Kind, key []byte, err error) {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	tasks.Locked(&o.mu, func(now time.Time) {
		if err == nil {
			o.succeeded++
			return
		}
		o.failed++
		o.last = Failure{now, kind, string(key), err}
	})
}

// firstEnded is ended for a publication that first counts.
func (o *outcomes) firstEnded(ctx context.Context, kind store.Kind, key []byte, err error) {
	o.first.Add(-1)
	o.ended(ctx, kind, key, err)
}

// status returns what the agenda knows of a Status. Soon counts the publications that are due within
// a time; it visits no others.
func (a *agenda) status(within time.Duration) (s Status) {
	tasks.Locked(&a.mu, func(now time.Time) {
		s.Publications = len(a.numbers)
		s.UnderWay = len(a.numbers) - len(a.heap.order)
		var visit func(i int)
		visit = func(i int) {
			if i >= len(a.heap.order) {
				return
			}
			switch wait := a.heap.slots.at(a.heap.order[i]).wait(now, a.start); {
			case wait <= 0:
				s.Overdue++
			case wait <= within:
				s.Soon++
			default:
				return // what is below it in the heap is due later
			}
			visit(2*i + 1)
			visit(2*i + 2)
		}
		visit(0)
	})
	return s
}
