package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
)

// A Source says where an address of a peer comes from, the best first.
type Source uint8

const (
	// SourceConnected is the peer itself, over a connection: the address at the other end of
	// the connection, and the addresses that the peer has signed and sent on it.
	SourceConnected Source = iota

	// SourceCertified is the signature of the peer, which a holder of its presence has: of
	// several, the newest counts.
	SourceCertified

	// SourcePresence is a holder of the peer's presence that has no signature of it. An
	// address that more holders name comes first.
	SourcePresence

	// SourceHearsay is any other peer, such as one that has the peer in its routing
	// table, or our own host. An address that more of them name comes first.
	SourceHearsay
)

// String returns connected, certified, presence or hearsay.
func (s Source) String() string {
	return [...]string{"connected", "certified", "presence", "hearsay"}[min(s, SourceHearsay)]
}

// A LocatedAddr is an address of a peer, and where it comes from.
type LocatedAddr struct {
	Addr   multiaddr.Multiaddr
	Source Source

	// From is the peer that named it first; it may be this node itself.
	From peer.ID

	// Age is how long ago the peer stated it: 0 with SourceConnected, and negative if it is
	// not known, as with SourcePresence and SourceHearsay.
	Age time.Duration
}

// A Location has the addresses of a peer, and where each comes from.
type Location struct {
	ID    peer.ID
	Addrs []LocatedAddr // the best first: by Source, and as their source orders them; each once
}

// FindPeer returns the addresses of [DHT.Locate].
//
// Spec: libp2p kad-dht, "Peer routing".
func (d *DHT) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	found, err := d.Locate(ctx, id)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	info := peer.AddrInfo{ID: id}
	for _, a := range found.Addrs {
		info.Addrs = append(info.Addrs, a.Addr)
	}
	return info, nil
}

// Locate looks for a peer, and returns its addresses and where each comes from. One
// lookup asks for both the peer and its presence: a peer that does not serve keeps a
// presence with the peers closest to it. The lookup ends with the first of these:
//
//   - the peer is connected, for instance because the lookup has dialled and asked it;
//   - three of the k closest peers that are known have given the same certified presence,
//     and no peer has given a newer one;
//   - half of the k closest peers that are known have answered, three of them have the peer
//     in their tables at the same address, and no peer has given a presence: a peer that
//     serves has none;
//   - the k peers closest to it have answered.
//
// So it takes at least three of the closest peers to end a lookup early. An address that the
// peer has not certified may be false, whichever peer names it.
//
// A signature counts for an hour, and only the addresses of the newest one are returned.
// Private addresses are not accepted across the public network.
//
// The error is [ErrNotFound] if more than half of the closest peers have answered, and none
// knows the peer; [ErrUnanswered] if fewer have answered.
func (d *DHT) Locate(ctx context.Context, id peer.ID) (location Location, err error) {
	ctx, op, err := begin(ctx, d, observe.FindPeer)
	if err != nil {
		return Location{}, err
	}
	defer func() { op.ended(err) }()
	found, err := d.find.Peer(ctx, id)
	if err != nil {
		return Location{}, op.public(err)
	}
	location.ID = found.ID
	for _, a := range found.Addrs {
		location.Addrs = append(location.Addrs, LocatedAddr{a.Addr, Source(a.Source), a.From, a.Age})
	}
	return location, nil
}

// ClosestPeers returns the k peers closest to a key that answer, the closest first,
// with the addresses at which they were reached. This node is not among them. If a lookup
// near that key ended less than 5 minutes ago, it is enough that two of its peers confirm
// its result. The key is given before it is hashed: the bytes of a peer ID, a record key, or
// a multihash.
//
// It waits for late peers, within Config.RequestTimeout, until more than half of the k closest
// peers that are known have answered. If fewer answer, it returns these with the error
// [ErrUnanswered].
func (d *DHT) ClosestPeers(ctx context.Context, key []byte) (infos []peer.AddrInfo, err error) {
	ctx, op, err := begin(ctx, d, observe.ClosestPeers)
	if err != nil {
		return nil, err
	}
	defer func() { op.ended(err) }()
	if len(key) == 0 || len(key) > protocol.MaxKey {
		return nil, fmt.Errorf("kad: a key has 1 to %d bytes, not %d", protocol.MaxKey, len(key))
	}
	closest, err := d.lookup.Closest(0)(ctx, key, nil)
	if errors.Is(err, kaderr.ErrSingle) {
		return []peer.AddrInfo{}, nil
	}
	if len(closest) == 0 {
		return nil, op.public(err)
	}
	infos = make([]peer.AddrInfo, len(closest))
	for i, c := range closest {
		infos[i] = peer.AddrInfo{ID: c.ID, Addrs: connectedAddrs(d.host, c.ID)}
		if p, err := announce.Wire(c.Wire).Peer(); err == nil && infos[i].Addrs == nil {
			infos[i].Addrs = p.Addrs
		}
	}
	return infos, op.public(err)
}

// connectedAddrs returns the addresses of a connected peer; nil if it is not connected.
func connectedAddrs(h lhost.Host, id peer.ID) []multiaddr.Multiaddr {
	if h.Network().Connectedness(id) != network.Connected {
		return nil
	}
	at := scope.Proved(h.Network().ConnsToPeer(id))
	if addrs := h.Peerstore().Addrs(id); len(addrs) > 0 {
		return scope.Rank(addrs, at)
	}
	return at
}

// Connect connects to a peer, wherever it is. It dials the addresses that the host knows. If
// there are none, if they fail, or if they have not led to the peer after half a second, it
// also looks the peer up with [DHT.Locate], and dials the addresses that it finds; if these
// fail too, it looks the peer up once more. It dials directly and, if that has not succeeded
// after a moment, through the relays of the peer as well.
//
// Over a relayed connection, the peer begins to punch a hole, and Connect waits for the
// direct connection for as long as [WaitDirect] says. If none comes, the connection stays
// relayed, and that is no error. A peer punches only when a relayed connection is new: with
// an older one, Connect only dials the addresses that are known or found.
//
// The error is a [*ConnectError] that says what was tried. Connect ends with ctx; if ctx has
// no deadline and all dials hang, it takes some minutes.
func (d *DHT) Connect(ctx context.Context, id peer.ID, opts ...lrouting.Option) (connection Connection, err error) {
	ctx, op, err := begin(ctx, d, observe.Connect)
	if err != nil {
		return Connection{}, err
	}
	defer func() { op.ended(err) }()
	o, err := optionsOf(opts, d.cfg.Alpha)
	if err != nil {
		return Connection{}, err
	}
	conn, err := d.connect.To(ctx, id, o.direct)
	return Connection{Via: Via(conn.Via), Addr: conn.Addr, Steps: stepsOf(conn.Steps)}, op.public(err)
}

// RelaySource proposes relays: give it to libp2p.EnableAutoRelayWithPeerSource. [Traversal]
// does so, with the options that go with it. The relays are servers of this network: first
// those that the host is connected to, then those that announce themselves
// (Config.OfferRelay). All were reached at a public address, and speak the relay protocol. A
// relay with a low round trip comes first, and one in a network (IPv4 /16, IPv6 /32) in which
// this node has no relay yet.
//
// It proposes as many relays as the node lacks until it has two reservations, and at most
// num, since AutoRelay takes any of them. It waits while the node lacks none, or can be
// reached without a relay. It closes the channel when it has proposed some, when ctx ends,
// or when the DHT is closed.
func (d *DHT) RelaySource(ctx context.Context, num int) <-chan peer.AddrInfo {
	return d.relay.Source(ctx, num)
}
