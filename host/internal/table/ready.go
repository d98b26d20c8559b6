package table

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/tasks"
)

// readyTimeout bounds the wait for contacts where a context does not, on a machine that is not
// late itself.
const readyTimeout = 10 * time.Second

// Live reports whether there are contacts to ask: the table is not empty, and the node is
// not offline.
func (t *Table) Live() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live
}

// WhenLive returns a channel that is closed while Live.
func (t *Table) WhenLive() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.filled
}

// Offline reports whether there are contacts, and too few answer: see
// [routing.Table.Offline]. last is when the node came back from that for the last time; zero
// if it never was offline.
func (t *Table) Offline() (now bool, last time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cutOff, t.back
}

// SettleTime is how long after a join the node looks itself up again, give or take a tenth:
// other nodes may have joined at the same moment.
const SettleTime = 10 * time.Second

// Joining has ReadyWithin wait for the end of the first join too, which joined tells. joined may
// be called more than once.
func (t *Table) Joining() (joined func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.joined = make(chan struct{})
	return sync.OnceFunc(func() {
		tasks.Locked(&t.mu, func(now time.Time) { t.settled = now.Add(SettleTime + SettleTime/5) })
		close(t.joined)
	})
}

// Unsettled reports whether the node has joined just now and knows fewer than k contacts, and
// until when: it may have met only some of the peers of a small network by now.
func (t *Table) Unsettled(now time.Time) (until time.Time, is bool) {
	t.mu.Lock()
	until = t.settled
	t.mu.Unlock()
	return until, now.Before(until) && t.Small()
}

// Ready waits until lookups will work, or this node is the only server, as long as ctx, at
// most 10s if ctx has no deadline, or longer on a machine that is late itself. The error is a
// [*NotReadyError], or [kaderr.ErrClosed].
func (t *Table) Ready(ctx context.Context) error {
	if _, ok := ctx.Deadline(); ok {
		return t.ready(ctx)
	}
	ctx, end := t.limit(ctx)
	defer end()
	return t.ready(ctx)
}

// limit returns a context for a wait for contacts.
func (t *Table) limit(ctx context.Context) (limited context.Context, end func()) {
	t.cfg.Pulse.Begin()
	limited, cancel := t.cfg.Pulse.Limit(ctx, readyTimeout)
	return limited, func() { cancel(); t.cfg.Pulse.End() }
}

// ready is Ready as long as ctx.
func (t *Table) ready(ctx context.Context) error {
	if t.cfg.Tasks.Closed() {
		return kaderr.ErrClosed
	}
	select {
	case <-t.WhenLive(): // also if ctx has ended: that is another error
		return nil
	case <-t.whenSingle():
		return nil
	default:
	}
	select {
	case <-t.WhenLive():
		return nil
	case <-t.whenSingle():
		return nil
	case <-ctx.Done():
		return t.NotReady(context.Cause(ctx))
	case <-t.cfg.Tasks.Context().Done():
		return kaderr.ErrClosed
	}
}

// awaitJoin waits for the end of the first join, as long as ctx: lookups work meanwhile.
func (t *Table) awaitJoin(ctx context.Context) error {
	joined := t.joining()
	if joined == nil {
		return nil
	}
	select {
	case <-joined:
	case <-ctx.Done():
	case <-t.cfg.Tasks.Context().Done():
		return kaderr.ErrClosed
	}
	return nil
}

// ReadyWithin is Ready for an operation: it waits as long as ctx, at most 10s, or longer on a
// machine that is late itself. Within that time, it waits for the end of the first join too:
// before that end, lookups work, and miss many of the closest peers.
func (t *Table) ReadyWithin(ctx context.Context) error {
	if t.Live() && !tasks.Pending(t.joining()) && !t.cfg.Tasks.Closed() {
		return nil // without a timer
	}
	ctx, end := t.limit(ctx)
	defer end()
	if err := t.ready(ctx); err != nil || t.Single() {
		return err
	}
	return t.awaitJoin(ctx)
}

// joining returns a channel that is closed at the end of the first join; nil if there is none.
func (t *Table) joining() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.joined
}

// NotReady says why no contact can be asked. cause is what ended the wait; nil if there
// was none.
func (t *Table) NotReady(cause error) *NotReadyError {
	t.mu.Lock()
	e := &NotReadyError{
		Dials: maps.Clone(t.notes.dials), Filtered: maps.Clone(t.notes.filtered),
		Protocol: t.cfg.Protocol, Bootstrap: t.notes.bootstrap, Unnamed: t.notes.unnamed, Cause: cause,
	}
	t.mu.Unlock()
	if e.Offline = t.Stats().Offline; e.Offline {
		tasks.Locked(&t.mu, func(now time.Time) { e.Hindered = t.notes.hinderedNow(now) })
	}
	e.Others = make(map[peer.ID][]lprotocol.ID)
	for _, id := range t.cfg.Host.Network().Peers() {
		if !t.Connected(id) || t.Speaks(id) || e.Dials[id] != nil {
			continue
		}
		if len(e.Others) == maxNoted {
			break
		}
		known, _ := t.cfg.Host.Peerstore().GetProtocols(id)
		e.Others[id] = known
	}
	return e
}

