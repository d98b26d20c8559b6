package host

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/protocol"
)

const (
	// relaysHeld is how many relays a peer behind a NAT is reserved a slot by: while
	// one is lost and replaced, it can be reached through the other.
	relaysHeld = 2

	// offerAgain is when a relay that was proposed, and took no reservation, is
	// proposed again.
	offerAgain = 10 * time.Second

	// minRelayPause and maxRelayPause bound the time between two lookups of relays,
	// which doubles while there are too few. A lost relay ends it.
	minRelayPause = time.Second
	maxRelayPause = time.Minute

	// overlookedAfter is in what time AutoRelay notices that a relay is lost, unless it
	// was stopped then.
	overlookedAfter = time.Second

	// maxRelayChecks bounds the relays of a lookup that are dialled, and
	// relayCheckTimeout the lookup and those dials together.
	maxRelayChecks    = 8
	relayCheckTimeout = 10 * time.Second
)

// relays is what a node knows of the relays that it may be reached through.
type relays struct {
	wake chan struct{} // buffered, length 1: there may be something to propose

	mu      sync.Mutex            // held for what is in memory only
	held    []peer.ID             // who has a reservation for us, by what AutoRelay says
	lost    map[peer.ID]time.Time // of those, whose connection ended since, and when
	offered map[peer.ID]time.Time
	asked   bool          // somebody reads RelaySource
	pause   time.Duration // after the next lookup of relays
	next    time.Time     // when it is
}

// hold takes in which relay addresses the host has now.
func (r *relays) hold(addrs []multiaddr.Multiaddr) {
	var held []peer.ID
	for _, a := range addrs {
		if id, ok := relayOf(a); ok && !slices.Contains(held, id) {
			held = append(held, id)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.ContainsFunc(r.held, func(id peer.ID) bool { return !slices.Contains(held, id) }) {
		r.pause, r.next = 0, time.Time{} // one was lost: look for another at once
	}
	maps.DeleteFunc(r.lost, func(id peer.ID, _ time.Time) bool { return !slices.Contains(held, id) })
	r.held = held
	poke(r.wake)
}

// holds returns who has a reservation for us. A relay drops it with the connection.
func (r *relays) holds() []peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.held), func(id peer.ID) bool { _, lost := r.lost[id]; return lost })
}

// lose takes note that the connection to a peer ended.
func (r *relays) lose(now time.Time, id peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.held, id) {
		return
	}
	if r.lost == nil {
		r.lost = make(map[peer.ID]time.Time)
	}
	r.lost[id] = now
	poke(r.wake)
}

// overlooked returns the relays that AutoRelay believes to hold, though their
// connection ended a while ago.
func (r *relays) overlooked(now time.Time) []peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []peer.ID
	for id, at := range r.lost {
		if now.Sub(at) >= overlookedAfter {
			r.lost[id] = now
			ids = append(ids, id)
		}
	}
	return ids
}

// relayOf returns the relay of a relay address.
func relayOf(a multiaddr.Multiaddr) (peer.ID, bool) {
	if !has(a, multiaddr.P_CIRCUIT) {
		return "", false
	}
	text, err := a.ValueForProtocol(multiaddr.P_P2P)
	if err != nil {
		return "", false
	}
	id, err := peer.Decode(text)
	return id, err == nil
}

// propose takes note of a proposal; false if the peer has a reservation for us, or
// was proposed lately.
func (r *relays) propose(now time.Time, id peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.fresh(now, id) {
		return false
	}
	if r.offered == nil {
		r.offered = make(map[peer.ID]time.Time)
	}
	r.offered[id] = now
	return true
}

// isFresh reports whether propose would return true.
func (r *relays) isFresh(now time.Time, id peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fresh(now, id)
}

// fresh is isFresh under the lock. It forgets what is long ago.
func (r *relays) fresh(now time.Time, id peer.ID) bool {
	for other, at := range r.offered {
		if now.Sub(at) >= offerAgain {
			delete(r.offered, other)
		}
	}
	_, lately := r.offered[id]
	return !lately && !slices.Contains(r.held, id)
}

// due reports whether it is time for a lookup of relays, which then is under way, and
// when the next one is.
func (r *relays) due(now time.Time) (bool, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.next) {
		return false, r.next
	}
	r.pause = min(max(2*r.pause, minRelayPause), maxRelayPause)
	r.next = now.Add(r.pause)
	return true, r.next
}

