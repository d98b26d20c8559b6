package deliver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A Config has what a Sender needs. All fields are required.
type Config struct {
	Table    *table.Table
	Call     *call.Caller
	Tasks    *tasks.Group
	K, Alpha int
}

// A Sender delivers one record or announcement to several peers. It is safe for concurrent
// use.
type Sender struct{ cfg Config }

// New returns a Sender.
func New(cfg Config) *Sender { return &Sender{cfg} }

// ToClosest is To for the k peers closest to a preimage, which closest finds.
func (s *Sender) ToClosest(ctx context.Context, closest lookup.Closest, preimage []byte, req protocol.Request, quorum int, before func() error) (Receipt, error) {
	return s.To(ctx, req, quorum, before, func(ctx context.Context, sink *lookup.Sink) error {
		_, err := closest(ctx, preimage, sink)
		return err
	})
}

// To delivers a record or an announcement to the peers that find adds, while it does, Alpha
// at a time, and returns the receipt when quorum peers have stored it. If quorum is 0, that
// is three quarters of k, or, where there are fewer peers, all that answered the lookup have
// been sent it; the others have as long as answers take. The rest goes on in the background;
// before that, all of it ends with ctx. The error is that of find, if it has ended.
//
// before, if not nil, is called before the first peer is sent to. If it fails, none is.
func (s *Sender) To(ctx context.Context, req protocol.Request, quorum int, before func() error, find func(context.Context, *lookup.Sink) error) (Receipt, error) {
	turn := call.NewTurn()
	patience := s.cfg.Table.Patience()
	v := newDelivery(s.cfg.Tasks, keyOf(req), s.cfg.Alpha, s.cfg.K, quorum, patience,
		func(ctx context.Context, c routing.Contact) error { return s.One(ctx, turn, c, req) })
	v.before = before
	v.known = func() int { return s.cfg.Table.Stats().Contacts }
	waiting, over := context.WithCancel(ctx)
	defer over()
	sending, cancel := context.WithCancelCause(lookup.WhileWaiting(context.WithoutCancel(ctx), waiting))
	started := s.cfg.Tasks.Go(func(closing context.Context) {
		defer context.AfterFunc(closing, func() { cancel(kaderr.ErrClosed) })()
		defer cancel(nil)
		v.run(sending, find)
	})
	if !started {
		cancel(kaderr.ErrClosed)
		v.run(sending, find)
	}
	select {
	case <-v.enough.passed:
		if quorum == 0 {
			tasks.Pause(ctx, patience, v.whole.passed)
		}
		return v.receipt(), nil
	case <-v.done:
	case <-ctx.Done():
		cancel(context.Cause(ctx))
		<-v.done
	}
	return v.receipt(), v.err
}

// ToThese is To for peers that are known.
func (s *Sender) ToThese(ctx context.Context, to []routing.Contact, req protocol.Request, quorum int) Receipt {
	receipt, _ := s.To(ctx, req, quorum, nil, func(ctx context.Context, sink *lookup.Sink) error {
		sink.Add(ctx, to...)
		return nil
	})
	return receipt
}

// One delivers a record or an announcement to one peer. turn may be nil.
func (s *Sender) One(ctx context.Context, turn *call.Turn, c routing.Contact, req protocol.Request) error {
	_, err := s.cfg.Call.Request(ctx, turn, c, req, nil)
	return s.verified(ctx, turn, c, req, err)
}

// verified returns the outcome of a delivery to one peer, by the error of its request. Where
// that does not show whether it is stored, it asks the peer, or sends it again.
func (s *Sender) verified(ctx context.Context, turn *call.Turn, c routing.Contact, req protocol.Request, err error) error {
	add, ok := req.(protocol.AddProvider)
	if !ok {
		return err
	}
	if unexplained(err) {
		err = s.readBack(ctx, c, add, err)
	}
	if len(add.Proof) > protocol.MaxFirstProof && errors.Is(err, kaderr.ErrRefused) &&
		routing.KeyOf([]byte(add.Providers[0].ID)) == s.cfg.Table.Self() {
		// An earlier version reads no proof of that size, which RSA keys of 4096 bits make.
		// Without it, it keeps an announcement of the sender, and does not pass it on.
		add.Proof = nil
		return s.One(ctx, turn, c, add)
	}
	return err
}

