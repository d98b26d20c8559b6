package holder

import (
	"sync"
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/internal/validate"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// A From is the sender of a request.
type From struct {
	ID   peer.ID
	At   scope.Scope    // how far away it is, which decides the addresses it is given
	Last *announce.Last // what it has announced last; may be nil, and is used by one request at a time
}

// A Config has what a Holder uses, and its settings.
type Config struct {
	Host            lhost.Host // its ID, its addresses, its key
	Protocol        lprotocol.ID
	Store           store.Store
	Rules           validate.Rules
	Table           *table.Table
	K               int
	RecordAge       time.Duration // how long a record is held; negative: for ever
	MaxBytesPerPeer int           // negative: no limit
	Caching         bool          // far holders keep records for less
}

// A Holder has the values and announcements that the node holds for the network, and
// its own. It is safe for concurrent use.
type Holder struct {
	cfg   Config
	self  peer.ID
	quota quota

	announcing tasks.Stripes // from the read of an announcement to its write
	shed       atomic.Uint64
	expired    atomic.Uint64
	full       atomic.Uint64 // writes that found no room
	unsigned   sync.Once     // to log that this node cannot sign

	slept func() (time.Duration, bool) // see tasks.Slept
}

// New returns a Holder.
func New(cfg Config) *Holder {
	return &Holder{
		cfg:   cfg,
		self:  cfg.Host.ID(),
		slept: tasks.Slept,
		quota: quota{self: cfg.Host.ID(), limit: cfg.MaxBytesPerPeer, age: cfg.RecordAge, network: networkOf(cfg.Table)},
	}
}

// Len returns how many values and announcements are held.
func (h *Holder) Len() (values, providers int) { return h.cfg.Store.Len() }

// Shed returns how many entries a full store has dropped for nearer ones.
func (h *Holder) Shed() uint64 { return h.shed.Load() }

// Expired returns how many entries were removed since their time was over.
func (h *Holder) Expired() uint64 { return h.expired.Load() }

// Limits return how many writes were refused: of senders that have used up their share of the
// store, and of others while it was full.
func (h *Holder) Limits() (overQuota, full uint64) { return h.quota.refusals(), h.full.Load() }

// Encoded returns a peer of an answer, with the hint whether we are connected to it.
func (h *Holder) Encoded(id peer.ID, wire []byte) protocol.EncodedPeer {
	p := protocol.EncodedPeer{Wire: wire}
	if h.cfg.Table.Connected(id) {
		p.Connection = protocol.Connected
	}
	return p
}
