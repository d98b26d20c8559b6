package host

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
