package deliver

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// bulkPeers is how many peers are sent parcels at a time.
	bulkPeers = 64

	// bulkPatience is how long a peer may take for what it was sent at once, in addition to
	// what an answer takes, until it is not waited for: it stores many records.
	bulkPatience = time.Second

	// bulkAlone is how many requests are sent again, each alone, at a time.
	bulkAlone = 8

	// maxLate is how many times patience a load is waited for that other peers have stored,
	// where most peers are late: a few hostile peers that are slow hold it up for no longer.
	maxLate = 20
)

// errBehind is the failure of a parcel to a peer that has not answered yet what it was sent
// before.
var errBehind = errors.New("kad: it has not answered yet what it was sent before")

// A Parcel is a record or an announcement, and the peers that are to store it. It is delivered once.
type Parcel struct {
	Req     protocol.Request
	To      []routing.Contact // closest to the key first, each once
	Crowded bool              // more of them are near the key than chance brings there

	outcomes []error // of each of To; errUnsettled while it is awaited
}

// A Bulk delivers many records and announcements: all that are for one peer go there together.
// It is safe for concurrent use.
type Bulk struct {
	sender *Sender
	turn   *call.Turn
	gate   gate

	mu     sync.Mutex
	late   map[peer.ID]struct{} // that are not waited for any more, and may still answer
	inTime map[peer.ID]struct{} // that have answered all of their last load, and in time
	gates  map[peer.ID]gate     // of each peer: one load is sent at a time
}

// NewBulk returns a Bulk that has delivered nothing.
func (s *Sender) NewBulk() *Bulk {
	return &Bulk{
		sender: s, turn: call.NewTurn(), gate: newGate(bulkPeers),
		late: make(map[peer.ID]struct{}), inTime: make(map[peer.ID]struct{}), gates: make(map[peer.ID]gate),
	}
}

// A load is the parcels for one peer.
type load struct {
	to      routing.Contact
	parcels []*Parcel
	places  []int // of the peer in To of each
	late    int   // how many times patience was over before a part of it had ended
	ended   bool  // all of it has been sent, or given up
}

// Deliver sends parcels, and returns what became of each, in their order, when the peers have
// answered. A peer that takes much longer than an answer does is not waited for, once others have
// stored all that it was sent, unless most peers take as long: what it was sent goes on in the
// background, and is neither in Stored nor in Failed. Such a peer is sent no more until it has
// answered. What has not been sent when ctx ends fails with [kaderr.ErrNotSent] and its cause.
func (b *Bulk) Deliver(ctx context.Context, parcels []*Parcel) []Receipt {
	loads := loadsOf(parcels)
	patience := b.sender.cfg.Table.Patience() + bulkPatience
	var waits sync.WaitGroup
	for _, l := range loads {
		waits.Add(1)
		done := sync.OnceFunc(waits.Done)
		started := b.sender.cfg.Tasks.Go(func(closing context.Context) {
			defer done()
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			defer context.AfterFunc(closing, func() { cancel(kaderr.ErrClosed) })()
			_ = b.gateOf(l.to.ID).use(ctx, func(free func()) error {
				return b.gate.pass(ctx, patience, func() error {
					left := func() { done(); free() }
					b.send(ctx, l, func(send func()) {
						part, end := context.WithCancel(context.WithoutCancel(ctx))
						defer end()
						b.watch(part, patience, l, left)
						send()
					})
					return nil
				})
			})
			if ctx.Err() != nil {
				b.settleRest(l, notSent(ctx))
			}
		})
		if !started {
			b.settleRest(l, kaderr.ErrClosed)
			done()
		}
	}
	waits.Wait()
	return b.receipts(parcels)
}

// loadsOf returns the parcels by peer, in the order in which the peers come first.
func loadsOf(parcels []*Parcel) (loads []*load) {
	of := make(map[peer.ID]*load)
	for _, p := range parcels {
		p.outcomes = slices.Repeat([]error{errUnsettled}, len(p.To))
		for i, c := range p.To {
			l := of[c.ID]
			if l == nil {
				l = &load{to: c}
				of[c.ID], loads = l, append(loads, l)
			}
			l.parcels, l.places = append(l.parcels, p), append(l.places, i)
		}
	}
	return loads
}

// gateOf returns the gate of a peer, which lets one load through at a time. A peer that keeps a
// pace answers them one after the other: of two at a time, the second would be late.
func (b *Bulk) gateOf(id peer.ID) gate {
	b.mu.Lock()
	defer b.mu.Unlock()
	g, ok := b.gates[id]
	if !ok {
		g = newGate(1)
		b.gates[id] = g
	}
	return g
}

