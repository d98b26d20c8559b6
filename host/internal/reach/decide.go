package reach

import (
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/host/autonat"
)

// A Mode says whether a node serves: see host.Mode.
type Mode uint8

// The modes, as in package host.
const (
	Auto Mode = iota
	Client
	Server
)

// facts decide the mode of a node in [Auto].
type facts struct {
	reachability network.Reachability // what the host has found out
	confirmed    bool                 // one of the host's addresses was confirmed to be reachable
	denied       bool                 // each of its public addresses was found to be unreachable
	dialled      time.Time            // when a stranger on the public internet connected to the host; zero if that is long ago
	publicPeer   bool                 // a peer of this network is on the public internet
	publicListen bool                 // the host listens on a public IPv4 address
	hidden       bool                 // the host has no address that a peer could dial
	announced    bool                 // the user has named a public address of the host
}

// A Decision is whether the node serves, and why.
type Decision struct {
	Serve     bool
	Reachable bool // peers on the internet can dial the host, as far as is known
	Reason    string
}

// same reports whether two decisions differ in their reason alone.
func (d Decision) same(other Decision) bool {
	return d.Serve == other.Serve && d.Reachable == other.Reachable
}

// proven reports whether a check has shown whether the host is reachable.
func (s facts) proven() bool {
	return s.confirmed || s.denied || s.reachability != network.ReachabilityUnknown
}

// refuted reports whether a check has shown that the host is not reachable.
func (s facts) refuted() bool {
	return !s.confirmed && s.reachability != network.ReachabilityPublic && (s.denied || s.reachability == network.ReachabilityPrivate)
}

// decide returns whether to serve, and why.
func decide(wanted Mode, s facts) Decision {
	proof, refuted := s.confirmed || s.reachability == network.ReachabilityPublic, s.refuted()
	switch {
	case wanted == Server:
		return Decision{true, !refuted, "set to server"}
	case wanted == Client:
		return Decision{false, proof, "set to client"}
	case proof:
		return Decision{true, true, "the host is publicly reachable"}
	case s.hidden && !s.publicPeer:
		return Decision{false, false, "the host has no address that other peers could dial: let it listen on one"}
	case !s.publicPeer:
		return Decision{
			true, (s.publicListen || s.announced || !s.dialled.IsZero()) && !refuted,
			"no peer of the network is on the public internet: on a private network all peers are reachable",
		}
	case refuted:
		return Decision{false, false, "the network is public and the host is not publicly reachable"}
	case !s.dialled.IsZero():
		return Decision{true, true, "a stranger on the public internet has reached the host, and nothing shows that others cannot"}
	case s.announced:
		return Decision{true, true, "a public address is announced, and nothing shows that it is unreachable"}
	case s.publicListen:
		return Decision{true, true, "the host listens on a public IPv4 address, and nothing shows that it is unreachable"}
	default:
		return Decision{false, false, "the network is public and the host's reachability is not known yet"}
	}
}

// Verdict returns what is known of whether other peers can dial the host, and where that
// is known from, in words.
func (r *Reach) Verdict() (network.Reachability, string) {
	from := source(r.cfg.Host)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.facts.verdict(from)
}

// A Filtering says which peers a router, or a firewall, lets in: see host.Filtering.
type Filtering uint8

// What a router lets in, as in package host.
const (
	FilteringUnknown Filtering = iota
	FilteringNone
	FilteringDialled
)

// Filtering returns which peers reach the host: any, if a stranger has; the ones that it has
// dialled, if others were found not to.
func (r *Reach) Filtering() Filtering {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.facts.filtering()
}

func (s facts) filtering() Filtering {
	switch {
	case !s.dialled.IsZero():
		return FilteringNone
	case s.refuted():
		return FilteringDialled
	default:
		return FilteringUnknown
	}
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
	case s.announced:
		return network.ReachabilityUnknown, "no peer has checked it; a public address is announced"
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
