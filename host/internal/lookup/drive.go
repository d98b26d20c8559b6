package lookup

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// An answer is the end of one request of a lookup.
type answer struct {
	from  routing.Contact
	about peer.ID // see routing.Action
	resp  protocol.Response
	err   error
}

// An askFunc sends the request of a lookup to one contact, or asks it for the peers closest
// to the peer about, if that is not empty. It calls reaches with each stage of it.
type askFunc func(ctx context.Context, c routing.Contact, about peer.ID, reaches func(call.Stage)) (protocol.Response, error)

// A span is when a lookup began and ended.
type span struct{ began, ended time.Time }

// drive runs l to completion, and no other goroutine touches l. It starts a task per
// request that l wants, which calls ask, and hands each answer to settle. It calls also with
// each contact that is to be dialled at another place, too. It does not wait for the requests
// that are under way when l is done: they go on for call.StragglerTime.
//
// If the group is closed or ctx ends first, drive returns why, and the requests end at once.
// It returns the times of its begin and its end too.
func drive(
	ctx context.Context, group *tasks.Group, l *routing.Lookup, ask askFunc, also func(routing.Contact), settle func(context.Context, answer),
) (s span, err error) {
	r := newRequests(ctx, group, ask)
	defer close(r.over)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var reached *progress // what there is to apply
	for {
		now := time.Now()
		if s.ended = now; s.began.IsZero() {
			s.began = now
		}
		if reached != nil {
			reached.apply(l, now)
			reached = nil
		}
		action := l.Next(now)
		switch action.Kind {
		case routing.Ask:
			PublishEvent(ctx, &lrouting.QueryEvent{Type: lrouting.SendingQuery, ID: action.Contact.ID})
			r.send(action.Contact, action.About.ID) //nolint:contextcheck // a request may outlive the operation
		case routing.Also:
			also(action.Contact)
		case routing.Drop:
			r.drop(action.Contact.ID)
		case routing.Done:
			r.leave()
			return s, nil
		case routing.Wait:
			timer.Reset(action.Until.Sub(now))
			select {
			case a := <-r.answers:
				if cause := causeOf(ctx, group); cause != nil && a.err != nil { // the request may have ended by it
					r.end(cause)
					return s, cause
				}
				if r.settle(a.from.ID) {
					settle(ctx, a)
				}
			case p := <-r.progress:
				reached = &p
			case <-timer.C:
			case <-ctx.Done():
				cause := causeOf(ctx, group)
				r.end(cause)
				return s, cause
			}
		}
	}
}

// causeOf returns why an operation has to end now; nil if it may go on.
func causeOf(ctx context.Context, group *tasks.Group) error {
	if group.Closed() {
		return kaderr.ErrClosed
	}
	return context.Cause(ctx)
}

// maxProgress is how many stages may wait to be applied to a lookup. When one is lost, its
// peer counts as late too soon.
const maxProgress = 64

// requests are the requests of one lookup that are under way. They belong to the goroutine
// that drives the lookup, except what send starts.
type requests struct {
	group    *tasks.Group
	ask      askFunc
	ctx      context.Context // of the requests; it outlives that of the operation
	end      context.CancelCauseFunc
	cancels  map[peer.ID]context.CancelFunc // of the requests that are awaited
	answers  chan answer
	progress chan progress
	over     chan struct{} // closed when answers are not read any more
}

// A progress is a stage that one request has reached.
type progress struct {
	to      peer.ID
	reaches call.Stage
}

// apply has l take it into account.
func (p progress) apply(l *routing.Lookup, now time.Time) {
	switch p.reaches {
	case call.Queued:
		l.Queued(p.to)
	case call.Dialled:
		l.Dialled(now, p.to)
	case call.Connected:
		l.Connected(now, p.to)
	}
}

func newRequests(ctx context.Context, group *tasks.Group, ask askFunc) *requests {
	r := &requests{
		group: group, ask: ask, cancels: make(map[peer.ID]context.CancelFunc),
		answers: make(chan answer), progress: make(chan progress, maxProgress), over: make(chan struct{}),
	}
	r.ctx, r.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return r
}

// send asks c, about a peer in place of the target if that is not empty.
func (r *requests) send(c routing.Contact, about peer.ID) {
	ctx, cancel := context.WithCancel(r.ctx)
	r.cancels[c.ID] = cancel
	r.group.Go(func(closing context.Context) { // if it does not start, ctx of the operation has ended
		defer cancel()
		defer context.AfterFunc(closing, cancel)()
		resp, err := r.ask(ctx, c, about, func(s call.Stage) {
			select {
			case r.progress <- progress{c.ID, s}:
			default: // the owner is busy with an answer
			}
		})
		select {
		case r.answers <- answer{c, about, resp, err}:
		case <-r.over:
		}
	})
}

// settle reports whether the answer of id is awaited, and does not await it any
// more.
func (r *requests) settle(id peer.ID) bool {
	_, ok := r.cancels[id]
	delete(r.cancels, id)
	return ok
}

// drop cancels the request to id.
func (r *requests) drop(id peer.ID) {
	if cancel := r.cancels[id]; cancel != nil {
		cancel()
		delete(r.cancels, id)
	}
}

// leave gives the requests that are under way a last second.
func (r *requests) leave() {
	if len(r.cancels) == 0 {
		r.end(nil)
		return
	}
	time.AfterFunc(call.StragglerTime, func() { r.end(nil) })
}
