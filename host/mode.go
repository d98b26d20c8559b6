package host

import "github.com/go-kad/kad/host/internal/reach"

// A Mode says whether a node is a server, which answers the requests of other peers and is in
// their tables, or a client, which only asks and is in no table.
type Mode uint8

const (
	// ModeAuto serves while other peers can reach the node. As long as no peer of the network is
	// on the public internet, that is at once, if the host listens on an address. In a public
	// network, the node serves when AutoNAT has found that the host can be dialled. Before
	// AutoNAT has found anything, it also serves if the host listens on a public IPv4 address,
	// if Config.AppendAnnounce has a public address, or while it is known that a peer on the
	// internet has connected which the host had not dialled.
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

// SetMode changes the mode at run time. When it returns, the node serves or does not serve,
// as [DHT.Mode] says; identify tells the connected peers within a round trip. The error is
// [ErrClosed], or says that there is no such mode.
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
