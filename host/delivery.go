package host

import (
	"context"
	"errors"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// errUnsettled is the place of an answer that is awaited.
var errUnsettled = errors.New("kad: not answered yet")

// A delivery is a record or an announcement on its way to peers. One goroutine
// runs it, and outlives whoever waits for a quorum only.
type delivery struct {
	to     []routing.Contact
	enough chan struct{} // closed when the quorum has stored it, if there is one
	done   chan struct{} // closed when all have answered

	mu      sync.Mutex
	outcome []error // of each of to; errUnsettled while it is awaited
	missing int     // how many more are to store it until that is enough
}

func newDelivery(to []routing.Contact, quorum int) *delivery {
	v := &delivery{
		to: to, enough: make(chan struct{}), done: make(chan struct{}),
		outcome: make([]error, len(to)), missing: quorum,
	}
	for i := range v.outcome {
		v.outcome[i] = errUnsettled
	}
	return v
}

// run sends to all peers, limit at a time. When ctx ends, what was not sent fails
// with its cause.
func (v *delivery) run(ctx context.Context, limit int, send func(routing.Contact) error) {
	defer close(v.done)
	slots := make(chan struct{}, limit)
	var requests sync.WaitGroup
	defer requests.Wait()
	for i, c := range v.to {
		if ctx.Err() == nil {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
			}
		}
		if err := context.Cause(ctx); err != nil {
			v.settle(i, err)
			continue
		}
		requests.Go(func() {
			defer func() { <-slots }()
			v.settle(i, send(c))
		})
	}
}

// settle records what became of the peer at a place.
func (v *delivery) settle(i int, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.outcome[i] = err
	if err != nil {
		return
	}
	if v.missing--; v.missing == 0 {
		close(v.enough)
	}
}

// receipt returns what is known by now.
func (v *delivery) receipt() Receipt {
	r := Receipt{Wanted: len(v.to), Failed: make(map[peer.ID]error)}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, c := range v.to {
		switch err := v.outcome[i]; {
		case err == nil:
			r.Stored = append(r.Stored, c.ID)
		case errors.Is(err, errUnsettled):
			r.rest = v
		default:
			r.Failed[c.ID] = err
		}
	}
	return r
}
