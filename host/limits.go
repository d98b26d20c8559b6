package host

import (
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"

	"github.com/go-kad/kad/host/internal/serve"
)

// AddLimits adds the limits that fit a DHT with this Config to the limits of libp2p's resource
// manager: twice as many incoming streams as the DHT serves, so that the DHT decides which of
// them end, and 85 MiB for the large requests and answers of all peers, on a machine of any
// size. One peer has at most 64 incoming streams and 32 MiB. Call it once for each DHT of a
// host, before the manager is made.
//
// Without it, libp2p's own limits apply. On a machine with less than 2 GiB, they refuse large
// requests while 51 MiB of them are under way, whichever peer they come from.
func AddLimits(limits *rcmgr.ScalingLimitConfig, cfg Config) {
	serve.AddLimits(limits, cfg.protocolID(), cfg.withDefaults().MaxInbound)
}