// hinderedAge is for how long a failure of our own is named as a reason.
const hinderedAge = time.Minute

// hinderedNow returns why requests fail here; nil if none has lately.
func (n *notes) hinderedNow(now time.Time) error {
	if n.hindered != nil && now.Sub(n.hinderedAt) < hinderedAge {
		return n.hindered
	}
	return nil
}

// maxNoted bounds what is kept to explain an empty table.
const maxNoted = 64

// notes say why peers did not get into the table.
type notes struct {
	bootstrap int                // how many bootstrap peers there are
	unnamed   error              // why they could not be named anew
	dials     map[peer.ID]error  // bootstrap peers that failed, and why
	filtered  map[peer.ID]string // peers that were not admitted, and by what

	hindered     error     // why a request failed here
	hinderedAt   time.Time // when one did for the last time
	hinderedSaid time.Time // when the log said so for the last time
}

// NoteDial notes what became of a bootstrap peer: nil if it answered.
func (t *Table) NoteDial(id peer.ID, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		delete(t.notes.dials, id)
		return
	}
	if t.notes.dials == nil {
		t.notes.dials = make(map[peer.ID]error)
	}
	t.notes.dials[id] = err
}

// NoteBootstrap notes which bootstrap peers there are now, or why they could not be named
// anew.
func (t *Table) NoteBootstrap(peers []peer.AddrInfo, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.notes.unnamed = err; err != nil {
		return
	}
	t.notes.bootstrap = len(peers)
	maps.DeleteFunc(t.notes.dials, func(id peer.ID, _ error) bool {
		return !slices.ContainsFunc(peers, func(p peer.AddrInfo) bool { return p.ID == id })
	})
}

// noteFiltered notes that a peer was not admitted, and by what.
func (t *Table) noteFiltered(id peer.ID, by string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.notes.filtered == nil {
		t.notes.filtered = make(map[peer.ID]string)
	}
	if len(t.notes.filtered) < maxNoted {
		t.notes.filtered[id] = by
	}
}

// ForgetFiltered drops the notes on filtered peers: a join is about to introduce them
// again.
func (t *Table) ForgetFiltered() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.notes.filtered)
}

// A NotReadyError says why lookups cannot work: see host.NotReadyError.
type NotReadyError struct {
	Offline   bool
	Hindered  error
	Protocol  lprotocol.ID
	Bootstrap int
	Unnamed   error
	Dials     map[peer.ID]error
	Others    map[peer.ID][]lprotocol.ID
	Filtered  map[peer.ID]string
	Cause     error
}

// Error says what is wrong, most important first, and what would help.
func (e *NotReadyError) Error() string {
	says := kaderr.ErrNoContacts.Error()
	var why []string
	if e.Offline {
		says = "kad: offline" // there are contacts
		why = append(why, "few or none of the contacts answer (it goes on by itself when they do)")
	}
	if e.Hindered != nil {
		why = append(why, "requests fail here: "+e.Hindered.Error())
	}
	if e.Unnamed != nil {
		why = append(why, "the bootstrap peers cannot be found out: "+e.Unnamed.Error())
	}
	if e.Bootstrap == 0 && e.Unnamed == nil && !e.Offline {
		why = append(why, "no bootstrap peers configured, or this node alone (set Config.Bootstrap, or connect the host to a peer of this network; the only server of a network is ready when it has served a client, and found no other server for 40s)")
	}
	if len(e.Dials) > 0 {
		what := "bootstrap peers failed"
		if len(e.Dials) == e.Bootstrap {
			what = "all bootstrap peers failed"
		}
		why = append(why, what+": "+kaderr.Reasons(e.Dials))
	}
	if len(e.Others) > 0 {
		why = append(why, fmt.Sprintf("connected to %s, but none speaks %s: %s", kaderr.Plural(len(e.Others), "other peer"), e.Protocol, kaderr.ByPeer(e.Others, kaderr.Speaks)))
	}
	if len(e.Filtered) > 0 {
		why = append(why, "filtered: "+kaderr.ByPeer(e.Filtered, func(s string) string { return s }))
	}
	if len(why) == 0 {
		why = append(why, "the bootstrap peers have not answered yet")
	}
	if e.Cause != nil && !errors.Is(e.Cause, context.DeadlineExceeded) {
		why = append(why, e.Cause.Error())
	}
	return says + ": " + strings.Join(why, "; ")
}

// Unwrap returns [kaderr.ErrNoContacts], the dial errors, and what ended the wait.
func (e *NotReadyError) Unwrap() []error {
	errs := append([]error{kaderr.ErrNoContacts}, slices.Collect(maps.Values(e.Dials))...)
	for _, err := range []error{e.Hindered, e.Unnamed} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	return errs
}
