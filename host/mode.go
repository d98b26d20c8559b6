package host

import (
	"sync"

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
	dialled      bool                 // a peer on the public internet has connected to us
	publicPeer   bool                 // a peer of this network is on the public internet
	publicListen bool                 // the host listens on a public IPv4 address
}

// decide returns whether to serve, and why.
func decide(wanted Mode, s surroundings) (serve bool, reason string) {
	switch {
	case wanted == ModeServer:
		return true, "set to server"
	case wanted == ModeClient:
		return false, "set to client"
	case s.reachability == network.ReachabilityPublic || s.confirmed:
		return true, "the host is publicly reachable"
	case !s.publicPeer:
		return true, "no peer of the network is on the public internet: on a private network everybody is reachable"
	case s.reachability == network.ReachabilityPrivate:
		return false, "the network is public and the host is not publicly reachable"
	case s.dialled:
		return true, "a peer on the public internet has reached the host, and nothing says that others cannot"
	case s.publicListen:
		return true, "the host listens on a public IPv4 address, and nothing says that it is unreachable"
	default:
		return false, "the network is public and the host's reachability is not known yet"
	}
}

// mode decides whether the node serves, whenever something that bears on it
// changes, and switches.
type mode struct {
	apply func(serve bool) // sets or removes the protocol handler

	mu     sync.Mutex // held during apply, so that switches do not overtake each other
	wanted Mode
	around surroundings
	serves bool
	reason string
	closed bool
}

// change updates what the decision rests on, and switches if it comes out
// otherwise.
func (m *mode) change(update func(wanted *Mode, around *surroundings)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	update(&m.wanted, &m.around)
	serve, reason := decide(m.wanted, m.around)
	m.reason = reason
	if serve != m.serves {
		m.serves = serve
		log.Debugw("mode", "serves", serve, "reason", reason)
		m.apply(serve)
	}
}

// close stops serving for good.
func (m *mode) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	m.closed, m.reason = true, "closed"
	if m.serves {
		m.serves = false
		m.apply(false)
	}
}

// current returns [ModeServer] or [ModeClient], and why.
func (m *mode) current() (Mode, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.serves {
		return ModeServer, m.reason
	}
	return ModeClient, m.reason
}

// listensPublic reports whether one of the addresses that sockets are bound to
// is a public IPv4 address. An IPv6 one proves less: homes have them behind
// firewalls.
func listensPublic(addrs []multiaddr.Multiaddr) bool {
	for _, a := range addrs {
		if _, err := a.ValueForProtocol(multiaddr.P_IP4); err == nil && scopeOf(a) == scopePublic {
			if _, err := a.ValueForProtocol(multiaddr.P_CIRCUIT); err != nil {
				return true
			}
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
