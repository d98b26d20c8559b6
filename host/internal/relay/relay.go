package relay

import (
	"slices"
	"sync"
	"time"

	logging "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/publish"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// A Config has the rooms that Relays use, and their settings.
type Config struct {
	Host     lhost.Host
	Protocol lprotocol.ID
	Table    *table.Table
	Call     *call.Caller
	Find     *find.Finder
	Publish  *publish.Publisher
	Reach    *reach.Reach
	Tasks    *tasks.Group
	K        int
	Offer    bool // relay for other peers
	Limits   Limits
}

// Relays are the relays through which the node is reached, and the relay that it is
// itself. They are safe for concurrent use.
type Relays struct {
	cfg   Config
	offer offer         // of the background loop
	check time.Time     // of the background loop: when to ask the held relays again
	wake  chan struct{} // buffered, length 1: there may be a relay to propose

	mu    sync.Mutex             // held for what is in memory only
	known map[peer.ID]knownRelay // of all others, nothing is known
	pause time.Duration          // after the next lookup of relays
	next  time.Time              // when it is
}

// New returns Relays of which none is known.
func New(cfg Config) *Relays {
	return &Relays{cfg: cfg, wake: make(chan struct{}, 1), known: make(map[peer.ID]knownRelay)}
}

// Jobs returns the jobs of the room, in the order in which the loop asks them.
func (r *Relays) Jobs() []tasks.Job {
	return []tasks.Job{
		{Name: "offer relay", Due: r.offerDue},
		{Name: "check relays", Due: r.checkDue},
	}
}

// Handle takes in an event of the host, if it is about relays.
func (r *Relays) Handle(now time.Time, e any) {
	switch e := e.(type) {
	case event.EvtPeerConnectednessChanged:
		switch {
		case e.Connectedness == network.Connected:
			r.regain(e.Peer)
		case !r.cfg.Table.Connected(e.Peer):
			r.lose(now, e.Peer, r.cfg.Reach.Reachability() != network.ReachabilityPublic)
		}
	case event.EvtAutoRelayAddrsUpdated:
		r.hold(e.RelayAddrs)
	}
}

// Seen takes in a peer whose protocols are known now: it may be a relay to propose.
func (r *Relays) Seen(id peer.ID) {
	if r.relays(id) {
		r.Wake()
	}
}

// Wake has Source look once more for a relay to propose. It does not block.
func (r *Relays) Wake() { tasks.Poke(r.wake) }

// relays reports whether a peer says that it relays.
func (r *Relays) relays(id peer.ID) bool {
	known, err := r.cfg.Host.Peerstore().SupportsProtocols(id, circuit.ProtoIDv2Hop)
	return err == nil && slices.Contains(known, circuit.ProtoIDv2Hop)
}

// namespace is the rendezvous namespace of the relays of the network.
func (r *Relays) namespace() string { return string(r.cfg.Protocol) + "/relay" }