// watch calls left when a part of a load takes longer than patience, and is not waited for. It
// looks again after as long while it is.
func (b *Bulk) watch(part context.Context, patience time.Duration, l *load, left func()) {
	late, stop := context.WithTimeout(part, patience)
	context.AfterFunc(late, func() {
		defer stop()
		switch {
		case part.Err() != nil: // it has ended
		case b.leave(l):
			left()
		default:
			b.watch(part, patience, l, left)
		}
	})
}

// leave reports whether a load, whose peer is late, is not waited for any more. While no peer
// has stored one of its parcels, it is: slow is not absent. While most peers are late too, it is,
// for up to maxLate times patience: then it is the machine, or the network.
func (b *Bulk) leave(l *load) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.late++
	delete(b.inTime, l.to.ID)
	if l.ended || l.lacks() || l.late <= maxLate && len(b.late) >= len(b.inTime) {
		return false
	}
	b.late[l.to.ID] = struct{}{}
	return true
}

// lacks reports whether a load has a parcel that no peer has stored, and its own peer still may.
// The caller holds the lock of the Bulk.
func (l *load) lacks() bool {
	for i, p := range l.parcels {
		if errors.Is(p.outcomes[l.places[i]], errUnsettled) && !slices.Contains(p.outcomes, nil) {
			return true
		}
	}
	return false
}

// send sends a load, as much at once as its peer takes, and settles it. patiently runs each
// part of that.
func (b *Bulk) send(ctx context.Context, l *load, patiently func(send func())) {
	b.mu.Lock()
	_, behind := b.late[l.to.ID]
	b.mu.Unlock()
	if behind {
		b.settleRest(l, errBehind)
		return
	}
	answered := false
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		l.ended = true
		delete(b.late, l.to.ID)
		if answered && l.late == 0 {
			b.inTime[l.to.ID] = struct{}{}
		}
	}()
	reqs := make([]protocol.Request, len(l.parcels))
	for i, p := range l.parcels {
		reqs[i] = p.Req
	}
	for at := 0; at < len(reqs) && ctx.Err() == nil; {
		var errs []error
		patiently(func() { errs = b.sender.cfg.Call.Many(ctx, b.turn, l.to, reqs[at:]) })
		var alone []int
		for i, err := range errs {
			if len(errs) > 1 && (errors.Is(err, call.ErrTogether) || errors.Is(err, kaderr.ErrBusy)) {
				alone = append(alone, at+i)
				continue
			}
			b.settle(l, at+i, b.sender.verified(ctx, b.turn, l.to, reqs[at+i], err))
		}
		if at += len(errs); !reached(errs) {
			b.settleRest(l, errs[0])
			return
		}
		for ; len(errs) == 1 && at < len(reqs) && len(alone) < 4*bulkAlone; at++ {
			alone = append(alone, at) // it takes one at a time
		}
		for some := range slices.Chunk(alone, bulkAlone) {
			errs := slices.Repeat([]error{errUnsettled}, len(some))
			patiently(func() {
				_ = tasks.Each(ctx, bulkAlone, slices.Values(some), func(ctx context.Context, i int) error {
					err := b.sender.One(ctx, b.turn, l.to, reqs[i])
					errs[slices.Index(some, i)] = err
					b.settle(l, i, err)
					return nil
				})
			})
			if !reached(errs) {
				b.settleRest(l, errs[0])
				return
			}
		}
	}
	answered = true
}

// reached reports whether a peer was there to answer some requests that were sent together.
func reached(errs []error) bool {
	return slices.ContainsFunc(errs, func(err error) bool { return err == nil || errors.Is(err, kaderr.ErrRefused) })
}

// settle records the outcome of a parcel of a load.
func (b *Bulk) settle(l *load, i int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.parcels[i].outcomes[l.places[i]] = err
}

// settleRest records one outcome for the parcels of a load that have none.
func (b *Bulk) settleRest(l *load, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, p := range l.parcels {
		if at := l.places[i]; errors.Is(p.outcomes[at], errUnsettled) {
			p.outcomes[at] = err
		}
	}
}

// receipts returns what became of parcels by now.
func (b *Bulk) receipts(parcels []*Parcel) []Receipt {
	known := b.sender.cfg.Table.Stats().Contacts
	b.mu.Lock()
	defer b.mu.Unlock()
	receipts := make([]Receipt, len(parcels))
	for i, p := range parcels {
		r := Receipt{Failed: make(map[peer.ID]error)}
		r.want(max(known, len(p.To)), b.sender.cfg.K, p.Crowded)
		for j, c := range p.To {
			r.add(c.ID, p.outcomes[j])
		}
		receipts[i] = r
	}
	return receipts
}
