package lookup

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A Config has what an Engine needs. All fields but Observer, Wake and Pulse are required.
type Config struct {
	Host      lhost.Host
	Table     *table.Table
	Call      *call.Caller
	Tasks     *tasks.Group
	K, Alpha  int
	SlowAfter time.Duration
	Observer  *observe.Observer
	Wake      func() // wakes the background loop; does not block; nil if it does not run Job
	Pulse     *tasks.Pulse
}

// An Engine runs lookups, and remembers what they found. It is safe for concurrent use.
type Engine struct {
	cfg     Config
	self    peer.ID
	recall  recall
	limiter limiter
	lookups atomic.Uint64
	ended   ends
	times   observe.Requests // of lookups, by routing.End; Running: its context ended first
}

// NewEngine returns an Engine.
func NewEngine(cfg Config) *Engine {
	return &Engine{cfg: cfg, self: cfg.Host.ID(), recall: recall{k: cfg.K}, limiter: limiter{pulse: cfg.Pulse, wake: cfg.Wake}}
}

// Job returns the job of the room, which changes how many lookups may be under way.
func (e *Engine) Job() tasks.Job { return e.limiter.job() }

// Lookups returns how many lookups were run.
func (e *Engine) Lookups() uint64 { return e.lookups.Load() }

// An Ends sums up what lookups have come to.
type Ends struct {
	Hops       uint64
	Confidence float64
}

// ends are Ends behind a lock.
type ends struct {
	mu sync.Mutex // held for one call, never over IO
	Ends
}

// add takes in the result of a lookup.
func (e *ends) add(r Result) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Hops += uint64(max(r.Hops, 0))
	e.Confidence += r.Confidence
}

// Ends returns the sums over all lookups that have ended.
func (e *Engine) Ends() Ends {
	e.ended.mu.Lock()
	defer e.ended.mu.Unlock()
	return e.ended.Ends
}

// Times returns how long lookups took, by the kind of their requests and by routing.End; the
// end of those that were given up is Running.
func (e *Engine) Times() *observe.Requests { return &e.times }

// A Plan says how a lookup differs from others.
type Plan struct {
	Paths  int  // disjoint paths; 0: one
	Recall bool // peers that an earlier lookup found, and that are confirmed, need not be asked
	K      int  // how many of the closest are found; 0: Config.K
}

// Prepare prepares a lookup of the key of a preimage. It waits until the table has
// contacts, as Table.ReadyWithin does. The error is [kaderr.ErrSingle] if this node is the
// only server, so that there is no peer to ask.
//
// The lookup starts from the result of an earlier one of the same key, or of one near to
// it, if there is one, and from the closest contacts of the table.
func (e *Engine) Prepare(ctx context.Context, preimage []byte, req protocol.Request, p Plan) (*Search, error) {
	if err := e.cfg.Table.ReadyWithin(ctx); err != nil {
		return nil, err
	}
	return e.prepare(preimage, req, p)
}

// prepare is Prepare without the wait.
func (e *Engine) prepare(preimage []byte, req protocol.Request, p Plan) (*Search, error) {
	key := routing.KeyOf(preimage)
	seeds := e.cfg.Table.Seeds(key, routing.SeedFactor*e.cfg.K)
	if len(seeds) == 0 && e.cfg.Table.Single() {
		return nil, kaderr.ErrSingle
	}
	if len(seeds) == 0 {
		return nil, e.cfg.Table.NotReady(nil) // the table was emptied just now
	}
	recalled, since, age := e.recall.near(key)
	seeds = append(recalled, seeds...)
	e.cfg.Table.Expect(seeds)
	if p.Recall {
		routing.MarkRecent(age, seeds[:len(recalled)])
	}
	k := cmp.Or(p.K, e.cfg.K)
	s := &Search{
		engine: e, key: key, req: req, turn: call.NewTurn(), named: make(map[peer.ID]named), recalled: since,
		lookup: routing.NewLookup(e.self, key, seeds, e.cfg.Table.Tune(routing.LookupConfig{
			K: k, Alpha: min(e.cfg.Alpha, k), Beta: k, Paths: max(1, p.Paths), SlowAfter: e.cfg.SlowAfter,
		})),
	}
	e.cfg.Table.LookedUp(key)
	return s, nil
}

// Find looks up the k peers closest to a preimage.
func (e *Engine) Find(ctx context.Context, preimage []byte, p Plan) (Result, error) {
	s, err := e.Prepare(ctx, preimage, protocol.FindNode{Target: preimage}, p)
	if err != nil {
		return Result{}, err
	}
	return s.Run(ctx)
}

// Refresh is Find for the sake of the table alone. It fails at once if the table is empty, or the
// node is offline: to wait is for operations that want an answer. A join does not wait for its
// own end.
func (e *Engine) Refresh(ctx context.Context, preimage []byte, p Plan) error {
	if !e.cfg.Table.Live() {
		return e.cfg.Table.NotReady(nil)
	}
	s, err := e.prepare(preimage, protocol.FindNode{Target: preimage}, p)
	if err == nil {
		_, err = s.Run(ctx)
	}
	return err
}

