package host

import "github.com/go-kad/kad/host/internal/reach"

// A Mode says whether a node answers the requests of other peers (a server, which
// sits in their tables) or only asks (a client, which sits in none).
type Mode uint8

const (
	// ModeAuto serves while other peers can reach the node: at once on a loopback
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

// Mode returns whether the node is a [ModeServer] or a [ModeClient] now, and
// the reason in words.
func (d *DHT) Mode() (Mode, string) {
	mode, reason := d.reach.Mode()
	return Mode(mode), reason
}

// SetMode changes the mode at run time. When it returns, the node serves or
// does not, as [DHT.Mode] tells; peers are notified by identify within a round
// trip.
func (d *DHT) SetMode(m Mode) error {
	if m > ModeServer {
		return errUnknownMode
	}
	if d.tasks.Closed() {
		return ErrClosed
	}
	d.reach.SetMode(reach.Mode(m))
	return nil
}
