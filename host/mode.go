package host

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
