package host

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
)

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
