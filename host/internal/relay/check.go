package relay

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// checkInterval is how often the held relays are asked whether they are still there.
	// The transport would notice after half a minute.
	checkInterval = 5 * time.Second

	// maxHeard is how many contacts are asked whether the node is online, and hearTimeout
	// how long they have.
	maxHeard    = 3
	hearTimeout = 1500 * time.Millisecond
)

// checkDue checks the held relays, while the node cannot be reached otherwise.
func (r *Relays) checkDue(now time.Time, start *tasks.Start) time.Time {
	holding := r.Held()
	if len(holding) == 0 || !r.cfg.Reach.NeedsRelay() || start.Room() == 0 {
		return time.Time{} // an event, or the end of the check, leads here again
	}
	if now.Before(r.check) {
		return r.check
	}
	r.check = now.Add(checkInterval)
	start.Run(func(ctx context.Context) error {
		r.closeSilent(ctx, holding)
		return nil
	}, nil)
	return time.Time{}
}

// closeSilent closes the connections to relays that are silent twice in a row, while
// another peer answers. If none does, this node is probably offline: then the transport
// decides, whose connections outlive short outages.
func (r *Relays) closeSilent(ctx context.Context, holding []peer.ID) {
	var answers atomic.Bool
	var mu sync.Mutex
	var gone []network.Conn
	_ = tasks.Each(ctx, len(holding), slices.Values(holding), func(ctx context.Context, relay peer.ID) error {
		conns, alive := r.cfg.Call.RelayAnswers(ctx, relay, 2) // one loss proves nothing
		if alive {
			answers.Store(true)
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		gone = append(gone, conns...)
		return nil
	})
	if len(gone) == 0 || ctx.Err() != nil || !answers.Load() && !r.hears(ctx, holding) {
		return
	}
	for _, conn := range gone {
		_ = conn.Close()
	}
}

// hears reports whether a contact answers that is none of the silent relays.
func (r *Relays) hears(ctx context.Context, silent []peer.ID) bool {
	ctx, cancel := context.WithTimeout(ctx, hearTimeout)
	defer cancel()
	contacts := slices.DeleteFunc(r.cfg.Table.Closest(r.cfg.Table.Self(), r.cfg.K),
		func(c routing.Contact) bool { return slices.Contains(silent, c.ID) })
	var answers atomic.Bool
	_ = tasks.Each(ctx, maxHeard, slices.Values(contacts[:min(len(contacts), maxHeard)]), func(ctx context.Context, c routing.Contact) error {
		if _, err := r.cfg.Call.Request(ctx, nil, c, protocol.Ping{}, nil); err == nil {
			answers.Store(true)
			cancel() // one is enough
		}
		return nil
	})
	return answers.Load()
}

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
	farther := func(a, b peer.ID) int { return cmp.Compare(trip(a), trip(b)) }
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
