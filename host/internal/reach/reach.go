package reach

import (
	"sync"
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

const (
	// minSettle is how long a finding that contradicts an earlier one must last before it
	// is followed: less than a minute, so that a restarted router is noticed, and more than
	// a change of network takes.
	minSettle = 15 * time.Second

	// maxSettle bounds that time, which doubles with each switch, and calmAfter is
	// the time without one after which it begins anew.
	maxSettle = 8 * time.Minute
	calmAfter = 30 * time.Minute

	// dialledAge is how long it counts that a stranger has reached the host: routers and
	// addresses change.
	dialledAge = time.Hour
)

// A Config has the settings of a Reach.
type Config struct {
	Host       lhost.Host
	Table      *table.Table
	Mode       Mode
	PublicPeer bool // a bootstrap peer has a public address
	Announced  bool // the user has named a public address of the host

	// Switched is called with each change of the decision, without the lock of the
	// room, one call after the other.
	Switched func(was, now Decision)
}

// A Reach decides whether the node serves, by what the host and its connections show of
// its reachability. It is safe for concurrent use.
type Reach struct {
	cfg   Config
	seeks atomic.Bool // the relay source was read

	mu      sync.Mutex // not held while Switched runs
	wanted  Mode
	facts   facts
	now     Decision
	proven  bool          // now agrees with, or contradicts, a check
	since   time.Time     // when the facts began to contradict now; zero if they do not
	changed time.Time     // when a finding was followed that contradicted an earlier one
	settles time.Duration // how long the next one must last, unless calmAfter is over
	started bool
	closed  bool

	applied  Decision // what Switched was called with last
	applying bool     // a goroutine calls Switched
	idle     sync.Cond

	dialled dialled
	nat     natTypes

	sightings sightings
}

// New returns a Reach that has not decided yet: see Start.
func New(cfg Config) *Reach {
	r := &Reach{cfg: cfg, wanted: cfg.Mode}
	r.idle.L = &r.mu
	return r
}

// Start makes the first decision.
func (r *Reach) Start() {
	public, hidden := r.listensPublic(), r.hidden()
	r.change(func(time.Time) {
		r.started = true
		r.facts.publicListen, r.facts.hidden, r.facts.announced = public, hidden, r.cfg.Announced
		r.facts.publicPeer = r.facts.publicPeer || r.cfg.PublicPeer
	})
}

// SetMode changes the mode. When it returns, the node serves or does not.
func (r *Reach) SetMode(m Mode) { r.change(func(time.Time) { r.wanted = m }) }

// Handle takes in an event of the host, if it is about reachability.
func (r *Reach) Handle(e any) {
	switch e := e.(type) {
	case event.EvtLocalReachabilityChanged:
		r.change(func(time.Time) { r.facts.reachability = e.Reachability })
	case event.EvtHostReachableAddrsChanged:
		r.change(func(time.Time) {
			r.facts.confirmed = len(e.Reachable) > 0
			r.facts.denied = len(e.Unreachable) > 0 && len(e.Reachable)+len(e.Unknown) == 0
		})
	case event.EvtLocalAddressesUpdated:
		public, hidden := r.listensPublic(), r.hidden()
		r.change(func(time.Time) { r.facts.publicListen, r.facts.hidden = public, hidden })
	case event.EvtPeerIdentificationCompleted:
		if seen, ok := sightingOf(e); ok {
			r.mu.Lock()
			defer r.mu.Unlock()
			if !r.facts.publicListen { // there may be a router
				r.sightings.add(seen)
			}
		}
	case event.EvtNATDeviceTypeChanged:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.nat.found(e.TransportProtocol, e.NatDeviceType)
	}
}

// listensPublic reports whether the host has a public IPv4 address of its own.
func (r *Reach) listensPublic() bool {
	addrs, err := r.cfg.Host.Network().InterfaceListenAddresses()
	return err == nil && scope.ListensPublic(addrs)
}

// hidden reports whether the host has no address that a peer could dial. An address through
// a relay is none: a server must be dialled directly.
func (r *Reach) hidden() bool {
	return len(scope.WithoutRelays(r.cfg.Host.Addrs())) == 0
}

// change updates the facts, and switches if the decision changes: at once, or once that
// has lasted.
func (r *Reach) change(update func(now time.Time)) {
	tasks.Locked(&r.mu, func(now time.Time) {
		if r.closed {
			return
		}
		wanted, public := r.wanted, r.facts.publicPeer
		update(now)
		if r.wanted != wanted || r.facts.publicPeer != public {
			r.proven = false // no finding is contradicted: the question has changed
		}
		if r.started {
			r.follow(now)
			r.apply()
		}
	})
}

// apply calls Switched until it has seen the latest decision, one call at a time, so that
// calls do not overtake each other. The caller holds the lock, which is released during a
// call.
func (r *Reach) apply() {
	for r.applying {
		r.idle.Wait()
	}
	for !r.applied.same(r.now) {
		was, now := r.applied, r.now
		r.applying, r.applied = true, now
		r.mu.Unlock()
		r.cfg.Switched(was, now)
		r.mu.Lock()
		r.applying = false
		r.idle.Broadcast()
	}
}

// Job returns the job that follows a finding when it has lasted.
func (r *Reach) Job() tasks.Job {
	return tasks.Job{Name: "mode", Due: func(now time.Time, _ *tasks.Start) time.Time { return r.settle(now) }}
}

// settle switches if a finding has lasted, and returns when to call it again; the zero
// time means not before a change.
func (r *Reach) settle(now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || !r.started {
		return time.Time{}
	}
	r.follow(now)
	r.apply()
	var next time.Time
	if !r.facts.dialled.IsZero() {
		next = r.facts.dialled.Add(dialledAge)
	}
	if r.since.IsZero() {
		return next
	}
	return tasks.Earliest(next, r.since.Add(r.patience(now)))
}

// follow makes the decision, unless a finding must last first. The caller holds the
// lock, and calls apply after it.
func (r *Reach) follow(now time.Time) {
	if now.Sub(r.facts.dialled) >= dialledAge {
		r.facts.dialled = time.Time{}
	}
	next := decide(r.wanted, r.facts)
	switch {
	case next.same(r.now):
		r.since = time.Time{}
	case r.proven:
		if r.since.IsZero() {
			r.since = now
		}
		patience := r.patience(now)
		if now.Sub(r.since) < patience {
			return
		}
		r.settles, r.changed, r.since = min(2*patience, maxSettle), now, time.Time{}
	default:
		r.since = time.Time{}
	}
	if !next.same(r.now) {
		log.Debugw("mode", "serves", next.Serve, "reachable", next.Reachable, "reason", next.Reason)
	}
	r.now = next
	r.proven = r.facts.proven()
}

// patience returns how long a finding that contradicts an earlier one must last.
func (r *Reach) patience(now time.Time) time.Duration {
	if now.Sub(r.changed) >= calmAfter {
		return minSettle
	}
	return r.settles
}

// Close stops serving, and ends all decisions.
func (r *Reach) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.closed = true
	r.now = Decision{Reason: "closed"}
	r.apply()
}

// Mode returns [Server] or [Client], and why.
func (r *Reach) Mode() (Mode, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reason := r.now.Reason
	if !r.since.IsZero() {
		reason += ", but lately it seems otherwise: that counts when it has lasted"
	}
	if r.now.Serve {
		return Server, reason
	}
	return Client, reason
}

// NeedsRelay reports whether peers on the internet can reach this node only through a
// relay.
func (r *Reach) NeedsRelay() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.facts.publicPeer && !r.now.Reachable
}

// Reachable reports whether peers on the internet can dial the host, as far as is known.
func (r *Reach) Reachable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now.Reachable
}

// Public reports whether a peer of the network is on the public internet.
func (r *Reach) Public() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.facts.publicPeer
}

// Reachability returns what the host itself says.
func (r *Reach) Reachability() network.Reachability {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.facts.reachability
}

// SeekRelay records that the relay source was read.
func (r *Reach) SeekRelay() { r.seeks.Store(true) }

// SeeksRelay reports whether the relay source was read.
func (r *Reach) SeeksRelay() bool { return r.seeks.Load() }
