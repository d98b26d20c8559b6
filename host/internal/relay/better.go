package relay

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// betterInterval is how often the held relays are compared with others.
	betterInterval = 5 * time.Minute

	// A relay is better than another one if its round trip is at most half as long, and shorter
	// by betterBy.
	betterBy = 40 * time.Millisecond
)

// betterDue gives one of the held relays up for a better one, now and then: the source proposes
// that. The node is reached through the other one meanwhile. A relay whose connection is in use is
// kept.
func (r *Relays) betterDue(now time.Time, start *tasks.Start) time.Time {
	holding := r.Held()
	if len(holding) < Reservations || !r.cfg.Reach.NeedsRelay() || start.Room() == 0 {
		r.better = time.Time{}
		return time.Time{} // an event, or the end of a run, leads here again
	}
	if r.better.IsZero() {
		r.better = now.Add(tasks.Jittered(betterInterval))
	}
	if now.Before(r.better) {
		return r.better
	}
	r.better = now.Add(tasks.Jittered(betterInterval))
	if worse, ok := r.worse(now, holding); ok {
		start.Run(func(context.Context) error { return r.cfg.Host.Network().ClosePeer(worse) }, nil)
	}
	return r.better
}

// worse returns the held relay that is farthest away, if it is not in use, and a connected
// peer that can be proposed is a better one.
func (r *Relays) worse(now time.Time, holding []peer.ID) (peer.ID, bool) {
	trip := r.cfg.Host.Peerstore().LatencyEWMA
	farther := func(a, b peer.ID) int { return int(trip(a) - trip(b)) }
	worst := slices.MaxFunc(holding, farther)
	if r.serves(worst) {
		return "", false
	}
	candidates := slices.DeleteFunc(r.connected(), func(c candidate) bool { return c.rtt == 0 || r.standingOf(now, c.ID) > refused })
	var groups []string
	for _, id := range holding {
		if c, ok := r.candidateOf(id); ok && id != worst {
			groups = append(groups, c.group)
		}
	}
	next := best(candidates, groups, 1) // as the source chooses
	if c, ok := r.candidateOf(worst); len(next) == 0 || !ok || slices.Contains(groups, next[0].group) && !slices.Contains(groups, c.group) {
		return "", false // or both would be in one network
	}
	return worst, 2*next[0].rtt <= trip(worst) && trip(worst)-next[0].rtt >= betterBy
}

// serves reports whether the connection to a relay is used for more than the DHT: a peer is
// connected through it, or another protocol has a stream on it.
func (r *Relays) serves(id peer.ID) bool {
	for _, conn := range r.cfg.Host.Network().Conns() {
		if through, ok := scope.RelayOf(conn.RemoteMultiaddr()); ok && through == id {
			return true
		}
	}
	for _, conn := range r.cfg.Host.Network().ConnsToPeer(id) {
		if slices.ContainsFunc(conn.GetStreams(), func(s network.Stream) bool {
			return !strings.HasPrefix(string(s.Protocol()), string(r.cfg.Protocol))
		}) {
			return true
		}
	}
	return false
}
