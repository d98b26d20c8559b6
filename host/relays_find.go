package host

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/protocol"
)

const (
	// maxAnnouncedRelays bounds those that a lookup finds.
	maxAnnouncedRelays = 200

	// maxRelayChecks bounds those that are checked at the same time, and enoughRelays
	// those that are found, of which the best are taken.
	maxRelayChecks = 16
	enoughRelays   = 8

	// findRelaysTimeout bounds a lookup of relays and their checks together; half of it
	// is for the lookup.
	findRelaysTimeout = 10 * time.Second

	// relayCheckTimeout bounds one check: as many liars as are checked at a time hold
	// the others up for that long.
	relayCheckTimeout = 3 * time.Second

	// betterRelayAfter is how long a better relay is waited for, when as many are found
	// as are needed.
	betterRelayAfter = time.Second
)

// A relayCandidate is a connected peer that relays.
type relayCandidate struct {
	peer.AddrInfo               // its public addresses
	rtt           time.Duration // 0 if unknown
	group         string        // the network it is in
}

// bestRelays returns up to n of the candidates. Those in a network that is none of
// groups, nor that of a better one, come first, and among them those with a low round
// trip; an unknown one counts as high.
func bestRelays(candidates []relayCandidate, groups []string, n int) []relayCandidate {
	slices.SortStableFunc(candidates, func(a, b relayCandidate) int {
		return cmp.Compare(uint64(a.rtt-1), uint64(b.rtt-1)) //nolint:gosec // 0 becomes the greatest
	})
	groups = slices.Clone(groups)
	var best, others []relayCandidate
	for _, c := range candidates {
		if slices.Contains(groups, c.group) {
			others = append(others, c)
		} else {
			best = append(best, c)
			groups = append(groups, c.group)
		}
	}
	best = append(best, others...)
	return best[:min(n, len(best))]
}

// connectedRelays returns the servers that relay and that we are connected to.
func (d *DHT) connectedRelays() []relayCandidate {
	var found []relayCandidate
	for _, id := range d.host.Network().Peers() {
		if c, ok := d.relayCandidate(id); ok && d.speaks(id) {
			found = append(found, c)
		}
	}
	return found
}

// relaysForOthers reports whether a peer says that it relays.
func (d *DHT) relaysForOthers(id peer.ID) bool {
	known, err := d.host.Peerstore().SupportsProtocols(id, circuit.ProtoIDv2Hop)
	return err == nil && len(known) > 0
}

// relayCandidate returns what is known of a connected peer that relays; false if it
// does not, or others cannot dial it: the relay address is made of its public ones.
// The network is the one in which we have reached it, not one that it claims.
func (d *DHT) relayCandidate(id peer.ID) (relayCandidate, bool) {
	if !d.relaysForOthers(id) {
		return relayCandidate{}, false
	}
	addrs := direct(fit(d.host.Peerstore().Addrs(id), scopePublic))
	conns := d.host.Network().ConnsToPeer(id)
	i := slices.IndexFunc(conns, func(c network.Conn) bool {
		return scopeTo(c) == scopePublic && !relayed(c)
	})
	if i < 0 || len(addrs) == 0 {
		return relayCandidate{}, false
	}
	return relayCandidate{
		AddrInfo: peer.AddrInfo{ID: id, Addrs: addrs},
		rtt:      d.host.Peerstore().LatencyEWMA(id),
		group:    relayGroup(conns[i].RemoteMultiaddr()),
	}, true
}

// direct returns those of addrs that do not go through a relay.
func direct(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool { return has(a, multiaddr.P_CIRCUIT) })
}

// relayGroup returns the network that an address of a relay is in: one power cut, or
// one operator, seldom takes several.
func relayGroup(a multiaddr.Multiaddr) string { return networkOf(a, 16, 32) }

// announcedRelays looks up who announces to relay, and returns some of those that do.
// They are connected then.
func (d *DHT) announcedRelays(ctx context.Context) []relayCandidate {
	ctx, cancel := context.WithTimeout(ctx, findRelaysTimeout)
	defer cancel()
	lookup, stop := context.WithTimeout(ctx, findRelaysTimeout/2)
	defer stop()
	var announced []peer.AddrInfo
	for info, err := range d.Discover(lookup, d.relayNamespace(), maxAnnouncedRelays) {
		if err != nil {
			log.Debugw("looking for relays", "error", err)
			break
		}
		info.Addrs = direct(fit(info.Addrs, scopePublic))
		if len(info.Addrs) > 0 && d.relays.standingOf(time.Now(), info.ID) == relayUnknown {
			announced = append(announced, info)
		}
	}
	return d.checkRelays(ctx, mixed(announced))
}

// mixed returns peers in a random order in which those of one network, by what is said
// of them, come late, but for the first: many of one owner do not hide the others.
func mixed(infos []peer.AddrInfo) []peer.AddrInfo {
	infos = slices.Clone(infos)
	rand.Shuffle(len(infos), func(i, j int) { infos[i], infos[j] = infos[j], infos[i] })
	before := make(map[peer.ID]int) // how many of its network come before it
	in := make(map[string]int)
	for _, info := range infos {
		group := relayGroup(info.Addrs[0])
		before[info.ID] = in[group]
		in[group]++
	}
	slices.SortStableFunc(infos, func(a, b peer.AddrInfo) int { return cmp.Compare(before[a.ID], before[b.ID]) })
	return infos
}

// checkRelays returns those of infos that relay, until there are enough. It takes note
// of those that do not.
func (d *DHT) checkRelays(ctx context.Context, infos []peer.AddrInfo) []relayCandidate {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		checks errgroup.Group
		mu     sync.Mutex
		found  []relayCandidate
	)
	checks.SetLimit(maxRelayChecks)
	for _, info := range infos {
		checks.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			c, ok := d.checkRelay(ctx, info)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case !ok && ctx.Err() == nil:
				d.relays.refuse(time.Now(), info.ID)
			case ok:
				found = append(found, c)
			}
			switch {
			case len(found) >= enoughRelays:
				cancel()
			case len(found) == relaysHeld && ok:
				timer := time.AfterFunc(betterRelayAfter, cancel)
				context.AfterFunc(ctx, func() { timer.Stop() })
			}
			return nil
		})
	}
	_ = checks.Wait()
	return found
}

// checkRelay connects to a peer that is said to relay, and measures the round trip
// if nobody has yet; false if it does not relay.
func (d *DHT) checkRelay(ctx context.Context, info peer.AddrInfo) (relayCandidate, bool) {
	ctx, cancel := context.WithTimeout(ctx, relayCheckTimeout)
	defer cancel()
	d.acquaintances.add(time.Now(), info.ID)
	if err := d.host.Connect(ctx, info); err != nil {
		log.Debugw("relay", "peer", info.ID, "error", err)
		return relayCandidate{}, false
	}
	// A request waits until the peer is identified, which Connect does not do if the
	// peer was connected; and without a round trip it comes last.
	if !d.relaysForOthers(info.ID) || d.host.Peerstore().LatencyEWMA(info.ID) == 0 {
		_, _ = d.rpc.Request(ctx, info.ID, protocol.Ping{})
	}
	return d.relayCandidate(info.ID)
}

// relayNamespace is where those that relay announce themselves.
func (d *DHT) relayNamespace() string { return string(d.protocol) + "/relay" }
