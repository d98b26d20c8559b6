package host

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// A Source says who vouches for an address of a peer, the best first.
type Source uint8

const (
	// SourceConnected is the peer itself, which we are connected to: where the
	// connection leads, and what the peer has signed of itself on it.
	SourceConnected Source = iota

	// SourceCertified is its signature: the newest that anybody holds.
	SourceCertified

	// SourcePresence is a holder that the peer told it to, as that one says. What
	// more of them say is before what fewer do.
	SourcePresence

	// SourceHearsay is anybody who knows it from somewhere, a routing table or our own
	// host among them. What more of them say is before what fewer do.
	SourceHearsay
)

// String returns connected, certified, presence or hearsay.
func (s Source) String() string {
	switch s {
	case SourceConnected:
		return "connected"
	case SourceCertified:
		return "certified"
	case SourcePresence:
		return "presence"
	default:
		return "hearsay"
	}
}

// A LocatedAddr is an address of a peer, and where it comes from.
type LocatedAddr struct {
	Addr   multiaddr.Multiaddr
	Source Source

	// From is who told it first: we ourselves, or a peer that was asked.
	From peer.ID

	// Age is how long ago the peer said so itself: 0 if we are connected to it, and
	// negative if nobody knows, as with SourcePresence and SourceHearsay.
	Age time.Duration
}

// A Location is where a peer is said to be.
type Location struct {
	ID    peer.ID
	Addrs []LocatedAddr // the best first: by Source, and as their source orders them; each once
}

// info returns the location without its story.
func (l Location) info() peer.AddrInfo {
	info := peer.AddrInfo{ID: l.ID}
	for _, a := range l.Addrs {
		info.Addrs = append(info.Addrs, a.Addr)
	}
	return info
}

// FindPeer returns the addresses of [DHT.Locate].
//
// Spec: libp2p kad-dht, "Peer routing".
func (d *DHT) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	found, err := d.Locate(ctx, id)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	return found.info(), nil
}

// Locate looks for a peer, and returns its addresses with the story of each. One
// lookup asks for both the peer and its presence, which a peer that does not serve
// keeps with those closest to it. It ends when
//
//   - we are connected to the peer, as when it is in a routing table, and then
//     answers itself;
//   - three of the k closest that are known have told the same certified presence, and
//     nobody a newer one;
//   - half of the k closest that are known have answered, three of them have the peer
//     in their tables at the same address, and nobody has told a presence: a peer that
//     serves has none;
//   - those closest to the peer have answered.
//
// So no single peer ends it, and fewer than three of the closest do not, whatever they
// say and however fast. What is not certified may be a lie wherever it comes from.
//
// Of the addresses that the peer has certified within the last hour, those of the
// newest signature are returned. Those that are private are not believed across the
// public network.
//
// The error is [ErrNotFound] if all that are closest to it have answered, and none
// knows it.
func (d *DHT) Locate(ctx context.Context, id peer.ID) (Location, error) {
	ctx, end := d.begin(ctx)
	defer end()
	if err := id.Validate(); err != nil {
		return Location{}, fmt.Errorf("kad: %q is not a peer ID: %w", string(id), err)
	}
	l := newLocator(d, id)
	if id == d.self {
		l.connected = located(d.host.Addrs(), SourceConnected, d.self, 0)
		return l.location(), nil
	}
	if l.own() {
		return l.location(), nil
	}
	l.held(ctx)
	result, err := l.search(ctx)
	found := l.location()
	switch {
	case len(found.Addrs) > 0:
		return found, nil
	case err != nil:
		return Location{}, err
	default:
		return Location{}, fmt.Errorf(
			"%w: none of the %d closest peers that answered knows an address of %s: it is not online, or does not serve and has not told them where it is",
			ErrNotFound, len(result.Closest), id)
	}
}
