package lookup

import (
	"context"
	"sync/atomic"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A Config has what an Engine needs. All fields are required.
type Config struct {
	Host      lhost.Host
	Table     *table.Table
	Call      *call.Caller
	Tasks     *tasks.Group
	K, Alpha  int
	SlowAfter time.Duration
}

// An Engine runs lookups, and remembers what they found. It is safe for concurrent use.
type Engine struct {
	cfg     Config
	self    peer.ID
	recall  recall
	lookups atomic.Uint64
}

// NewEngine returns an Engine.
func NewEngine(cfg Config) *Engine {
	return &Engine{cfg: cfg, self: cfg.Host.ID(), recall: recall{k: cfg.K}}
}

// Lookups returns how many lookups were run.
func (e *Engine) Lookups() uint64 { return e.lookups.Load() }

// A Plan says how a lookup differs from others.
type Plan struct {
	Paths  int  // disjoint paths; 0: one
	Recall bool // peers that an earlier lookup found, and that are confirmed, need not be asked
}

// Prepare prepares a lookup of the key of a preimage. It waits until the table has
// contacts, as Table.ReadyWithin does.
//
// The lookup starts from the result of an earlier one of the same key, or of one near to
// it, if there is one, and from the closest contacts of the table.
func (e *Engine) Prepare(ctx context.Context, preimage []byte, req protocol.Request, p Plan) (*Search, error) {
	if err := e.cfg.Table.ReadyWithin(ctx); err != nil {
		return nil, err
	}
	key := routing.KeyOf(preimage)
	seeds := e.cfg.Table.Seeds(key, routing.SeedFactor*e.cfg.K)
	if len(seeds) == 0 {
		return nil, e.cfg.Table.NotReady(nil) // the table was emptied just now
	}
	recalled, since := e.recall.near(time.Now(), key)
	seeds = append(recalled, seeds...)
	e.cfg.Table.Expect(seeds)
	if p.Recall {
		routing.MarkRecent(seeds[:len(recalled)])
	}
	size, failing := e.cfg.Table.Network()
	s := &Search{
		engine: e, key: key, req: req, turn: call.NewTurn(), named: make(map[peer.ID]named), recalled: since,
		lookup: routing.NewLookup(e.self, key, seeds, routing.LookupConfig{
			K: e.cfg.K, Alpha: e.cfg.Alpha, Beta: e.cfg.K, Paths: max(1, p.Paths), SlowAfter: e.cfg.SlowAfter,
			Size: size, Failing: failing,
		}),
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

// Refresh is Find for the sake of the table alone. It fails at once if the table is empty,
// or the node is offline: to wait is for operations that want an answer.
func (e *Engine) Refresh(ctx context.Context, preimage []byte) error {
	if !e.cfg.Table.Live() {
		return e.cfg.Table.NotReady(nil)
	}
	_, err := e.Find(ctx, preimage, Plan{})
	return err
}