// A Sink takes the peers that something is sent to, while a lookup for them goes on. It
// ignores the peers that it has.
type Sink struct {
	Add     func(ctx context.Context, to ...routing.Contact) // peers that have answered
	Late    func(ctx context.Context, to ...routing.Contact) // peers that have not, and may
	Crowded func()                                           // called if more peers are near the key than chance brings there; may be nil
	Taken   func(ctx context.Context) bool                   // waits, and reports whether all that were added have stored the record
}

// patientFrom is the lateness of timers from which on [Engine.Closest] waits for all of the k
// closest that are connected: of 1 000 lookups of 40 nodes of one process, at once with 3 000 other
// operations on 2 busy processors, 857 lacked some of them before, and 27 do now.
const patientFrom = 20 * time.Millisecond

// A Closest finds the k peers closest to a preimage. If to is not nil, something is sent to
// them: each is added to it as soon as it is most likely among them. The peers that may be
// among them, and have not answered, are added at the end. Where the key is crowded, all peers
// are found that are as near to it as k are on average: see [routing.Result].
type Closest func(ctx context.Context, preimage []byte, to *Sink) ([]routing.Contact, error)

// Closest returns what finds the k closest peers by one lookup with so many paths; 0 is
// one path, and allows what is remembered. It is an error if no peer answers. If nothing is
// sent to the closest, it waits for late peers until more than half of the k closest that are
// known have answered, and for all of them that are connected while the timers of the machine are
// late. If no more than half do, it returns them, and an [*UnansweredError].
//
// Peers that an earlier lookup found are asked again only if something has changed. If
// something is sent to the closest, all are asked, unless a lookup found them in the last
// minute: then they are added at once, and there is a lookup if one of them does not
// store the record.
func (e *Engine) Closest(paths int) Closest {
	return func(ctx context.Context, preimage []byte, to *Sink) ([]routing.Contact, error) {
		if to != nil && paths == 0 {
			known := Result{Result: routing.Result{Closest: e.remembered(preimage)}}
			if found, err := e.give(ctx, preimage, known, to); err == nil && to.Taken(ctx) {
				return found, nil
			}
		}
		s, err := e.Prepare(ctx, preimage, protocol.FindNode{Target: preimage}, Plan{Paths: paths, Recall: to == nil})
		if err != nil {
			return nil, err
		}
		if to != nil {
			s.Heard = func(routing.Contact, protocol.Response) { to.Add(ctx, s.lookup.Certain()...) }
		} else {
			s.Lacks = func() bool {
				known, told := s.lookup.Poll()
				return !enough(known, told) || told < known && e.cfg.Pulse.Lateness() >= patientFrom
			}
		}
		result, err := s.Run(ctx)
		if err != nil {
			return nil, err
		}
		if to == nil { // of a crowd, the k closest alone
			result.Closest = result.Closest[:min(len(result.Closest), e.cfg.K)]
			return result.Closest, result.Enough()
		}
		return e.give(ctx, preimage, result, to)
	}
}

// remembered returns the closest peers of a key that was looked up in the last minute, if
// all of them are still connected; nil if not.
func (e *Engine) remembered(preimage []byte) []routing.Contact {
	known := e.recall.justFound(routing.KeyOf(preimage))
	e.cfg.Table.Expect(known)
	if slices.ContainsFunc(known, func(c routing.Contact) bool { return !c.Connected || c.Doubtful }) {
		return nil
	}
	return known
}

// give returns the closest peers of a result; an [*UnansweredError] if there are none. It
// adds them to a sink that is not nil, and with them the peers that were late, and, if there
// are fewer than k, the contacts that have entered the table meanwhile.
func (e *Engine) give(ctx context.Context, preimage []byte, r Result, to *Sink) ([]routing.Contact, error) {
	if len(r.Closest) == 0 {
		return nil, r.Enough() // it is none of them
	}
	if to != nil {
		if r.Crowded && to.Crowded != nil {
			to.Crowded()
		}
		to.Add(ctx, r.Closest...)
		to.Late(ctx, r.Awaited...)
		if len(r.Closest) < e.cfg.K {
			to.Late(ctx, e.cfg.Table.Closest(routing.KeyOf(preimage), e.cfg.K)...)
		}
	}
	return r.Closest, nil
}

// A recall is a [routing.Recall] behind the lock of the engine.
type recall struct {
	k     int
	mu    sync.Mutex // held for one call, never over IO
	found routing.Recall
}

// learn remembers the result of a lookup of key: see [routing.Recall.Learn].
func (r *recall) learn(recalled time.Time, key routing.Key, result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found.Learn(result.Ended, recalled, key, r.k, result.Result)
}

// near returns the result of an earlier lookup of a key near to key, since when its contacts
// have answered, and how long ago that is; nil if there is none.
func (r *recall) near(key routing.Key) (closest []routing.Contact, since time.Time, age time.Duration) {
	tasks.Locked(&r.mu, func(now time.Time) {
		closest, since = r.found.Near(now, key)
		age = now.Sub(since)
	})
	return closest, since, age
}

// justFound returns the result of a lookup of key of the last minute; nil if there is
// none.
func (r *recall) justFound(key routing.Key) (closest []routing.Contact) {
	tasks.Locked(&r.mu, func(now time.Time) { closest = r.found.JustFound(now, key) })
	return closest
}
