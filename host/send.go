package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A closestFunc finds the k peers that are closest to a preimage: what
// [DHT.closestBy] returns, or one that looks up fewer keys than it is asked for. If
// to is not nil, it is for them, and those are added meanwhile that are most likely
// among them.
type closestFunc func(ctx context.Context, preimage []byte, to *delivery) ([]routing.Contact, error)

// closestBy returns what finds the k closest peers by a lookup with so many paths,
// as many as are configured if paths is 0. It is an error if nobody answers. Who was
// found lately is asked again only if something has changed. If something is sent to
// them, nothing is presumed, but for what was found just now: then it is the sending
// that asks, and if one of them does not take it, there is a lookup.
func (d *DHT) closestBy(paths int) closestFunc {
	return func(ctx context.Context, preimage []byte, to *delivery) ([]routing.Contact, error) {
		if known := d.remembered(preimage); to != nil && paths == 0 && known != nil {
			if to.add(ctx, known...); to.taken(ctx) {
				return known, nil
			}
		}
		s, err := d.search(ctx, preimage, protocol.FindNode{Target: preimage}, plan{paths: paths, recall: to == nil})
		if err != nil {
			return nil, err
		}
		if to != nil {
			s.heard = func(routing.Contact, protocol.Response) { to.add(ctx, s.lookup.Certain()...) }
		}
		result, err := s.run(ctx)
		if err != nil {
			return nil, err
		}
		return answeredBy(result)
	}
}

// remembered returns the closest peers of a key that was looked up just now, if all of
// them are still connected; nil if not.
func (d *DHT) remembered(preimage []byte) []routing.Contact {
	known := d.recall.justFound(time.Now(), routing.KeyOf(preimage))
	d.judge(known)
	if slices.ContainsFunc(known, func(c routing.Contact) bool { return !c.Connected || c.Doubtful }) {
		return nil
	}
	return known
}

// answeredBy returns the closest peers of a result; it is an error if there are none.
func answeredBy(result routing.Result) ([]routing.Contact, error) {
	if len(result.Closest) == 0 {
		return nil, fmt.Errorf("kad: none of the %d peers that were asked has answered", result.Requests)
	}
	return result.Closest, nil
}

// deliver sends a record or an announcement to the peers that find adds, while it
// does, Alpha at a time, and returns what became of it when quorum peers have stored
// it. If quorum is 0, that is three quarters of k, and the others have as long as
// answers take. The rest goes on in the background; before that, everything ends with
// ctx. The error is that of find, if it has ended. If before is not nil, it is called
// before the first peer is sent to, and if it fails, nobody is.
func (d *DHT) deliver(ctx context.Context, req protocol.Request, quorum int, before func() error, find func(ctx context.Context, v *delivery) error) (Receipt, error) {
	who := newCaller()
	patience := d.patience()
	v := newDelivery(keyOf(req), d.cfg.Alpha, cmp.Or(quorum, (3*d.cfg.K+3)/4), patience,
		func(ctx context.Context, c routing.Contact) error { return d.store1(ctx, who, c, req) })
	v.before = before
	waiting, over := context.WithCancel(ctx)
	defer over()
	sending, cancel := context.WithCancelCause(context.WithValue(context.WithoutCancel(ctx), waitingKey{}, waiting))
	started := d.tasks.run(func(closing context.Context) {
		defer context.AfterFunc(closing, func() { cancel(ErrClosed) })()
		defer cancel(nil)
		v.run(sending, find)
	})
	if !started {
		cancel(ErrClosed)
		v.run(sending, find)
	}
	if quorum > 0 {
		patience = 0
	}
	select {
	case <-v.enough:
		v.await(ctx, patience)
		return v.receipt(), nil
	case <-v.done:
	case <-ctx.Done():
		cancel(context.Cause(ctx))
		<-v.done
	}
	return v.receipt(), v.err
}

// patience is how long a dial and an answer are expected to take at most.
func (d *DHT) patience() time.Duration {
	return min(d.cfg.SlowAfter, 2*cmp.Or(d.knowledge.strangers(), d.cfg.SlowAfter))
}

// keyOf returns the key of what is to be stored.
func keyOf(req protocol.Request) routing.Key {
	switch req := req.(type) {
	case protocol.PutValue:
		return routing.KeyOf(req.Record.Key)
	case protocol.AddProvider:
		return routing.KeyOf(req.Key)
	}
	return routing.Key{}
}

// send is deliver to peers that are known.
func (d *DHT) send(ctx context.Context, to []routing.Contact, req protocol.Request, quorum int) Receipt {
	receipt, _ := d.deliver(ctx, req, quorum, nil, func(ctx context.Context, v *delivery) error {
		v.add(ctx, to...)
		return nil
	})
	return receipt
}

// store1 sends a record or an announcement to one peer.
func (d *DHT) store1(ctx context.Context, who *caller, c routing.Contact, req protocol.Request) error {
	d.locate(c)
	d.stats.requests.Add(1)
	_, err := d.request(ctx, who, c.ID, req, nil)
	if add, ok := req.(protocol.AddProvider); ok && unexplained(err) {
		err = d.readBack(ctx, c, add, err)
	}
	switch {
	case err == nil:
		d.answered(c.ID)
	case ctx.Err() == nil && !errors.Is(err, errNotSent):
		d.unanswered(c, err)
	}
	return err
}

// unexplained reports whether a peer reset the stream without a reason.
func unexplained(err error) bool {
	return errors.Is(err, ErrRefused) && errors.Is(err, network.ErrReset)
}

// readBack asks a peer for the announcement that it may have stored: some reset
// the stream of an ADD_PROVIDER although they handled it.
func (d *DHT) readBack(ctx context.Context, c routing.Contact, add protocol.AddProvider, reset error) error {
	resp, err := d.request(ctx, nil, c.ID, protocol.GetProviders{Key: add.Key}, nil)
	if err != nil {
		return err
	}
	for _, p := range resp.Providers {
		if p.ID == add.Providers[0].ID {
			return nil
		}
	}
	return reset
}

// check returns the error of a write: nil if enough peers have stored it.
func (r Receipt) check(ctx context.Context, quorum int) error {
	if len(r.Stored) >= max(1, quorum) {
		return nil
	}
	if ctx.Err() != nil && len(r.Stored) == 0 {
		return fmt.Errorf("%w: %w", context.Cause(ctx), &PutError{r})
	}
	return &PutError{r}
}
