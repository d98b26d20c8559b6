package connect

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: the end to which a relayed connection has come in is the server in the first
// two of the three punches of the service. Behind a symmetric NAT that is in vain: the other end
// dials ports that the NAT does not use for it, and where a connection over TCP comes about, both
// ends are the server. In the third punch it is a client, and gets through a NAT that filters by
// address: 6.8 s after the relayed connection. In one of ten runs, the resource manager
// of the other end refused that one, since both had dialled so much.
//
// It can go when the service has such an end be the client at once.

import (
	"context"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// FailedDirectly records that the hole punching service has failed to reach a peer directly.
// Behind a symmetric NAT, the host then dials the peer as a client. The next punch of the service
// begins a round trip later, and joins that dial, since the swarm dials an address once at a
// time; meanwhile the punch of the peer has opened its NAT. It does not block.
func (c *Connector) FailedDirectly(id peer.ID) {
	if !c.cfg.Reach.Symmetric() {
		return
	}
	c.cfg.Tasks.Go(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(network.WithForceDirectDial(ctx, "client"), punchDial)
		defer cancel()
		if _, err := c.cfg.Host.Network().DialPeer(ctx, id); err != nil {
			log.Debugw("dial from behind a symmetric NAT", "peer", id, "error", err)
		}
	})
}
