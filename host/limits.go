package host

import (
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"

	"github.com/go-kad/kad/host/internal/serve"
)

// AddLimits adds to the limits of libp2p's resource manager those that fit a DHT with this
// Config: twice as many incoming streams as it serves, so that it decides which of them end,
// and 85 MiB for the large requests and answers of all peers, on a machine of any size. One peer
// has 64 streams and 32 MiB at most. Call it once for each DHT of a host, before the manager
// is made.
//
// Without it, libp2p's own limits hold. On a machine with less than 2 GiB, these refuse large
// requests when 51 MiB of them are under way, whichever peer they come from.
func AddLimits(limits *rcmgr.ScalingLimitConfig, cfg Config) {
	serve.AddLimits(limits, cfg.protocolID(), cfg.withDefaults().MaxInbound)
}
