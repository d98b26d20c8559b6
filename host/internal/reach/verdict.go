package reach

import (
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/host/autonat"
)

// Verdict returns what is known of whether other peers can dial the host, and where that
// is known from, in words.
func (r *Reach) Verdict() (network.Reachability, string) {
	from := source(r.cfg.Host)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.facts.verdict(from)
}

// verdict returns what is known of whether other peers can dial the host, and where that
// is known from. source names where the host's own reachability is known from.
func (s facts) verdict(source string) (network.Reachability, string) {
	switch {
	case s.reachability == network.ReachabilityPublic:
		return s.reachability, source
	case s.confirmed:
		return network.ReachabilityPublic, "AutoNAT v2 has confirmed an address"
	case s.reachability == network.ReachabilityPrivate:
		return s.reachability, source
	case s.denied:
		return network.ReachabilityPrivate, "AutoNAT v2 has found each address to be unreachable"
	case s.publicListen:
		return network.ReachabilityUnknown, "no peer has checked it; the host listens on a public IPv4 address"
	case !s.dialled.IsZero():
		return network.ReachabilityUnknown, "no peer has checked it; a stranger on the public internet has reached the host"
	default:
		return network.ReachabilityUnknown, "no peer has checked it"
	}
}

// source returns where the reachability that the host reports is known from, in words, as
// far as that can be seen.
func source(h lhost.Host) string {
	if has, ok := h.(interface{ GetAutoNat() autonat.AutoNAT }); ok {
		switch has.GetAutoNat().(type) {
		case *autonat.StaticAutoNAT:
			return "it was set: libp2p.ForceReachabilityPublic or ForceReachabilityPrivate"
		case *autonat.AmbientAutoNAT:
			return "AutoNAT v1 says so"
		}
	}
	return "the host says so: AutoNAT v1, or it was set"
}