// RelaySource proposes relays: give it to libp2p.EnableAutoRelayWithPeerSource, as
// [Traversal] does, which has the options that it goes well with. They are servers of
// this network: first those that the host is connected to, then those that announce
// themselves (Config.OfferRelay). All were reached at a public address and speak the
// relay protocol; a low round trip comes first, and a network (IPv4 /16, IPv6 /32)
// that no other relay of ours is in before one that is.
//
// It proposes no more than are missing to two reservations, and at most num, for
// AutoRelay takes any of what it is given. While none is missing, or the host can
// be reached without, it proposes none, and waits. Then it closes the channel, at the
// latest when ctx ends or the DHT is closed.
func (d *DHT) RelaySource(ctx context.Context, num int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	started := d.tasks.run(func(context.Context) {
		defer close(out)
		ctx, end := d.begin(ctx)
		defer end()
		d.relays.mu.Lock()
		d.relays.asked = true
		d.relays.mu.Unlock()
		for _, info := range d.missingRelays(ctx, num) {
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

// missingRelays returns the relays to propose, as soon as there are any; none if ctx
// ends before that.
func (d *DHT) missingRelays(ctx context.Context, num int) []peer.AddrInfo {
	for ctx.Err() == nil {
		wait := maxRelayPause
		held := d.relays.holds()
		if n := min(num, relaysHeld-len(held)); n > 0 && d.needsRelay() {
			d.remindAutoRelay()
			found := d.proposable(d.connectedRelays(), held, n)
			if len(found) == 0 {
				due, next := d.relays.due(time.Now())
				if due {
					found = d.proposable(d.announcedRelays(ctx), held, n)
				}
				wait = min(max(time.Until(next), 0), overlookedAfter)
			}
			if len(found) > 0 {
				return found
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-d.relays.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// remindAutoRelay tells AutoRelay once more of relays that it has lost. While the host
// is publicly reachable, it does not listen, and afterwards it would announce addresses
// of relays that have no reservation any more, until that would have ended.
func (d *DHT) remindAutoRelay() {
	overlooked := d.relays.overlooked(time.Now())
	if len(overlooked) == 0 {
		return
	}
	emitter, err := d.host.EventBus().Emitter(new(event.EvtPeerConnectednessChanged))
	if err != nil {
		return // the host is closed
	}
	for _, id := range overlooked {
		_ = emitter.Emit(event.EvtPeerConnectednessChanged{Peer: id, Connectedness: network.NotConnected})
	}
	_ = emitter.Close()
}

// needsRelay reports whether there are peers that cannot reach us otherwise.
func (d *DHT) needsRelay() bool {
	reachable, public := d.mode.reachable()
	return public && !reachable
}

// proposable returns the n best of candidates that are not used or were proposed
// already, and takes note of that.
func (d *DHT) proposable(candidates []relayCandidate, held []peer.ID, n int) []peer.AddrInfo {
	now := time.Now()
	candidates = slices.DeleteFunc(candidates, func(c relayCandidate) bool { return !d.relays.isFresh(now, c.ID) })
	var groups []string
	for _, id := range held {
		if c, ok := d.relayCandidate(id); ok {
			groups = append(groups, c.group)
		}
	}
	var found []peer.AddrInfo
	for _, c := range bestRelays(candidates, groups, n) {
		if d.relays.propose(now, c.ID) {
			found = append(found, c.AddrInfo)
		}
	}
	return found
}

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

// relayGroup returns the network that an address is in: one power cut, or one
// operator, seldom takes several.
func relayGroup(a multiaddr.Multiaddr) string {
	ip, err := manet.ToIP(a)
	if err != nil {
		return ""
	}
	if v4 := ip.To4(); v4 != nil {
		return v4.Mask(net.CIDRMask(16, 32)).String()
	}
	return ip.Mask(net.CIDRMask(32, 128)).String()
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
func (d *DHT) relayCandidate(id peer.ID) (relayCandidate, bool) {
	if !d.relaysForOthers(id) {
		return relayCandidate{}, false
	}
	addrs := slices.DeleteFunc(fit(d.host.Peerstore().Addrs(id), scopePublic), func(a multiaddr.Multiaddr) bool {
		return has(a, multiaddr.P_CIRCUIT)
	})
	i := slices.IndexFunc(d.host.Network().ConnsToPeer(id), func(c network.Conn) bool {
		return scopeTo(c) == scopePublic && !relayed(c)
	})
	if i < 0 || len(addrs) == 0 {
		return relayCandidate{}, false
	}
	return relayCandidate{
		AddrInfo: peer.AddrInfo{ID: id, Addrs: addrs},
		rtt:      d.host.Peerstore().LatencyEWMA(id),
		group:    relayGroup(addrs[0]),
	}, true
}

// announcedRelays looks up who announces to relay, and returns those that do. They
// are connected then.
func (d *DHT) announcedRelays(ctx context.Context) []relayCandidate {
	ctx, cancel := context.WithTimeout(ctx, relayCheckTimeout)
	defer cancel()
	var (
		checks errgroup.Group
		mu     sync.Mutex
		found  []relayCandidate
	)
	started := 0
	for info, err := range d.Discover(ctx, d.relayNamespace(), 0) {
		if err != nil {
			log.Debugw("looking for relays", "error", err)
			break
		}
		if !d.relays.isFresh(time.Now(), info.ID) {
			continue
		}
		checks.Go(func() error {
			if c, ok := d.checkRelay(ctx, info); ok {
				mu.Lock()
				found = append(found, c)
				mu.Unlock()
			}
			return nil
		})
		if started++; started == maxRelayChecks {
			break
		}
	}
	_ = checks.Wait()
	return found
}

// checkRelay connects to a peer that is said to relay, and measures the round trip
// if nobody has yet.
func (d *DHT) checkRelay(ctx context.Context, info peer.AddrInfo) (relayCandidate, bool) {
	if info.Addrs = fit(info.Addrs, scopePublic); len(info.Addrs) == 0 {
		return relayCandidate{}, false
	}
	// Connect returns when the peer is identified, and so what it speaks is known.
	if err := d.host.Connect(ctx, info); err != nil {
		log.Debugw("relay", "peer", info.ID, "error", err)
		return relayCandidate{}, false
	}
	if d.host.Peerstore().LatencyEWMA(info.ID) == 0 {
		_, _ = d.rpc.Request(ctx, info.ID, protocol.Ping{}) // without a round trip it comes last
	}
	return d.relayCandidate(info.ID)
}

// relayNamespace is where those that relay announce themselves.
func (d *DHT) relayNamespace() string { return string(d.protocol) + "/relay" }
