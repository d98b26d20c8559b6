package relay

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

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
