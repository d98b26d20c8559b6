// Package lookup: API TO IMPLEMENT (this file is a stub that its owner replaces).
package lookup

import (
	"context"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"time"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

type Config struct {
	Host      lhost.Host
	Table     *table.Table
	Call      *call.Caller
	Tasks     *tasks.Group
	K, Alpha  int
	SlowAfter time.Duration
}

// An Engine runs lookups (routing.Lookup), and remembers what they found (recall).
type Engine struct{}

func NewEngine(cfg Config) *Engine { panic("stub") }

// A Plan says how a lookup differs from others.
type Plan struct {
	Paths  int  // disjoint paths; 0: one
	Recall bool // peers that an earlier lookup found, and that are confirmed, need not be asked
}

// A Search is one lookup that is prepared and not run yet. Set its fields before Run.
type Search struct {
	// Send asks one contact, in place of the request, if it is not nil.
	Send func(ctx context.Context, turn *call.Turn, to routing.Contact, reaches func(call.Stage)) (protocol.Response, error)
	// Heard, if not nil, is called with every answer by the goroutine of Run.
	Heard func(from routing.Contact, resp protocol.Response)
}

// Prepare prepares a lookup of the key of a preimage (was DHT.search). It waits for contacts as Table.ReadyWithin does.
func (e *Engine) Prepare(ctx context.Context, preimage []byte, req protocol.Request, p Plan) (*Search, error) {
	panic("stub")
}

func (s *Search) Run(ctx context.Context) (routing.Result, error) { panic("stub") }
func (s *Search) Stop()                                           { panic("stub") } // in Heard only
func (s *Search) StopPath(id peer.ID)                             { panic("stub") } // in Heard only
func (s *Search) Lookup() *routing.Lookup                         { panic("stub") } // in Heard only: Certain, Result

// Find looks up the k peers closest to a preimage, for the table or a survey (was DHT.lookup).
func (e *Engine) Find(ctx context.Context, preimage []byte, p Plan) (routing.Result, error) {
	panic("stub")
}

// Refresh is Find for the sake of the table alone: it fails at once if the table is empty (was DHT.lookupFor).
func (e *Engine) Refresh(ctx context.Context, preimage []byte) error { panic("stub") }

// A Sink takes peers that are likely among the closest while a lookup for them goes on. deliver makes it.
type Sink struct {
	Add   func(ctx context.Context, to ...routing.Contact)
	Taken func(ctx context.Context) bool // all that were added have stored it
}

// A Closest finds the k peers closest to a preimage. to is nil if nothing is sent to them.
type Closest func(ctx context.Context, preimage []byte, to *Sink) ([]routing.Contact, error)

func (e *Engine) Closest(paths int) Closest { panic("stub") } // was DHT.closestBy
func (e *Engine) Lookups() uint64           { panic("stub") }

type Survey struct{}

func (e *Engine) NewSurvey() *Survey { panic("stub") }
func (s *Survey) Closest(ctx context.Context, preimage []byte, _ *Sink) ([]routing.Contact, error) {
	panic("stub")
}
func (s *Survey) Known(preimage []byte) bool { panic("stub") }

func Converged(r routing.Result) bool { panic("stub") }

// Trace, Stats: as host.Trace and host.LookupStats, which are made of them.
type Trace struct{}

type Stats struct {
	Lookups, Requests, Answered, Hops int
	Refused, Late, Failed             int
	Confidence                        float64
}

func WithTrace(ctx context.Context) (context.Context, *Trace) { panic("stub") }
func (t *Trace) Stats() Stats                                 { panic("stub") }

// PublishEvent gives a query event to the listener of ctx, unless the operation has returned.
func PublishEvent(ctx context.Context, e *lrouting.QueryEvent) { panic("stub") }

// WhileWaiting returns ctx with the context that ends when the operation returns whose work goes on (was waitingKey).
func WhileWaiting(ctx, waiting context.Context) context.Context { panic("stub") }
