package relay

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// maxAnnouncedRelays bounds the relays that a lookup finds. Each of the K holders names an
	// equal part of them.
	maxAnnouncedRelays = 200

	// maxRelayChecks bounds the relays that are checked at the same time, and enoughRelays
	// the relays that are found; the best of them are taken.
	maxRelayChecks = 16
	enoughRelays   = 8

	// findRelaysTimeout bounds a lookup of relays and their checks together; half of it
	// is for the lookup.
	findRelaysTimeout = 10 * time.Second

	// relayCheckTimeout bounds one check: maxRelayChecks liars delay the others by that.
	relayCheckTimeout = 3 * time.Second

	// betterRelayAfter is how long the search waits for a better relay when enough are
	// found.
	betterRelayAfter = time.Second
)

// A candidate is a connected peer that relays.
type candidate struct {
	peer.AddrInfo               // its public addresses
	rtt           time.Duration // 0 if unknown
	group         string        // the network it is in
}

// best returns up to n of the candidates. A candidate in a network that is in groups, or
// is that of a better candidate, comes last; else the round trip decides, and an unknown
// one counts as high.
func best(candidates []candidate, groups []string, n int) []candidate {
	slices.SortStableFunc(candidates, func(a, b candidate) int {
		return cmp.Compare(uint64(a.rtt-1), uint64(b.rtt-1)) //nolint:gosec // 0 becomes the greatest
	})
	groups = slices.Clone(groups)
	var first, others []candidate
	for _, c := range candidates {
		if slices.Contains(groups, c.group) {
			others = append(others, c)
		} else {
			first = append(first, c)
			groups = append(groups, c.group)
		}
	}
	first = append(first, others...)
	return first[:min(n, len(first))]
}

// connected returns the connected servers that relay.
func (r *Relays) connected() []candidate {
	var found []candidate
	for _, id := range r.cfg.Host.Network().Peers() {
		if c, ok := r.candidateOf(id); ok && r.cfg.Table.Speaks(id) {
			found = append(found, c)
		}
	}
	return found
}

// candidateOf returns what is known of a connected peer that relays; false if it
// does not, or other peers cannot dial it: the relayed address is made of its public ones.
// Its network is the one in which it was reached, not one that it claims.
func (r *Relays) candidateOf(id peer.ID) (candidate, bool) {
	if !r.relays(id) {
		return candidate{}, false
	}
	addrs := scope.WithoutRelays(scope.Reaching(r.cfg.Host.Peerstore().Addrs(id), scope.Public))
	conns := r.cfg.Host.Network().ConnsToPeer(id)
	i := slices.IndexFunc(conns, func(c network.Conn) bool {
		return scope.OfConn(c) == scope.Public && !scope.Relayed(c)
	})
	if i < 0 || len(addrs) == 0 {
		return candidate{}, false
	}
	return candidate{
		AddrInfo: peer.AddrInfo{ID: id, Addrs: addrs},
		rtt:      r.cfg.Host.Peerstore().LatencyEWMA(id),
		group:    group(conns[i].RemoteMultiaddr()),
	}, true
}

// group returns the network that an address of a relay is in: one power cut, or
// one operator, seldom takes several.
func group(a multiaddr.Multiaddr) string { return scope.Wide(a) }

// A Search says what has become of the search for relays.
type Search struct {
	Ended       bool // a lookup has ended
	Named       int  // the peers that announce to relay, by the last lookup
	Unreachable int  // of them, those that were not reached, or do not relay
	Proposed    int  // how often a relay was proposed since there is one fewer
}

// Search returns what has become of the search for relays.
func (r *Relays) Search() Search {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.search
}

// searched records the end of a lookup that has named peers.
func (r *Relays) searched(named []peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.search.Ended, r.search.Named, r.search.Unreachable = true, len(named), 0
	for _, id := range named {
		if r.known[id].standing == refused {
			r.search.Unreachable++
		}
	}
}

// announced looks up the peers that announce to relay, and returns some that do. They are
// connected then.
func (r *Relays) announced(ctx context.Context, now time.Time) []candidate {
	ctx, cancel := context.WithTimeout(ctx, findRelaysTimeout)
	defer cancel()
	lookup, stop := context.WithTimeout(ctx, findRelaysTimeout/2)
	defer stop()
	var infos []peer.AddrInfo
	var named []peer.ID
	for info, err := range r.cfg.Find.ProvidersOfEach(lookup, r.key(), maxAnnouncedRelays, max(1, maxAnnouncedRelays/r.cfg.K)) {
		if err != nil {
			log.Debugw("looking for relays", "error", err)
			break
		}
		info.Addrs = scope.WithoutRelays(scope.Reaching(info.Addrs, scope.Public))
		if len(info.Addrs) > 0 {
			named = append(named, info.ID)
		}
		if len(info.Addrs) > 0 && r.standingOf(now, info.ID) == unknown {
			infos = append(infos, info)
		}
	}
	found := r.checkAll(ctx, now, shuffleByNetwork(infos))
	r.searched(named)
	return found
}

