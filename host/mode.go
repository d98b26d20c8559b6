package host

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
)

// A Mode says whether a node answers the requests of others (a server, which
// sits in their tables) or only asks (a client, which sits in none).
type Mode uint8

const (
	// ModeAuto serves while others can reach the node: at once on a loopback
	// or private network, and on the public network when the host says that it
	// is reachable, or listens on a public IPv4 address itself.
	ModeAuto Mode = iota

	// ModeClient never serves.
	ModeClient

	// ModeServer always serves.
	ModeServer
)

// String returns auto, client or server.
func (m Mode) String() string {
	switch m {
	case ModeClient:
		return "client"
	case ModeServer:
		return "server"
	default:
		return "auto"
	}
}

// surroundings are the facts that decide the mode of a node in [ModeAuto].
type surroundings struct {
	reachability network.Reachability // what the host has found out
	confirmed    bool                 // one of the host's addresses was confirmed to be reachable
	denied       bool                 // each of its public addresses was found to be unreachable
	dialled      time.Time            // when a stranger on the public internet connected to us; zero if that is long ago
	publicPeer   bool                 // a peer of this network is on the public internet
	publicListen bool                 // the host listens on a public IPv4 address
}

// A decision is what follows from the surroundings.
type decision struct {
	serve     bool
	reachable bool // peers on the internet can dial the host, as far as is known
	reason    string
}

// same reports whether two decisions come to the same, for whatever reason.
func (d decision) same(other decision) bool {
	return d.serve == other.serve && d.reachable == other.reachable
}

// proven reports whether somebody has found out whether the host is reachable.
func (s surroundings) proven() bool {
	return s.confirmed || s.denied || s.reachability != network.ReachabilityUnknown
}

// decide returns whether to serve, and why.
func decide(wanted Mode, s surroundings) decision {
	proof := s.confirmed || s.reachability == network.ReachabilityPublic
	refuted := !proof && (s.denied || s.reachability == network.ReachabilityPrivate)
	switch {
	case wanted == ModeServer:
		return decision{true, !refuted, "set to server"}
	case wanted == ModeClient:
		return decision{false, proof, "set to client"}
	case proof:
		return decision{true, true, "the host is publicly reachable"}
	case !s.publicPeer:
		return decision{
			true, s.publicListen && !refuted,
			"no peer of the network is on the public internet: on a private network everybody is reachable",
		}
	case refuted:
		return decision{false, false, "the network is public and the host is not publicly reachable"}
	case !s.dialled.IsZero():
		return decision{true, true, "a stranger on the public internet has reached the host, and nothing says that others cannot"}
	case s.publicListen:
		return decision{true, true, "the host listens on a public IPv4 address, and nothing says that it is unreachable"}
	default:
		return decision{false, false, "the network is public and the host's reachability is not known yet"}
	}
}

const (
	// minSettle is for how long a finding that contradicts an earlier one must last
	// before it is followed: less than a minute, so that a router that was restarted
	// is found out about, and more than a change of network takes.
	minSettle = 15 * time.Second

	// maxSettle bounds that time, which doubles with each switch, and calmAfter is
	// the time without one after which it begins anew.
	maxSettle = 8 * time.Minute
	calmAfter = 30 * time.Minute

	// dialledAge is for how long it counts that a stranger has reached us: routers and
	// addresses change.
	dialledAge = time.Hour
)

// mode decides whether the node serves, whenever something that bears on it
// changes, and switches. Peers drop and take in whoever switches, so it does not
// follow a host that finds itself reachable and unreachable by turns: the first
// finding counts at once, one that contradicts it when it has lasted.
type mode struct {
	apply func(was, now decision) // sets or removes the protocol handler

	mu      sync.Mutex // held during apply, so that switches do not overtake each other
	wanted  Mode
	around  surroundings
	now     decision
	proven  bool          // now goes by, or against, something that was found out
	since   time.Time     // when the surroundings began to speak against now; zero if they do not
	changed time.Time     // when a finding was followed that contradicted an earlier one
	settles time.Duration // for how long the next one must last, unless calmAfter is over
	closed  bool
}

