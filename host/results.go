package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/connect"
	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/table"
)

// public returns an error of a room as users see it: the errors that have a type of
// this package become one, wherever they are in the chain. Every exported method
// returns its error through it.
func public(err error) error {
	var notReady *table.NotReadyError
	var put *deliver.PutError
	var conn *connect.Error
	var unanswered *lookup.UnansweredError
	switch {
	case errors.As(err, &conn):
		return &ConnectError{ID: conn.ID, Steps: stepsOf(conn.Steps), Cause: conn.Cause}
	case errors.As(err, &notReady):
		return (*NotReadyError)(notReady)
	case errors.As(err, &unanswered):
		return (*UnansweredError)(unanswered)
	case errors.As(err, &put):
		e := &PutError{receiptOf(put.Receipt)}
		if cause := outside(err); cause != nil {
			return fmt.Errorf("%w: %w", cause, e)
		}
		return e
	}
	return err
}

// outside returns the error that was joined to a PutError in err: the cause of a context;
// nil if there is none.
func outside(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if _, same := err.(*deliver.PutError); !ok || same { //nolint:errorlint // the outermost alone
		return nil
	}
	for _, e := range joined.Unwrap() {
		if _, same := e.(*deliver.PutError); !same { //nolint:errorlint // likewise
			return e
		}
	}
	return nil
}

// A Receipt says what became of a record that was sent to the k peers closest to its key.
// Peers that are in neither Stored nor Failed have not answered yet: see [Receipt.Wait].
type Receipt struct {
	Stored []peer.ID         // the peers that stored it, closest to the key first; this node alone if it is the only server
	Failed map[peer.ID]error // why each of the others refused or failed
	Wanted int               // how many peers should store it: k, or as many as are known if the network has fewer

	// Crowded says that more peers are near the key than chance brings there: without an
	// attack, it is true once in 10 000 times. The peers may be there to deny what is
	// stored. Then Wanted is more than k, up to 4 k, so that as a rule k other peers are among
	// them. It is known when the lookup has ended: see [Receipt.Wait].
	Crowded bool

	rest *deliver.Receipt // not nil: it may go on
}

// receiptOf returns a receipt of the room that delivers, as users see it.
func receiptOf(r deliver.Receipt) Receipt {
	return Receipt{Stored: r.Stored, Failed: r.Failed, Wanted: r.Wanted, Crowded: r.Crowded, rest: &r}
}

// Wait waits until all peers have answered or failed, and returns the receipt as it is then.
// If ctx ends before that, it returns what is known by then, and the cause.
func (r Receipt) Wait(ctx context.Context) (Receipt, error) {
	if r.rest == nil {
		return r, nil
	}
	rest, err := r.rest.Wait(ctx)
	return receiptOf(rest), err
}

// A PutError is returned when no peer has stored a record, or fewer peers than its [Quorum].
type PutError struct {
	Receipt
}

// Error names the most frequent reasons.
func (e *PutError) Error() string {
	return (&deliver.PutError{Receipt: deliver.Receipt{Stored: e.Stored, Failed: e.Failed, Wanted: e.Wanted}}).Error()
}

// Unwrap returns the failures of the peers, so that errors.Is finds, for
// instance, a [context.DeadlineExceeded] among them.
func (e *PutError) Unwrap() []error { return slices.Collect(maps.Values(e.Failed)) }

// An UnansweredError says that a lookup has found nothing, and that at most half of the k
// closest peers that are known have answered. So what was looked for may exist all the same.
// It wraps [ErrUnanswered].
type UnansweredError struct {
	Closest  int // the k closest peers that are known; fewer if there are fewer
	Answered int // of them, the ones that answered

	Asked   int // all peers that were asked
	Refused int // of them, the ones that refused
	Late    int // the ones that had not answered when the lookup ended
	Failed  int // the ones that could not be reached, or did not answer in time
	Unasked int // the ones that could not be asked: no stream, memory or file descriptor was left here
}

// Error says how many answered, and what became of the other requests.
func (e *UnansweredError) Error() string { return (*lookup.UnansweredError)(e).Error() }

// Unwrap returns [ErrUnanswered].
func (e *UnansweredError) Unwrap() error { return ErrUnanswered }

// A NotReadyError says why lookups cannot work: the routing table is empty, and
// nothing that was tried has filled it, or the node is offline. It wraps [ErrNoContacts].
type NotReadyError struct {
	Offline   bool                       // for 3s, no contact has answered, or fewer than one for each four that have not
	Hindered  error                      // while Offline: why requests fail on this machine, such as a lack of file descriptors; nil if they do not
	Protocol  lprotocol.ID               // what other peers would have to speak
	Bootstrap int                        // how many bootstrap peers are configured
	Unnamed   error                      // why Config.FindBootstrap failed; nil if it did not
	Dials     map[peer.ID]error          // bootstrap peers that could not be used, and why
	Others    map[peer.ID][]lprotocol.ID // connected peers that do not speak Protocol, and what they speak
	Filtered  map[peer.ID]string         // peers that were not admitted to the table, and by what
	Cause     error                      // what ended the wait: the error of the context
}

// Error says what is wrong, most important first, and what would help.
func (e *NotReadyError) Error() string { return (*table.NotReadyError)(e).Error() }

