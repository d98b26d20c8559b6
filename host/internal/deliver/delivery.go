package deliver

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

// errUnsettled stands for an answer that is awaited.
var errUnsettled = errors.New("kad: not answered yet")

// A delivery is a record or an announcement on its way to peers, which are added as they
// are found. It outlives an operation that waits for a quorum only.
type delivery struct {
	group    *tasks.Group
	key      routing.Key
	send     func(ctx context.Context, c routing.Contact) error
	patience time.Duration
	known    func() int // how many peers of the network are known

	gate    gate          // as many pass as are sent to at a time
	enough  *mark         // the quorum has stored it
	whole   *mark         // k peers have stored it, or all have been settled
	settled chan struct{} // buffered, length 1: a receiver has been settled since
	done    chan struct{} // closed when all have been settled
	err     error         // valid after that: why not all were found, or sent to

	anyQuorum bool // none was asked for

	// before, if not nil, is called before the first receiver is sent to. If it fails,
	// none is. Like err, it belongs to the goroutine that finds peers.
	before func() error

	// Added to by the goroutine that finds peers, before it waits: sends to the peers that
	// have answered the lookup, and to the others.
	sends, late sync.WaitGroup

	mu     sync.Mutex
	to     []*receiver // closest first
	stored int         // how many have stored it

	crowded bool // more peers are near the key than chance brings there: all of to should store it
}

// A mark is passed when so many peers have stored a record, or by a call.
type mark struct {
	at     int
	passed chan struct{} // closed then
	pass   func()        // may be called more than once
}

func newMark(at int) *mark {
	passed := make(chan struct{})
	return &mark{at, passed, sync.OnceFunc(func() { close(passed) })}
}

// A receiver is a peer that a delivery is for.
type receiver struct {
	routing.Contact
	outcome error // errUnsettled while it is awaited
}

func newDelivery(group *tasks.Group, key routing.Key, limit, k, quorum int, patience time.Duration, send func(context.Context, routing.Contact) error) *delivery {
	return &delivery{
		group: group, key: key, send: send, patience: patience, gate: newGate(limit),
		enough: newMark(cmp.Or(quorum, quarters(k))), whole: newMark(k),
		settled: make(chan struct{}, 1), done: make(chan struct{}), anyQuorum: quorum == 0,
		known: func() int { return 0 },
	}
}

// run sends to all peers that find adds, and returns when all have been settled. When ctx
// ends, the sends that have not begun fail with [kaderr.ErrNotSent] and its cause.
func (v *delivery) run(ctx context.Context, find func(context.Context, *lookup.Sink) error) {
	if err := find(ctx, &lookup.Sink{
		Add:   func(ctx context.Context, to ...routing.Contact) { v.add(ctx, &v.sends, to) },
		Late:  func(ctx context.Context, to ...routing.Contact) { v.add(ctx, &v.late, to) },
		Taken: v.taken,
		Crowded: func() {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.crowded = true
		},
	}); err != nil {
		v.err = err
	}
	v.sends.Wait()
	if v.anyQuorum && v.stores() > 0 {
		v.enough.pass() // there are fewer peers than that, and others that were late before
	}
	v.late.Wait()
	v.whole.pass()
	close(v.done)
}

// add sends to the peers that were not added before.
func (v *delivery) add(ctx context.Context, sends *sync.WaitGroup, to []routing.Contact) {
	if v.before != nil && len(to) > 0 {
		v.err = v.before()
		v.before = nil
	}
	if v.err != nil {
		return
	}
	for _, r := range v.insert(to) {
		sends.Add(1)
		started := v.group.Go(func(context.Context) {
			defer sends.Done()
			v.settle(r, v.gate.pass(ctx, v.patience, func() error { return v.send(ctx, r.Contact) }))
		})
		if !started {
			v.settle(r, kaderr.ErrClosed)
			sends.Done()
		}
	}
}

// insert makes receivers of the peers that were not added before.
func (v *delivery) insert(to []routing.Contact) (added []*receiver) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range to {
		i, found := slices.BinarySearchFunc(v.to, c.Key, func(r *receiver, key routing.Key) int { return v.key.Compare(r.Key, key) })
		if !found {
			r := &receiver{c, errUnsettled}
			v.to = slices.Insert(v.to, i, r)
			added = append(added, r)
		}
	}
	return added
}

// taken reports whether all peers that were added have stored it. It waits until that is
// decided, and not for longer than patience.
func (v *delivery) taken(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, v.patience)
	defer cancel()
	for {
		if all, decided := v.allStored(); decided {
			return all
		}
		select {
		case <-v.settled:
		case <-ctx.Done():
			return false
		}
	}
}

// allStored reports whether all peers that were added so far have stored it, and whether
// that is decided: all have been settled, or one has not stored it.
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

// stores returns how many peers have stored it.
func (v *delivery) stores() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stored
}

// settle records the outcome of a receiver.
func (v *delivery) settle(r *receiver, err error) {
	defer tasks.Poke(v.settled)
	v.mu.Lock()
	defer v.mu.Unlock()
	r.outcome = err
	if err != nil {
		return
	}
	v.stored++
	for _, m := range []*mark{v.enough, v.whole} {
		if v.stored == m.at {
			m.pass()
		}
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
	known := v.known()
	v.mu.Lock()
	defer v.mu.Unlock()
	r.want(max(known, len(v.to)), v.whole.at, v.crowded)
	for _, to := range v.to {
		r.add(to.ID, to.outcome)
	}
	return r
}
