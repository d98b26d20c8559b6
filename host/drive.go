package host

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// stragglerTime is how long requests that are under way when a lookup is over have
// left. Nobody waits for them; who answers in that time stays in the table, and is
// known to be slow.
const stragglerTime = time.Second

// An answer is what became of one request of a lookup.
type answer struct {
	from routing.Contact
	resp protocol.Response
	err  error
}

// A stage is what a request that needs a dial has come to.
type stage uint8

const (
	queued    stage = iota // it waits for its turn
	dialled                // the dial begins
	connected              // the dial succeeded
)

// An askFunc sends the request of a lookup to one contact. It calls reaches with
// each stage of it.
type askFunc func(ctx context.Context, c routing.Contact, reaches func(stage)) (protocol.Response, error)

// drive runs l to completion: it is the only goroutine that touches l. It starts
// a task per request that l wants, which calls ask; what they return is handed to
// answered. It does not wait for those that are under way when l is done, and they
// have stragglerTime left.
//
// If ctx ends first, drive returns its cause, and requests end at once.
func drive(ctx context.Context, tasks *tasks, l *routing.Lookup, ask askFunc, answered func(context.Context, answer)) error {
	r := newRequests(ctx, tasks, ask)
	defer close(r.over)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		action := l.Next(time.Now())
		switch action.Kind {
		case routing.Ask:
			publishEvent(ctx, &lrouting.QueryEvent{Type: lrouting.SendingQuery, ID: action.Contact.ID})
			r.send(action.Contact) //nolint:contextcheck // a request may outlive the operation
		case routing.Drop:
			r.drop(action.Contact.ID)
		case routing.Done:
			r.leave()
			return nil
		case routing.Wait:
			timer.Reset(time.Until(action.Until))
			select {
			case a := <-r.answers:
				if r.settle(a.from.ID) {
					answered(ctx, a)
				}
			case p := <-r.progress:
				p.tell(l)
			case <-timer.C:
			case <-ctx.Done():
				r.end(context.Cause(ctx))
				return context.Cause(ctx)
			}
		}
	}
}

// maxProgress is how many stages may wait to be told to a lookup. One that is lost
// makes a peer late sooner than it is.
const maxProgress = 64

// requests are those of one lookup that are under way. All but what send starts
// belongs to the goroutine that drives the lookup.
type requests struct {
	tasks    *tasks
	ask      askFunc
	ctx      context.Context // of the requests; it outlives that of the operation
	end      context.CancelCauseFunc
	cancels  map[peer.ID]context.CancelFunc // of those whose answer is awaited
	answers  chan answer
	progress chan progress
	over     chan struct{} // closed when nobody reads answers
}

// A progress is that of one request.
type progress struct {
	to      peer.ID
	reaches stage
}

// tell tells l of it.
func (p progress) tell(l *routing.Lookup) {
	switch p.reaches {
	case queued:
		l.Queued(p.to)
	case dialled:
		l.Dialled(time.Now(), p.to)
	case connected:
		l.Connected(time.Now(), p.to)
	}
}

func newRequests(ctx context.Context, tasks *tasks, ask askFunc) *requests {
	r := &requests{
		tasks: tasks, ask: ask, cancels: make(map[peer.ID]context.CancelFunc),
		answers: make(chan answer), progress: make(chan progress, maxProgress), over: make(chan struct{}),
	}
	r.ctx, r.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return r
}

// send asks c.
func (r *requests) send(c routing.Contact) {
	ctx, cancel := context.WithCancel(r.ctx)
	r.cancels[c.ID] = cancel
	r.tasks.run(func(closing context.Context) { // if it is not, ctx of the operation has ended
		defer cancel()
		defer context.AfterFunc(closing, cancel)()
		resp, err := r.ask(ctx, c, func(s stage) {
			select {
			case r.progress <- progress{c.ID, s}:
			default: // the owner is busy with what it has heard; nobody waits for it here
			}
		})
		select {
		case r.answers <- answer{c, resp, err}:
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

// leave leaves those that are under way to themselves.
func (r *requests) leave() {
	if len(r.cancels) == 0 {
		r.end(nil)
		return
	}
	time.AfterFunc(stragglerTime, func() { r.end(nil) })
}
