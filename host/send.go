package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A closestFunc finds the k peers that are closest to a preimage: what
// [DHT.closestBy] returns, or one that looks up fewer keys than it is asked for. If
// certain is not nil, it is called meanwhile with those that are most likely among
// them; most come more than once.
type closestFunc func(ctx context.Context, preimage []byte, certain func(...routing.Contact)) ([]routing.Contact, error)

// closestBy returns what finds the k closest peers by a lookup with so many paths,
// as many as are configured if paths is 0. It is an error if nobody answers. Who was
// found lately is asked again only if something has changed.
func (d *DHT) closestBy(paths int) closestFunc {
	return func(ctx context.Context, preimage []byte, certain func(...routing.Contact)) ([]routing.Contact, error) {
		s, err := d.search(ctx, preimage, protocol.FindNode{Target: preimage}, plan{paths: paths, recall: true})
		if err != nil {
			return nil, err
		}
		if certain != nil {
			s.heard = func(routing.Contact, protocol.Response) { certain(s.lookup.Certain()...) }
		}
		result, err := s.run(ctx)
		if err != nil {
			return nil, err
		}
		return answeredBy(result)
	}
}

// answeredBy returns the closest peers of a result; it is an error if there are none.
func answeredBy(result routing.Result) ([]routing.Contact, error) {
	if len(result.Closest) == 0 {
		return nil, fmt.Errorf("kad: none of the %d peers that were asked has answered", result.Requests)
	}
	return result.Closest, nil
}

// deliver sends a record or an announcement to the peers that find adds, while it
// does, Alpha at a time, and returns what became of it: when quorum peers have
// stored it, or, if quorum is 0, when all have answered. After the quorum, the rest
// goes on in the background; before it, everything ends with ctx. The error is that
// of find, if it has ended.
func (d *DHT) deliver(ctx context.Context, req protocol.Request, quorum int, find func(ctx context.Context, add func(...routing.Contact)) error) (Receipt, error) {
	who := newCaller()
	v := newDelivery(keyOf(req), d.cfg.Alpha, quorum, func(ctx context.Context, c routing.Contact) error { return d.store1(ctx, who, c, req) })
	sending, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	started := d.tasks.run(func(closing context.Context) {
		defer context.AfterFunc(closing, func() { cancel(ErrClosed) })()
		defer cancel(nil)
		v.run(sending, find)
	})
	if !started {
		cancel(ErrClosed)
		v.run(sending, find)
	}
	select {
	case <-v.enough:
		return v.receipt(), nil
	case <-v.done:
	case <-ctx.Done():
		cancel(context.Cause(ctx))
		<-v.done
	}
	return v.receipt(), v.err
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
	receipt, _ := d.deliver(ctx, req, quorum, func(_ context.Context, add func(...routing.Contact)) error {
		add(to...)
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
	if err != nil && ctx.Err() == nil && !errors.Is(err, errNotSent) {
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
