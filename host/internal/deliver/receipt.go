package deliver

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/kaderr"
)

// A Receipt says what became of a delivery. The peers that are in neither Stored nor Failed
// have not answered yet.
type Receipt struct {
	Stored []peer.ID         // the peers that stored it, closest to the key first
	Failed map[peer.ID]error // why each of the others refused or failed
	Wanted int               // how many peers are to store it, as far as they are found by now

	rest *delivery // not nil: it goes on
}

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
	if e.Wanted == 0 {
		return "kad: stored by no peer: the lookup found none that answers"
	}
	return fmt.Sprintf("kad: stored by %d of %d peers: %s", len(e.Stored), e.Wanted, kaderr.Reasons(e.Failed))
}

// Unwrap returns the failures of the peers.
func (e *PutError) Unwrap() []error { return slices.Collect(maps.Values(e.Failed)) }
