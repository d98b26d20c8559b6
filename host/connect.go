package host

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/kaderr"
)

// Via is the way in which a peer is connected.
type Via uint8

const (
	// ViaDirect is a connection that was direct from the beginning.
	ViaDirect Via = iota + 1

	// ViaPunched is a direct connection that came after a relayed one, as by hole
	// punching.
	ViaPunched

	// ViaRelayed is a connection through a relay. It is limited, as a rule: streams on
	// it need network.WithAllowLimitedConn, and it ends after some minutes and bytes.
	ViaRelayed
)

// String returns direct, punched or relayed.
func (v Via) String() string {
	switch v {
	case ViaDirect:
		return "direct"
	case ViaPunched:
		return "punched"
	case ViaRelayed:
		return "relayed"
	default:
		return "none"
	}
}

// A Connection says how a peer was reached.
type Connection struct {
	Via   Via                 // 0 if it was not reached
	Addr  multiaddr.Multiaddr // of the peer, as the connection has it
	Steps []Step              // what was done for it, in the order in which it began
}

// A Step is a part of [DHT.Connect].
type Step struct {
	// Name says what was tried: "known", the addresses that the host knew; "find", a
	// lookup; "direct", a dial without relay; "relay", a dial through one; "punch",
	// the wait for a direct connection after that.
	Name string

	Addrs []multiaddr.Multiaddr // that were known, found or dialled; none for punch
	Took  time.Duration         // steps overlap
	Err   error                 // nil if it succeeded
}

// String returns the step in words.
func (s Step) String() string {
	text := fmt.Sprintf("%s (%v", s.Name, s.Took.Round(time.Millisecond))
	if len(s.Addrs) > 0 {
		text += ", " + kaderr.Plural(len(s.Addrs), "address")
	}
	if s.Err == nil {
		return text + ")"
	}
	return text + "): " + strings.TrimPrefix(strings.ReplaceAll(s.Err.Error(), "\n", " "), "kad: ")
}

// Connect connects to a peer, wherever it is: with the addresses that the host knows,
// and with those of [DHT.Locate] if there are none, if they fail, or if they have not
// led to it after half a second; if those fail too, it looks the peer up once more. It
// dials directly and, if that has not succeeded after a moment, through the relays of
// the peer as well; then it waits for a direct connection, which the peer makes by hole
// punching, for as long as [WaitDirect] says. If none comes, the connection stays
// relayed, and that is no error. A peer punches when it is connected: a relayed
// connection that was there before leads only to a dial of the addresses that are known
// or found.
//
// The error is a [*ConnectError] that says what was tried. Connect takes as long as
// ctx lasts, at most; without a deadline, some minutes where all dials hang.
func (d *DHT) Connect(ctx context.Context, id peer.ID, opts ...lrouting.Option) (Connection, error) {
	ctx, end := d.tasks.Begin(ctx)
	defer end()
	o, err := d.options(opts)
	if err != nil {
		return Connection{}, err
	}
	conn, err := d.connect.To(ctx, id, o.direct)
	return Connection{Via: Via(conn.Via), Addr: conn.Addr, Steps: stepsOf(conn.Steps)}, public(err)
}

// RelaySource proposes relays: give it to libp2p.EnableAutoRelayWithPeerSource, as
// [Traversal] does, which has the options that it goes well with. They are servers of
// this network: first those that the host is connected to, then those that announce
// themselves (Config.OfferRelay). All were reached at a public address and speak the
// relay protocol; a low round trip comes first, and a relay of a network (IPv4 /16, IPv6
// /32) in which this node has no other relay yet.
//
// It proposes as many as are missing to two reservations, and at most num, since
// AutoRelay takes any of them. While none is missing, or the host can be reached
// without, it proposes none, and waits. Then it closes the channel, at the latest when
// ctx ends or the DHT is closed.
func (d *DHT) RelaySource(ctx context.Context, num int) <-chan peer.AddrInfo {
	return d.relay.Source(ctx, num)
}