// Unwrap returns [ErrNoContacts], the dial errors, Hindered, Unnamed, and what ended the wait.
func (e *NotReadyError) Unwrap() []error { return (*table.NotReadyError)(e).Unwrap() }

// Via is the way in which a peer is connected.
type Via uint8

const (
	// ViaDirect is a connection that was direct from the beginning.
	ViaDirect Via = iota + 1

	// ViaPunched is a direct connection over the internet that came after a relayed one,
	// for instance by hole punching. One in a local network is ViaDirect.
	ViaPunched

	// ViaRelayed is a connection through a relay. As a rule, the relay limits it: streams on
	// it need network.WithAllowLimitedConn, and it ends after some time or some bytes.
	ViaRelayed
)

// String returns direct, punched or relayed.
func (v Via) String() string {
	switch v {
	case ViaDirect:
		return "direct"
	case ViaPunched:
		return "punched"
	case ViaRelayed:
		return "relayed"
	default:
		return "none"
	}
}

// A Connection says how a peer was reached.
type Connection struct {
	Via   Via                 // 0 if it was not reached
	Addr  multiaddr.Multiaddr // of the peer, at the other end of the connection
	Steps []Step              // what was tried, in the order in which it began
}

// A Step is a part of [DHT.Connect].
type Step struct {
	// Name says what was tried: "known", the addresses that the host knew; "find", a
	// lookup; "direct", a dial without relay; "relay", a dial through one; "punch",
	// the wait for a direct connection after that.
	Name string

	Addrs []multiaddr.Multiaddr // the addresses that were known, found or dialled; none for punch
	Took  time.Duration         // several steps may run at the same time
	Err   error                 // nil if it succeeded
}

// String returns the step in words.
func (s Step) String() string {
	text := fmt.Sprintf("%s (%v", s.Name, s.Took.Round(time.Millisecond))
	if len(s.Addrs) > 0 {
		text += ", " + kaderr.Plural(len(s.Addrs), "address")
	}
	if s.Err == nil {
		return text + ")"
	}
	return text + "): " + strings.TrimPrefix(strings.ReplaceAll(s.Err.Error(), "\n", " "), "kad: ")
}

// A ConnectError is returned by [DHT.Connect] when a peer was not reached.
type ConnectError struct {
	ID    peer.ID
	Steps []Step // what was tried with which addresses, and why it failed
	Cause error  // the cause of the context, if that has ended; else nil
}

// Error says what was tried, and why it failed.
func (e *ConnectError) Error() string {
	tried := make([]string, len(e.Steps))
	for i, s := range e.Steps {
		tried[i] = s.String()
	}
	text := "kad: not connected to " + e.ID.String()
	if e.Cause != nil {
		text += " in time"
	}
	if len(tried) > 0 {
		text += ": tried " + strings.Join(tried, "; ")
	}
	return text
}

// Unwrap returns the reasons, so that errors.Is finds, for instance, [ErrNotFound].
func (e *ConnectError) Unwrap() []error {
	var errs []error
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	for _, s := range e.Steps {
		if s.Err != nil {
			errs = append(errs, s.Err)
		}
	}
	return errs
}

// stepsOf returns the steps of the room that connects, as users see them.
func stepsOf(steps []connect.Step) []Step {
	out := make([]Step, len(steps))
	for i, s := range steps {
		s.Err = public(s.Err)
		out[i] = Step(s)
	}
	return out
}

var (
	// ErrNotFound is returned when a lookup ended without the value or the peer it was
	// for, and more than half of the k closest peers that are known have answered. It
	// wraps libp2p's own routing.ErrNotFound.
	ErrNotFound = kaderr.ErrNotFound

	// ErrUnanswered is returned when a lookup has found nothing, and too few of the
	// closest peers have answered to say that nothing is there. The error is an
	// [*UnansweredError], which says how many.
	ErrUnanswered = kaderr.ErrUnanswered

	// ErrNoContacts is returned when the routing table is empty, or the node is offline, so
	// that no lookup can start. The error is a [*NotReadyError], which says why.
	ErrNoContacts = kaderr.ErrNoContacts

	// ErrRefused is wrapped by the error of a peer that answered, and refused the request,
	// for instance to store a record.
	ErrRefused = kaderr.ErrRefused

	// ErrInvalidRecord is returned when a value does not pass the validator of
	// its namespace, or when its namespace has none.
	ErrInvalidRecord = kaderr.ErrInvalidRecord

	// ErrOldRecord is returned when a better value, by the order of the
	// validator, is already known.
	ErrOldRecord = kaderr.ErrOldRecord

	// ErrClosed is returned by operations after Close, and by operations that Close ends.
	ErrClosed = kaderr.ErrClosed
)

// Errors of arguments.
var (
	errNoHost      = errors.New("kad: New needs a libp2p host")
	errAnnounce    = errors.New("kad: Config.AppendAnnounce: New cannot add addresses to a host; use Traversal, or pass libp2p.AddrsFactory to libp2p.New")
	errUnknownMode = errors.New("kad: unknown mode: use ModeAuto, ModeClient or ModeServer")
	errNoCID       = errors.New("kad: undefined CID")
)
