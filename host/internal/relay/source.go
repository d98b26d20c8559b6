package relay

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Source proposes relays to AutoRelay: see host.DHT.RelaySource.
func (r *Relays) Source(ctx context.Context, num int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	started := r.cfg.Tasks.Go(func(context.Context) {
		defer close(out)
		ctx, end := r.cfg.Tasks.Begin(ctx)
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
					found = r.proposable(r.announced(ctx, now), holding, n)
				}
				wait = min(next.Sub(now), overlookedAfter)
			}
			if len(found) > 0 {
				return found
			}
		}
		waiting, stop := context.WithTimeout(ctx, wait)
		select {
		case <-r.wake:
		case <-waiting.Done():
		}
		stop()
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
