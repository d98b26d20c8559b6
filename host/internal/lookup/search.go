package lookup

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A Result is what a lookup has found, and what became of its requests. Failed has the
// contacts that refused, and the ones that could not be asked, too.
type Result struct {
	routing.Result
	Refused int // contacts that refused
	Unasked int // contacts that could not be asked, because something is lacking here
	Ended   time.Time
}

// Empty returns the error of a search that has found nothing: that of Enough; or, if enough
// peers have answered, [kaderr.ErrNotFound], with what none of them does.
func (r Result) Empty(what string) error {
	if err := r.Enough(); err != nil {
		return err
	}
	crowd := ""
	if r.Crowded {
		crowd = "; more peers are near the key than chance brings there, and may hide what is there"
	}
	return fmt.Errorf("%w: none of the %d closest peers that answered %s%s", kaderr.ErrNotFound, r.Told, what, crowd)
}

// Enough returns nil if more than half of the k closest peers that are known have answered;
// else an [*UnansweredError].
//
// A record is stored at three quarters of the k closest peers at least, as a rule. So when
// more than half of them lack it, it is gone, or was never there.
func (r Result) Enough() error {
	if enough(r.Known, r.Told) {
		return nil
	}
	return &UnansweredError{
		Closest: r.Known, Answered: r.Told, Asked: r.Requests, Refused: r.Refused, Late: r.Late,
		Failed: r.Failed - r.Refused - r.Unasked, Unasked: r.Unasked,
	}
}

// enough reports whether more than half of the contacts that are known have answered.
func enough(known, told int) bool { return 2*told > known }

// An UnansweredError says that too few of the closest peers have answered to say that
// something is not there. It wraps [kaderr.ErrUnanswered].
type UnansweredError struct {
	Closest  int // the k closest peers that are known, fewer if there are fewer
	Answered int // of them, the ones that answered

	Asked   int // all peers that were asked
	Refused int // of them, the ones that refused
	Late    int // ... had not answered yet
	Failed  int // ... could not be reached, or did not answer
	Unasked int // ... could not be asked, because something is lacking here
}

// Error says how many answered, and what became of the other requests.
func (e *UnansweredError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%v: %d of %d", kaderr.ErrUnanswered, e.Answered, e.Closest)
	for _, part := range []struct {
		n    int
		what string
	}{{e.Refused, "refused"}, {e.Late, "late"}, {e.Failed, "silent or unreachable"}, {e.Unasked, "not asked for lack of resources here"}} {
		if part.n > 0 {
			fmt.Fprintf(&text, ", %d %s", part.n, part.what)
		}
	}
	return text.String()
}

// Unwrap returns [kaderr.ErrUnanswered].
func (e *UnansweredError) Unwrap() error { return kaderr.ErrUnanswered }

// Converged reports whether a lookup has found the k closest peers.
func Converged(r Result) bool { return r.End == routing.Converged || r.End == routing.Exhausted }

// A Search is one lookup that is prepared: the request that each contact gets, and the
// state machine that names the contacts. Set its fields before Run. It belongs to the
// goroutine that calls Run; only ask runs in other ones.
type Search struct {
	// Send asks one contact, in place of the request, if it is not nil. It makes one
	// Caller.Request, which records the outcome, and returns its error.
	Send func(ctx context.Context, turn *call.Turn, to routing.Contact, reaches func(call.Stage)) (protocol.Response, error)

	// Heard, if not nil, is called with every answer to the request by the goroutine of
	// Run. It may end the lookup.
	Heard func(from routing.Contact, resp protocol.Response)

	// Lacks, if not nil, reports whether what is looked for was not found yet: then the
	// lookup waits for the closest peers, however late. See [routing.Lookup.Persist]. The
	// goroutine of Run calls it.
	Lacks func() bool

	engine   *Engine
	key      routing.Key
	req      protocol.Request
	turn     *call.Turn
	lookup   *routing.Lookup
	named    map[peer.ID]named // the peers of the answers so far: most are named many times
	number   uint64            // for events
	refused  int
	unasked  int
	starved  bool // this machine was, since the lookup began
	hindered bool // a request has failed because of that, or for lack of something else here

	// recalled is when the seeds of an earlier lookup last answered; zero if there are
	// none.
	recalled time.Time

	// trace, if not nil, is called with the result so far, after every answer.
	trace func(Result)
}

// A named peer is one of an answer, and the contact that was made of it.
type named struct {
	protocol.Peer
	contact routing.Contact
}

