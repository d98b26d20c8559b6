package host

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// errUnsettled is the place of an answer that is awaited.
var errUnsettled = errors.New("kad: not answered yet")

// A delivery is a record or an announcement on its way to peers, which are added as
// they are found. It outlives whoever waits for a quorum only.
type delivery struct {
	key    routing.Key
	send   func(ctx context.Context, c routing.Contact) error
	slots  chan struct{} // as many as are sent to at a time
	enough chan struct{} // closed when the quorum has stored it, if there is one
	done   chan struct{} // closed when all have answered
	err    error         // valid after that: why not all were found

	sends sync.WaitGroup

	mu      sync.Mutex
	to      []*receiver
	missing int // how many more are to store it until that is enough
}

// A receiver is a peer that a delivery is for.
type receiver struct {
	routing.Contact
	outcome error // errUnsettled while it is awaited
}

func newDelivery(key routing.Key, limit, quorum int, send func(context.Context, routing.Contact) error) *delivery {
	return &delivery{
		key: key, send: send, slots: make(chan struct{}, limit),
		enough: make(chan struct{}), done: make(chan struct{}), missing: quorum,
	}
}

// run sends to all that find adds, and returns when all have answered. When ctx
// ends, what was not sent fails with its cause.
func (v *delivery) run(ctx context.Context, find func(ctx context.Context, add func(...routing.Contact)) error) {
	v.err = find(ctx, func(to ...routing.Contact) {
		for _, c := range to {
			v.add(ctx, c)
		}
	})
	v.sends.Wait()
	close(v.done)
}

// add sends to c, unless that was done before.
func (v *delivery) add(ctx context.Context, c routing.Contact) {
	v.mu.Lock()
	defer v.mu.Unlock()
	i, found := slices.BinarySearchFunc(v.to, c.Key, func(r *receiver, key routing.Key) int { return v.key.Compare(r.Key, key) })
	if found {
		return
	}
	r := &receiver{c, errUnsettled}
	v.to = slices.Insert(v.to, i, r)
	v.sends.Go(func() {
		select {
		case v.slots <- struct{}{}:
			defer func() { <-v.slots }()
		case <-ctx.Done():
		}
		if err := context.Cause(ctx); err != nil {
			v.settle(r, err)
			return
		}
		v.settle(r, v.send(ctx, c))
	})
}

// settle records what became of a receiver.
func (v *delivery) settle(r *receiver, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r.outcome = err
	if err != nil {
		return
	}
	if v.missing--; v.missing == 0 {
		close(v.enough)
	}
}

// receipt returns what is known by now.
func (v *delivery) receipt() Receipt {
	r := Receipt{Failed: make(map[peer.ID]error)}
	select {
	case <-v.done:
	default:
		r.rest = v
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	r.Wanted = len(v.to)
	for _, to := range v.to {
		switch err := to.outcome; {
		case err == nil:
			r.Stored = append(r.Stored, to.ID)
		case !errors.Is(err, errUnsettled):
			r.Failed[to.ID] = err
		}
	}
	return r
}