// shuffleByNetwork returns peers in a random order that takes their networks by turns, so
// that many peers of one owner do not hide the others.
func shuffleByNetwork(infos []peer.AddrInfo) []peer.AddrInfo {
	infos = slices.Clone(infos)
	rand.Shuffle(len(infos), func(i, j int) { infos[i], infos[j] = infos[j], infos[i] })
	before := make(map[peer.ID]int) // how many of its network come before it
	in := make(map[string]int)
	for _, info := range infos {
		group := group(info.Addrs[0])
		before[info.ID] = in[group]
		in[group]++
	}
	slices.SortStableFunc(infos, func(a, b peer.AddrInfo) int { return cmp.Compare(before[a.ID], before[b.ID]) })
	return infos
}

// checkAll returns the peers that relay, until there are enough. It records the peers that
// do not.
func (r *Relays) checkAll(ctx context.Context, now time.Time, infos []peer.AddrInfo) []candidate {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		mu    sync.Mutex
		found []candidate
	)
	_ = tasks.Each(ctx, maxRelayChecks, slices.Values(infos), func(ctx context.Context, info peer.AddrInfo) error {
		c, ok := r.checkOne(ctx, info)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case !ok && ctx.Err() == nil:
			r.refuse(now, info.ID)
		case ok:
			found = append(found, c)
		}
		switch {
		case len(found) >= enoughRelays:
			cancel()
		case len(found) == Reservations && ok:
			waiting, stop := context.WithTimeout(ctx, betterRelayAfter)
			context.AfterFunc(waiting, func() { stop(); cancel() })
		}
		return nil
	})
	mu.Lock()
	defer mu.Unlock()
	return found
}

// checkOne connects to a peer that announces to relay, and measures the round trip if it
// is unknown; false if the peer does not relay.
func (r *Relays) checkOne(ctx context.Context, info peer.AddrInfo) (candidate, bool) {
	ctx, cancel := context.WithTimeout(ctx, relayCheckTimeout)
	defer cancel()
	r.cfg.Reach.Dialled(info.ID)
	if err := r.cfg.Host.Connect(ctx, info); err != nil {
		log.Debugw("relay", "peer", info.ID, "error", err)
		return candidate{}, false
	}
	// A request waits until the peer is identified, which Connect does not do if the
	// peer was connected; and without a round trip it comes last.
	if !r.relays(info.ID) || r.cfg.Host.Peerstore().LatencyEWMA(info.ID) == 0 {
		_, _ = r.cfg.Call.Request(ctx, nil, routing.ContactOf(info.ID), protocol.Ping{}, nil)
	}
	return r.candidateOf(info.ID)
}

// Source proposes relays to AutoRelay: see host.DHT.RelaySource.
func (r *Relays) Source(ctx context.Context, num int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	started := r.cfg.Tasks.Go(func(context.Context) {
		defer close(out)
		ctx, end, err := r.cfg.Tasks.Begin(ctx)
		if err != nil {
			return
		}
		defer end()
		r.cfg.Reach.SeekRelay()
		for _, info := range r.missing(ctx, num) {
			select {
			case out <- info:
			case <-ctx.Done():
				return
			}
		}
	})
	if !started {
		close(out)
	}
	return out
}

// missing returns the relays to propose, as soon as there are any; none if ctx ends before
// that.
func (r *Relays) missing(ctx context.Context, num int) []peer.AddrInfo {
	for ctx.Err() == nil {
		now, wait := time.Now(), maxPause
		holding := r.Held()
		if n := min(num, Reservations-len(holding)); n > 0 && r.cfg.Reach.NeedsRelay() {
			r.remindAutoRelay(now)
			found := r.proposable(r.connected(), holding, n)
			if len(found) == 0 {
				due, next := r.due(now)
				if due {
					candidates := r.announced(ctx, now)
					for _, c := range r.connected() { // the lookup has met peers near the key
						if !slices.ContainsFunc(candidates, func(o candidate) bool { return o.ID == c.ID }) {
							candidates = append(candidates, c)
						}
					}
					found = r.proposable(candidates, holding, n)
				}
				wait = min(time.Until(next), overlookedAfter) // the lookup may have taken longer
			}
			if len(found) > 0 {
				return found
			}
		}
		tasks.Pause(ctx, wait, r.wake)
	}
	return nil
}

// proposable returns the n best candidates that are not used and were not proposed lately,
// and records that they are proposed.
func (r *Relays) proposable(candidates []candidate, holding []peer.ID, n int) []peer.AddrInfo {
	now := time.Now()
	candidates = slices.DeleteFunc(candidates, func(c candidate) bool {
		return r.standingOf(now, c.ID) > refused
	})
	var groups []string
	for _, id := range holding {
		if c, ok := r.candidateOf(id); ok {
			groups = append(groups, c.group)
		}
	}
	var found []peer.AddrInfo
	for _, c := range best(candidates, groups, n) {
		if r.propose(now, c.ID) {
			found = append(found, c.AddrInfo)
		}
	}
	return found
}
