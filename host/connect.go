package host

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
)

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
	o, err := optionsOf(opts, d.cfg.Alpha)
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
