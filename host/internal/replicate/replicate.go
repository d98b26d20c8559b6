package replicate

import (
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/publish"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/routing"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// A Config has the rooms that a Replicator uses, and its settings.
type Config struct {
	Holder   *holder.Holder
	Table    *table.Table
	Lookup   *lookup.Engine
	Deliver  *deliver.Sender
	Find     *find.Finder
	Publish  *publish.Publisher
	K, Alpha int
	Interval time.Duration // of the rounds; negative: there are none
}

// A Replicator passes on what the node holds. Its jobs and HandOver belong to the
// goroutine of the loop.
type Replicator struct {
	cfg       Config
	round     round
	newcomers newcomers

	replicated, handedOver atomic.Uint64
}

// New returns a Replicator.
func New(cfg Config) *Replicator {
	return &Replicator{
		cfg:       cfg,
		round:     round{kind: store.KindValue},
		newcomers: newcomers{given: make(map[peer.ID]time.Time)},
	}
}

// Round returns the job of the rounds. Config.Interval is not negative then. It is due
// only while the node has joined.
func (r *Replicator) Round() tasks.Job { return tasks.Job{Name: "replicate", Due: r.roundDue} }

// Newcomers returns the job that hands records over to the peers of HandOver.
func (r *Replicator) Newcomers() tasks.Job {
	return tasks.Job{Name: "hand-over", Limit: handovers, Due: r.handOverDue}
}

// Stats returns how many records and announcements were replicated in rounds, and how
// many were handed over.
func (r *Replicator) Stats() (replicated, handedOver uint64) {
	return r.replicated.Load(), r.handedOver.Load()
}

// withUs returns the k closest peers without the last one, if we are closer than it: we
// are one of the k then.
func (r *Replicator) withUs(key routing.Key, closest []routing.Contact) []routing.Contact {
	last := len(closest) - 1
	if len(closest) == r.cfg.K && key.Compare(r.cfg.Table.Self(), closest[last].Key) < 0 {
		return closest[:last]
	}
	return closest
}
