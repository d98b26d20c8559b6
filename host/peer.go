package host

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// FindPeer returns the addresses of a peer: those we know if we are connected to
// it, or those that the first peer on the way to it tells. They are hearsay: the
// peer may have left them. It finds peers that do not serve too, if one of the
// peers closest to them is connected to them.
//
// The error is [ErrNotFound] if all that are closest to it have answered, and
// none knows it.
//
// Spec: libp2p kad-dht, "Peer routing".
func (d *DHT) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	ctx, end := d.begin(ctx)
	defer end()
	if err := id.Validate(); err != nil {
		return peer.AddrInfo{}, fmt.Errorf("kad: %q is not a peer ID: %w", string(id), err)
	}
	if id == d.self {
		return peer.AddrInfo{ID: id, Addrs: d.host.Addrs()}, nil
	}
	if addrs := d.connectedAddrs(id); addrs != nil {
		return peer.AddrInfo{ID: id, Addrs: addrs}, nil
	}
	s, err := d.search(ctx, []byte(id), protocol.FindNode{Target: []byte(id)}, plan{})
	if err != nil {
		return peer.AddrInfo{}, err
	}
	found := peer.AddrInfo{ID: id}
	s.heard = func(from routing.Contact, resp protocol.Response) {
		if from.ID == id {
			found.Addrs = d.connectedAddrs(id)
		}
		for _, p := range resp.Closer {
			if p.ID == id && len(found.Addrs) == 0 {
				found.Addrs = p.Addrs
			}
		}
		if len(found.Addrs) > 0 {
			publishEvent(ctx, &lrouting.QueryEvent{
				Type: lrouting.FinalPeer, ID: from.ID, Responses: []*peer.AddrInfo{&found},
			})
			s.lookup.Stop()
		}
	}
	result, err := s.run(ctx)
	switch {
	case len(found.Addrs) > 0:
		return found, nil
	case err != nil:
		return peer.AddrInfo{}, err
	default:
		return peer.AddrInfo{}, fmt.Errorf(
			"%w: none of the %d closest peers that answered knows an address of %s: it is not online, or does not serve and is connected to none of them",
			ErrNotFound, len(result.Closest), id)
	}
}

// connectedAddrs returns the addresses of a peer that we are connected to; nil
// if we are not.
func (d *DHT) connectedAddrs(id peer.ID) []multiaddr.Multiaddr {
	if !d.connected(id) {
		return nil
	}
	if addrs := d.host.Peerstore().Addrs(id); len(addrs) > 0 {
		return addrs
	}
	var addrs []multiaddr.Multiaddr
	for _, conn := range d.host.Network().ConnsToPeer(id) {
		addrs = append(addrs, conn.RemoteMultiaddr())
	}
	return addrs
}

// ClosestPeers returns the k peers closest to a key that answer, the closest
// first, with the addresses they were reached at. Those who answered a lookup near
// that key within Config.RegionAge are asked again only if something has changed. We are not among them. The
// key is what is hashed: the bytes of a peer ID, a record key, or a multihash.
func (d *DHT) ClosestPeers(ctx context.Context, key []byte) ([]peer.AddrInfo, error) {
	ctx, end := d.begin(ctx)
	defer end()
	if len(key) == 0 || len(key) > protocol.MaxKey {
		return nil, fmt.Errorf("kad: a key has 1 to %d bytes, not %d", protocol.MaxKey, len(key))
	}
	closest, err := d.closestBy(0)(ctx, key, nil)
	if err != nil {
		return nil, err
	}
	infos := make([]peer.AddrInfo, len(closest))
	for i, c := range closest {
		infos[i] = peer.AddrInfo{ID: c.ID, Addrs: d.connectedAddrs(c.ID)}
		if p, err := announcement(c.Wire).peer(); err == nil && infos[i].Addrs == nil {
			infos[i].Addrs = p.Addrs
		}
	}
	return infos, nil
}