// change updates what the decision rests on, and switches if it comes out
// otherwise, at once or later: see settle.
func (m *mode) change(update func(wanted *Mode, around *surroundings)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	wanted, public := m.wanted, m.around.publicPeer
	update(&m.wanted, &m.around)
	if m.wanted != wanted || m.around.publicPeer != public {
		m.proven = false // no finding is contradicted: it is another question
	}
	m.follow(time.Now())
}

// settle switches if what speaks for it has lasted, and returns when to call it
// again; the zero time means not before a change.
func (m *mode) settle(now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return time.Time{}
	}
	m.follow(now)
	var next time.Time
	if !m.around.dialled.IsZero() {
		next = m.around.dialled.Add(dialledAge)
	}
	if m.since.IsZero() {
		return next
	}
	if lasted := m.since.Add(m.patience(now)); next.IsZero() || lasted.Before(next) {
		next = lasted
	}
	return next
}

// follow makes the decision, and switches unless it must last first.
func (m *mode) follow(now time.Time) {
	if now.Sub(m.around.dialled) >= dialledAge {
		m.around.dialled = time.Time{}
	}
	next := decide(m.wanted, m.around)
	switch {
	case next.same(m.now):
		m.since = time.Time{}
	case m.proven:
		if m.since.IsZero() {
			m.since = now
		}
		patience := m.patience(now)
		if now.Sub(m.since) < patience {
			return
		}
		m.settles, m.changed, m.since = min(2*patience, maxSettle), now, time.Time{}
	default:
		m.since = time.Time{}
	}
	was := m.now
	m.now = next
	m.proven = m.around.proven()
	if !next.same(was) {
		log.Debugw("mode", "serves", next.serve, "reachable", next.reachable, "reason", next.reason)
		m.apply(was, next)
	}
}

// patience returns for how long a finding that contradicts an earlier one must last.
func (m *mode) patience(now time.Time) time.Duration {
	if now.Sub(m.changed) >= calmAfter {
		return minSettle
	}
	return m.settles
}

// close stops serving for good.
func (m *mode) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	m.closed = true
	was := m.now
	m.now = decision{reason: "closed"}
	m.apply(was, m.now)
}

// surroundings returns the facts as they are known now.
func (m *mode) surroundings() surroundings {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.around
}

// reachable reports whether peers on the internet can dial the host, and whether
// there are any.
func (m *mode) reachable() (reachable, public bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now.reachable, m.around.publicPeer
}

// current returns [ModeServer] or [ModeClient], and why.
func (m *mode) current() (Mode, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	reason := m.now.reason
	if !m.since.IsZero() {
		reason += ", but lately it seems otherwise: that counts when it has lasted"
	}
	if m.now.serve {
		return ModeServer, reason
	}
	return ModeClient, reason
}

// listensPublic reports whether one of the addresses that sockets are bound to
// is a public IPv4 address. An IPv6 one proves less: homes have them behind
// firewalls.
func listensPublic(addrs []multiaddr.Multiaddr) bool {
	for _, a := range addrs {
		if has(a, multiaddr.P_IP4) && scopeOf(a) == scopePublic && !has(a, multiaddr.P_CIRCUIT) {
			return true
		}
	}
	return false
}

// Mode returns whether the node is a [ModeServer] or a [ModeClient] now, and
// the reason in words.
func (d *DHT) Mode() (Mode, string) {
	return d.mode.current()
}

// SetMode changes the mode at run time. When it returns, the node serves or
// does not, as [DHT.Mode] tells; peers are notified by identify within a round
// trip.
func (d *DHT) SetMode(m Mode) error {
	if m > ModeServer {
		return errUnknownMode
	}
	if d.tasks.closed() {
		return ErrClosed
	}
	d.mode.change(func(wanted *Mode, _ *surroundings) { *wanted = m })
	return nil
}
