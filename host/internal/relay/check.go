package relay

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// checkInterval is how often the held relays are asked whether they are still there.
	// The transport would notice after half a minute.
	checkInterval = 5 * time.Second

	// maxConnsAsked bounds the connections to one relay that are asked.
	maxConnsAsked = 8

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
	dead := make([][]network.Conn, len(holding))
	var answers atomic.Bool
	_ = tasks.Each(ctx, len(holding), slices.Values(indices(len(holding))), func(ctx context.Context, i int) error {
		conns, wait := call.ConnsTo(r.cfg.Host, holding[i])
		if len(conns) == 0 {
			return nil
		}
		for _, conn := range conns[:min(len(conns), maxConnsAsked)] {
			if answersOnce(ctx, conn, wait) {
				answers.Store(true)
				return nil
			}
		}
		dead[i] = conns
		return nil
	})
	gone := slices.Concat(dead...)
	if len(gone) == 0 || ctx.Err() != nil || !answers.Load() && !r.hears(ctx, holding) {
		return
	}
	for _, conn := range gone {
		_ = conn.Close()
	}
}

// indices returns 0 to n-1.
func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// answersOnce reports whether the other end of a connection answers one of two times:
// one loss proves nothing.
func answersOnce(ctx context.Context, conn network.Conn, wait time.Duration) bool {
	for range 2 {
		if call.Alive(ctx, conn, wait) {
			return true
		}
	}
	return false
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