// keyOf returns the key under which a request stores something.
func keyOf(req protocol.Request) routing.Key {
	switch req := req.(type) {
	case protocol.PutValue:
		return routing.KeyOf(req.Record.Key)
	case protocol.AddProvider:
		return routing.KeyOf(req.Key)
	}
	return routing.Key{}
}

// A Receipt says what became of a delivery. The peers that are in neither Stored nor Failed
// have not answered yet.
type Receipt struct {
	Stored []peer.ID         // the peers that stored it, closest to the key first
	Failed map[peer.ID]error // why each of the others refused or failed
	Wanted int               // how many peers should store it: k, or as many as are known if the network has fewer; up to 4 k if Crowded

	// Crowded says that more peers are near the key than chance brings there, as far as the
	// lookup has shown by now.
	Crowded bool

	rest *delivery // not nil: it goes on
}

// want sets how many peers should have stored it, of the ones that are known: k, or all near a
// crowded key.
func (r *Receipt) want(known, k int, crowded bool) {
	if r.Wanted, r.Crowded = known, crowded; !crowded {
		r.Wanted = min(k, known)
	}
}

// add adds the outcome of a peer.
func (r *Receipt) add(id peer.ID, outcome error) {
	switch {
	case outcome == nil:
		r.Stored = append(r.Stored, id)
	case !errors.Is(outcome, errUnsettled):
		r.Failed[id] = outcome
	}
}

// CutOff reports whether fewer peers have stored it than are waited for, three quarters of Wanted, and
// that has a reason that is ours: the time was over, the node or its host was closed, or
// something was lacking here.
func (r Receipt) CutOff() bool {
	ours := func(err error) bool {
		outcome := call.OutcomeOf(err)
		return outcome == table.Unsent || outcome == table.OwnFailure
	}
	return len(r.Stored) < quarters(r.Wanted) && slices.ContainsFunc(slices.Collect(maps.Values(r.Failed)), ours)
}

// quarters returns how many of k peers are waited for, where no quorum is asked for.
func quarters(k int) int { return (3*k + 3) / 4 }

// Wait returns the receipt when all peers have answered: at once if they have. If ctx ends
// before that, it returns what is known by then, and the cause.
func (r Receipt) Wait(ctx context.Context) (Receipt, error) {
	if r.rest == nil {
		return r, nil
	}
	select {
	case <-r.rest.done:
		return r.rest.receipt(), nil
	case <-ctx.Done():
		return r.rest.receipt(), context.Cause(ctx)
	}
}

// Check returns nil if enough peers have stored it: quorum, or one. Else it returns a
// [*PutError], with the cause of ctx if that has ended and no peer has stored it.
func (r Receipt) Check(ctx context.Context, quorum int) error {
	if len(r.Stored) >= max(1, quorum) {
		return nil
	}
	if ctx.Err() != nil && len(r.Stored) == 0 {
		return fmt.Errorf("%w: %w", context.Cause(ctx), &PutError{r})
	}
	return &PutError{r}
}

// A PutError says that too few peers stored a record.
type PutError struct{ Receipt }

// Error names the reasons of some of the peers.
func (e *PutError) Error() string {
	if len(e.Stored)+len(e.Failed) == 0 {
		return "kad: stored by no peer: the lookup found none that answers"
	}
	says := fmt.Sprintf("kad: stored by %d of %d peers", len(e.Stored), e.Wanted)
	if len(e.Stored) > 0 {
		says += ", fewer than the quorum"
	}
	if len(e.Failed) > 0 {
		says += ": " + kaderr.Reasons(e.Failed)
	}
	return says
}

// Unwrap returns the failures of the peers.
func (e *PutError) Unwrap() []error { return slices.Collect(maps.Values(e.Failed)) }
