package relay

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/publish"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/scope"
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
	Observer *observe.Observer
	K        int
	Offer    bool // relay for other peers
	Limits   Limits
}

// Relays are the relays through which the node is reached, and the relay that it is
// itself. They are safe for concurrent use.
type Relays struct {
	cfg    Config
	offer  offer         // of the background loop
	check  time.Time     // of the background loop: when to ask the held relays again
	better time.Time     // likewise: when to compare them with others
	wake   chan struct{} // buffered, length 1: there may be a relay to propose

	carrying      atomic.Pointer[carrying] // nil: no service of ours runs
	bytes, noRoom atomic.Uint64            // see Carried

	mu    sync.Mutex             // held for what is in memory only
	known map[peer.ID]knownRelay // of all others, nothing is known
	pause time.Duration          // after the next lookup of relays
	next  time.Time              // when it is

	search Search
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
		{Name: "better relay", Due: r.betterDue},
	}
}

// Handle takes in an event of the host, if it is about relays.
func (r *Relays) Handle(now time.Time, e any) {
	switch e := e.(type) {
	case event.EvtPeerConnectednessChanged:
		r.telling(func() {
			switch {
			case e.Connectedness == network.Connected:
				r.regain(e.Peer)
			case !r.cfg.Table.Connected(e.Peer):
				r.lose(now, e.Peer, r.cfg.Reach.Reachability() != network.ReachabilityPublic)
			}
		})
	case event.EvtAutoRelayAddrsUpdated:
		r.telling(func() { r.hold(e.RelayAddrs) })
	}
}

// telling tells of the relays that are held, if a change has changed them.
func (r *Relays) telling(change func()) {
	before := r.Held()
	change()
	if held := r.Held(); !slices.Equal(before, held) {
		r.cfg.Observer.Tell(events.RelaysChanged{Relays: held})
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
func (r *Relays) relays(id peer.ID) bool { return r.cfg.Table.Supports(id, circuit.ProtoIDv2Hop) }

// key is the key under which the relays of the network announce themselves: that of a namespace.
func (r *Relays) key() []byte {
	c, _ := find.NamespaceCID(string(r.cfg.Protocol) + "/relay") // it fails if that is empty
	return c.Hash()
}

const (
	// Reservations is how many relays a node behind a NAT holds: while one is lost and
	// replaced, it can be reached through the other.
	Reservations = 2

	// offerAgain is when a relay that was proposed, and gave no reservation, is proposed
	// again.
	offerAgain = 10 * time.Second

	// refusedAge is how long a peer that announces to relay, and does not, is not checked
	// again; maxRefused bounds the peers that are remembered for that.
	refusedAge = 5 * time.Minute
	maxRefused = 1024

	// minPause and maxPause bound the time between two lookups of relays, which doubles
	// while there are too few. A lost relay ends it.
	minPause = time.Second
	maxPause = time.Minute

	// overlookedAfter is how long AutoRelay takes to notice that a relay is lost, unless it
	// was stopped then.
	overlookedAfter = time.Second
)

// A standing is what is known of a peer as a relay of this node.
type standing uint8

const (
	unknown    standing = iota // nothing
	refused                    // a check of it has failed
	offered                    // it was proposed to AutoRelay
	held                       // it has a reservation for this node, as AutoRelay says
	lost                       // AutoRelay says so, though the connection has ended: it will notice
	overlooked                 // AutoRelay says so, and was stopped when the connection ended: it will not notice
)

// using reports whether AutoRelay takes the relay for one that has a reservation.
func (s standing) using() bool { return s >= held }

// A knownRelay is what is known of one.
type knownRelay struct {
	standing standing
	since    time.Time
}

// hold takes in the relayed addresses that the host has now.
func (r *Relays) hold(addrs []multiaddr.Multiaddr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var using []peer.ID
	for _, a := range addrs {
		if id, ok := scope.RelayOf(a); ok {
			using = append(using, id)
			if !r.known[id].standing.using() {
				r.note(id, held, time.Time{})
				r.search.Proposed = 0
			}
		}
	}
	for id, k := range r.known {
		if k.standing.using() && !slices.Contains(using, id) {
			delete(r.known, id)
			r.pause, r.next = 0, time.Time{} // look for another at once
		}
	}
	r.Wake()
}

// Held returns the relays that have a reservation for this node, sorted. A relay drops it
// with the connection.
func (r *Relays) Held() []peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []peer.ID
	for id, k := range r.known {
		if k.standing == held {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// lose records that the connection to a peer ended; notices is whether AutoRelay runs.
func (r *Relays) lose(now time.Time, id peer.ID, notices bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[id].standing != held {
		return
	}
	if notices {
		r.note(id, lost, now)
	} else {
		r.note(id, overlooked, now)
	}
	r.Wake()
}

// regain records that a peer is connected. If AutoRelay has noticed that it was gone, what
// it says of the peer now holds again.
func (r *Relays) regain(id peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[id].standing == lost {
		r.note(id, held, time.Time{})
	}
}

// forgotten returns the relays that AutoRelay takes for held, though their connection
// ended a while ago.
func (r *Relays) forgotten(now time.Time) []peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []peer.ID
	for id, k := range r.known {
		if k.standing > held && now.Sub(k.since) >= overlookedAfter {
			r.note(id, k.standing, now)
			ids = append(ids, id)
		}
	}
	return ids
}

// propose records a proposal. It is false if the peer has a reservation for this node, or
// was proposed lately.
func (r *Relays) propose(now time.Time, id peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	if r.known[id].standing > refused { // a refused peer may relay by now
		return false
	}
	r.note(id, offered, now)
	r.search.Proposed++
	return true
}

// refuse records that the check of a peer has failed.
func (r *Relays) refuse(now time.Time, id peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	if r.known[id].standing > refused {
		return
	}
	var ids []peer.ID // few, except under attack
	for id, k := range r.known {
		if k.standing == refused {
			ids = append(ids, id)
		}
	}
	if len(ids) >= maxRefused {
		delete(r.known, slices.MinFunc(ids, func(a, b peer.ID) int { return r.known[a].since.Compare(r.known[b].since) }))
	}
	r.note(id, refused, now)
}

// Restore forgets the refused peers after an outage: the outage made their checks fail.
func (r *Relays) Restore() {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.known, func(_ peer.ID, k knownRelay) bool { return k.standing == refused })
}

// standingOf returns what is known of a peer.
func (r *Relays) standingOf(now time.Time, id peer.ID) standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	return r.known[id].standing
}

// note sets what is known of a peer.
func (r *Relays) note(id peer.ID, s standing, since time.Time) {
	r.known[id] = knownRelay{s, since}
}

// forget drops what is known for too long.
func (r *Relays) forget(now time.Time) {
	for id, k := range r.known {
		age := now.Sub(k.since)
		if k.standing == refused && age >= refusedAge || k.standing == offered && age >= offerAgain {
			delete(r.known, id)
		}
	}
}

// due reports whether it is time for a lookup of relays, which then is under way, and
// when the next one is.
func (r *Relays) due(now time.Time) (bool, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.next) {
		return false, r.next
	}
	r.pause = min(max(2*r.pause, minPause), maxPause)
	r.next = now.Add(r.pause)
	return true, r.next
}
