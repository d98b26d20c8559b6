package host

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// errUnsettled is the place of an answer that is awaited.
var errUnsettled = errors.New("kad: not answered yet")

// A delivery is a record or an announcement on its way to peers, which are added as
// they are found. It outlives whoever waits for a quorum only.
type delivery struct {
	key      routing.Key
	send     func(ctx context.Context, c routing.Contact) error
	patience time.Duration // how long who is sent to holds a slot
	slots    chan struct{} // as many as are sent to at a time
	enough   chan struct{} // closed when the quorum has stored it
	settled  chan struct{} // buffered, length 1: somebody has answered since
	done     chan struct{} // closed when all have answered
	err      error         // valid after that: why not all were found

	// before, if not nil, is called before the first is sent to. If it fails, nobody
	// is. It and refused belong to the goroutine that finds peers.
	before  func() error
	refused error

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

func newDelivery(key routing.Key, limit, quorum int, patience time.Duration, send func(context.Context, routing.Contact) error) *delivery {
	return &delivery{
		key: key, send: send, patience: patience, slots: make(chan struct{}, limit),
		enough: make(chan struct{}), settled: make(chan struct{}, 1), done: make(chan struct{}), missing: quorum,
	}
}

// run sends to all that find adds, and returns when all have answered. When ctx
// ends, what was not sent fails with its cause.
func (v *delivery) run(ctx context.Context, find func(ctx context.Context, v *delivery) error) {
	v.err = find(ctx, v)
	if v.err == nil {
		v.err = v.refused
	}
	v.sends.Wait()
	close(v.done)
}

// add sends to those of some peers that were not added before.
func (v *delivery) add(ctx context.Context, to ...routing.Contact) {
	if v.before != nil && len(to) > 0 {
		v.refused = v.before()
		v.before = nil
	}
	if v.refused != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range to {
		i, found := slices.BinarySearchFunc(v.to, c.Key, func(r *receiver, key routing.Key) int { return v.key.Compare(r.Key, key) })
		if !found {
			r := &receiver{c, errUnsettled}
			v.to = slices.Insert(v.to, i, r)
			v.sends.Go(func() { v.settle(r, v.sendTo(ctx, c)) })
		}
	}
}

// sendTo sends to c, when there is a slot. Who is late does not keep others from it.
func (v *delivery) sendTo(ctx context.Context, c routing.Contact) error {
	select {
	case v.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	free := sync.OnceFunc(func() { <-v.slots })
	defer free()
	defer time.AfterFunc(v.patience, free).Stop()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return v.send(ctx, c)
}

// taken reports whether all that were added have stored it. It waits until that is
// decided, but for no more than patience.
func (v *delivery) taken(ctx context.Context) bool {
	late := time.NewTimer(v.patience)
	defer late.Stop()
	for {
		if all, decided := v.allStored(); decided {
			return all
		}
		select {
		case <-v.settled:
		case <-late.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// allStored reports whether all that were added so far have stored it, and whether
// that is decided: all have answered, or somebody has not stored it.
func (v *delivery) allStored() (all, decided bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all, decided = true, true
	for _, r := range v.to {
		switch {
		case r.outcome == nil:
		case errors.Is(r.outcome, errUnsettled):
			all, decided = false, false
		default:
			return false, true
		}
	}
	return all, decided
}

// await waits until all have answered, but for no more than some time.
func (v *delivery) await(ctx context.Context, patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-v.done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// settle records what became of a receiver.
func (v *delivery) settle(r *receiver, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r.outcome = err
	poke(v.settled)
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
