package find

import (
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/internal/validate"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// A Config has the rooms that a Finder uses, and its settings.
type Config struct {
	Host      lhost.Host
	Rules     validate.Rules
	Table     *table.Table
	Call      *call.Caller
	Lookup    *lookup.Engine
	Deliver   *deliver.Sender
	Holder    *holder.Holder
	Tasks     *tasks.Group
	K         int
	SlowAfter time.Duration
	RecordAge time.Duration
	Caching   bool // a get leaves a copy with a peer that its lookup passed
}

// A Finder finds values, providers and peers. It is safe for concurrent use.
type Finder struct {
	cfg         Config
	self        peer.ID
	corrections tasks.Slots // of gets whose holders are being corrected

	corrected, cached atomic.Uint64
}

// New returns a Finder.
func New(cfg Config) *Finder {
	return &Finder{cfg: cfg, self: cfg.Host.ID(), corrections: make(tasks.Slots, maxCorrections)}
}

// Stats returns how many records were sent to holders of a worse one or none, and how
// many copies were left with peers that a lookup passed.
func (f *Finder) Stats() (corrected, cached uint64) { return f.corrected.Load(), f.cached.Load() }
