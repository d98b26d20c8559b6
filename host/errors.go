package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
)

var (
	// ErrNotFound is returned when a lookup ended without the value, the peer or
	// the provider it was for. The lookup itself worked. It wraps libp2p's own
	// routing.ErrNotFound.
	ErrNotFound error = notFoundError{}

	// ErrNoContacts is returned when the routing table is empty, so that no
	// lookup can start. The error is a [*NotReadyError], which says why.
	ErrNoContacts = errors.New("kad: routing table is empty")

	// ErrRefused is wrapped by the error of a peer that answered, and did not
	// accept what it was asked to store.
	ErrRefused = errors.New("kad: refused by the peer")

	// ErrInvalidRecord is returned when a value does not pass the validator of
	// its namespace, or when its namespace has none.
	ErrInvalidRecord = errors.New("kad: invalid record")

	// ErrOldRecord is returned when a better value, by the order of the
	// validator, is already known.
	ErrOldRecord = errors.New("kad: a better value is already stored")

	// errNoHost is returned for a nil host.
	errNoHost = errors.New("kad: New needs a libp2p host")

	// errUnknownMode is returned for a mode that is none of the three.
	errUnknownMode = errors.New("kad: unknown mode: use ModeAuto, ModeClient or ModeServer")

	// ErrClosed is returned by every method after Close.
	ErrClosed = errors.New("kad: closed")
)

// notFoundError is the type of [ErrNotFound].
type notFoundError struct{}

func (notFoundError) Error() string { return "kad: not found" }

func (notFoundError) Unwrap() error { return lrouting.ErrNotFound }

// A Receipt says what became of a record that was sent to its k closest peers. If
// a [Quorum] was asked for, it is made when that is reached, and the peers that are
// in neither Stored nor Failed have not answered by then: see [Receipt.Wait].
type Receipt struct {
	Stored []peer.ID         // who stored it, closest to the key first
	Failed map[peer.ID]error // why each of the others refused or failed
	Wanted int               // how many are asked to store it, as far as they are found by now

	rest *delivery // not nil: it goes on
}

// Wait returns the receipt when all peers have answered: at once if they have.
// If ctx ends before that, it returns what is known by then, and the cause.
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

// A PutError is returned when a record was stored by none of the peers it is
// for.
type PutError struct {
	Receipt
}

// Error names the most frequent reasons.
func (e *PutError) Error() string {
	if e.Wanted == 0 {
		return "kad: stored by nobody: the lookup found no peer that answers"
	}
	return fmt.Sprintf("kad: stored by %d of %d peers: %s", len(e.Stored), e.Wanted, reasons(e.Failed))
}

// Unwrap returns the failures of the peers, so that errors.Is finds, for
// instance, a [context.DeadlineExceeded] among them.
func (e *PutError) Unwrap() []error {
	return slices.Collect(maps.Values(e.Failed))
}

// A NotReadyError says why lookups cannot work: the routing table is empty, and
// nothing that was tried has filled it, or we are offline. It wraps [ErrNoContacts].
type NotReadyError struct {
	Offline   bool                       // there are contacts, and none of many has answered for 3s
	Protocol  lprotocol.ID               // what others would have to speak
	Bootstrap int                        // how many bootstrap peers are configured
	Dials     map[peer.ID]error          // bootstrap peers that could not be used, and why
	Others    map[peer.ID][]lprotocol.ID // connected peers that do not speak Protocol, and what they speak
	Filtered  map[peer.ID]string         // peers that were not admitted to the table, and by what
	Cause     error                      // what ended the wait: the error of the context
}

// Error says what is wrong, most important first, and what would help.
func (e *NotReadyError) Error() string {
	var why []string
	if e.Offline {
		why = append(why, "offline: none of the contacts answers any more (it goes on by itself when one does)")
	}
	if e.Bootstrap == 0 && !e.Offline {
		why = append(why, "no bootstrap peers configured (set Config.Bootstrap, or connect the host to a peer of this network)")
	}
	if len(e.Dials) > 0 {
		what := "bootstrap peers failed"
		if len(e.Dials) == e.Bootstrap {
			what = "all bootstrap peers failed"
		}
		why = append(why, what+": "+reasons(e.Dials))
	}
	if len(e.Others) > 0 {
		why = append(why, fmt.Sprintf("connected to %s, but none speaks %s: %s", plural(len(e.Others), "other peer"), e.Protocol, speaks(e.Others)))
	}
	if len(e.Filtered) > 0 {
		why = append(why, "filtered: "+each(e.Filtered, func(s string) string { return s }))
	}
	if len(why) == 0 {
		why = append(why, "the bootstrap peers have not answered yet")
	}
	if e.Cause != nil && !errors.Is(e.Cause, context.DeadlineExceeded) {
		why = append(why, e.Cause.Error())
	}
	return ErrNoContacts.Error() + ": " + strings.Join(why, "; ")
}

// Unwrap returns [ErrNoContacts], the dial errors, and what ended the wait.
func (e *NotReadyError) Unwrap() []error {
	errs := append([]error{ErrNoContacts}, slices.Collect(maps.Values(e.Dials))...)
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	return errs
}

// maxNamed is how many peers the text of an error names: enough to see a
// pattern, and short enough for a log line.
const maxNamed = 4

// each lists the entries of m in a stable order, the first maxNamed of them.
func each[V any](m map[peer.ID]V, text func(V) string) string {
	var b strings.Builder
	for i, id := range slices.Sorted(maps.Keys(m)) {
		if i == maxNamed {
			fmt.Fprintf(&b, ", and %d more", len(m)-maxNamed)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(id.String() + ": " + text(m[id]))
	}
	return b.String()
}

// reasons lists the errors of peers.
func reasons(failed map[peer.ID]error) string {
	return each(failed, func(err error) string {
		return strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "kad: ")
	})
}

// plural returns "1 peer", "2 peers", "2 addresses".
func plural(n int, what string) string {
	if n != 1 {
		if strings.HasSuffix(what, "s") {
			what += "e"
		}
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

// speaks lists the protocols of peers.
func speaks(others map[peer.ID][]lprotocol.ID) string {
	return each(others, speaksOnly)
}

// speaksOnly says what a peer speaks instead of our protocol.
func speaksOnly(ids []lprotocol.ID) string {
	if len(ids) == 0 {
		return "has not said what it speaks"
	}
	return "speaks " + strings.Join(lprotocol.ConvertToStrings(ids), " ")
}
