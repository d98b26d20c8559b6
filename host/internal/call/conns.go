package call

import (
	"slices"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/scope"
)

// ConnsTo returns the connections to a relay that go through no other relay, and how long
// it may take to answer on one of them: four round trips, at least 1.5 s.
func ConnsTo(h lhost.Host, relay peer.ID) (conns []network.Conn, wait time.Duration) {
	conns = slices.DeleteFunc(h.Network().ConnsToPeer(relay), scope.Relayed)
	return conns, max(silence, 4*h.Peerstore().LatencyEWMA(relay))
}