// Run runs the lookup to its end, once one more may be under way: see limiter. If ctx ends
// first, Run returns the result so far and the cause.
func (s *Search) Run(ctx context.Context) (Result, error) {
	e := s.engine
	if err := e.limiter.enter(ctx); err != nil {
		return s.result(), err
	}
	defer e.limiter.leave()
	s.number = e.lookups.Add(1)
	var traced func(error, ...slog.Attr)
	if e.cfg.Observer.Traced() {
		ctx, traced = e.cfg.Observer.Span(ctx, "kad.lookup", slog.String("kad.type", observe.KindOf(s.req)), slog.String("kad.target", hex.EncodeToString(s.key[:])))
	}
	s.tellBegan()
	s.lookup.Persist(s.Lacks)
	if t := traceOf(ctx); t != nil {
		s.trace = t.begin()
	}
	during, err := drive(ctx, e.cfg.Tasks, s.lookup, s.ask, e.cfg.Call.Also, s.settle)
	s.turn.Leave()
	result := s.result()
	result.Ended = during.ended
	e.times.Add(s.req, uint8(result.End), during.ended.Sub(during.began))
	e.ended.add(result)
	s.tellEnded(result)
	s.learn(result)
	if s.trace != nil {
		s.trace(result)
	}
	if traced != nil {
		traced(err, slog.String("kad.outcome", result.End.String()), slog.Int("kad.requests", result.Requests),
			slog.Int("kad.answered", len(result.Answered)), slog.Int("kad.hops", result.Hops), slog.Float64("kad.confidence", result.Confidence))
	}
	return result, err
}

// Lookup returns the lookup, to be read or ended. Call it in Heard only.
func (s *Search) Lookup() *routing.Lookup { return s.lookup }

func (s *Search) result() Result {
	return Result{Result: s.lookup.Result(), Refused: s.refused, Unasked: s.unasked}
}

// learn remembers what the lookup has shown, for later ones: nothing if requests have failed
// because of this machine.
func (s *Search) learn(r Result) {
	if s.hindered {
		return
	}
	s.engine.cfg.Table.Found(s.recalled, s.key, r.Result)
	s.engine.recall.learn(s.recalled, s.key, r)
}

// ask sends the request to one contact, or asks it for the peers closest to another one
// than the target.
func (s *Search) ask(ctx context.Context, c routing.Contact, about peer.ID, reaches func(call.Stage)) (protocol.Response, error) {
	s.tell(func() events.What { return events.LookupAsked{Lookup: s.number, Peer: c.ID} })
	if about != "" {
		return s.engine.cfg.Call.Request(ctx, s.turn, c, protocol.FindNode{Target: []byte(about)}, reaches)
	}
	if s.Send != nil {
		return s.Send(ctx, s.turn, c, reaches)
	}
	return s.engine.cfg.Call.Request(ctx, s.turn, c, s.req, reaches)
}

// settle feeds the outcome of one request to the lookup.
func (s *Search) settle(ctx context.Context, a answer) {
	s.starved = s.starved || s.engine.cfg.Pulse.Starved()
	if a.err != nil {
		s.fail(ctx, a)
		return
	}
	closer := s.closer(a.resp)
	s.lookup.Answered(a.from.ID, closer)
	s.tell(func() events.What {
		return events.LookupAnswered{Lookup: s.number, Peer: a.from.ID, Closer: peersOf(closer)}
	})
	if s.trace != nil {
		s.trace(s.result())
	}
	if lrouting.SubscribesToQueryEvents(ctx) {
		infos := make([]*peer.AddrInfo, len(closer))
		for i, c := range closer {
			infos[i] = &peer.AddrInfo{ID: c.ID, Addrs: s.named[c.ID].Addrs}
		}
		PublishEvent(ctx, &lrouting.QueryEvent{Type: lrouting.PeerResponse, ID: a.from.ID, Responses: infos})
	}
	if s.Heard != nil && a.about == "" {
		s.Heard(a.from, a.resp)
	}
}

// fail takes in a request without an answer.
func (s *Search) fail(ctx context.Context, a answer) {
	hindered := s.starved
	switch call.OutcomeOf(a.err) {
	case table.Refused:
		s.refused++
	case table.OwnFailure, table.Unsent:
		s.unasked++
		hindered = true
	case table.Answered, table.Silent, table.Late:
	}
	if s.hindered = s.hindered || hindered; hindered {
		s.lookup.Hindered(a.from.ID)
	} else {
		s.lookup.Failed(a.from.ID)
	}
	s.tell(func() events.What {
		return events.LookupFailed{Lookup: s.number, Peer: a.from.ID, Reason: a.err.Error()}
	})
	PublishEvent(ctx, &lrouting.QueryEvent{Type: lrouting.QueryError, ID: a.from.ID, Extra: a.err.Error()})
}

// closer returns the peers of an answer that may be asked, as contacts, with what is
// expected of each.
func (s *Search) closer(resp protocol.Response) []routing.Contact {
	closer := make([]routing.Contact, 0, len(resp.Closer))
	for _, p := range resp.Closer {
		c := s.contact(p)
		c.Doubtful = p.Connection == protocol.CannotConnect // that it can connect proves nothing
		if s.engine.cfg.Table.MayAsk(c, p.Addrs) {
			closer = append(closer, c)
		}
	}
	s.engine.cfg.Table.Expect(closer)
	return closer
}

// contact returns a peer of an answer as a contact. A peer that was named before, at the
// same addresses, is not hashed and encoded again.
func (s *Search) contact(p protocol.Peer) routing.Contact {
	n, ok := s.named[p.ID]
	if !ok {
		n.contact = routing.ContactOf(p.ID)
	}
	if !ok || !slices.EqualFunc(n.Addrs, p.Addrs, multiaddr.Multiaddr.Equal) {
		n.Peer = p
		n.contact.Wire = announce.Encode(protocol.Peer{ID: p.ID, Addrs: p.Addrs})
		s.named[p.ID] = n
	}
	return n.contact
}
