package host

import (
	"context"
	"slices"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// maxCorrections bounds the gets whose holders are being corrected, or whose value
// is being cached. Beyond it, that is left to the next get.
const maxCorrections = 8

// corrections has a place for each get whose holders are being corrected.
type corrections chan struct{}

// try runs f in the background if there is a place.
func (c corrections) try(t *tasks, f func(ctx context.Context)) {
	select {
	case c <- struct{}{}:
	default:
		return
	}
	started := t.run(func(ctx context.Context) {
		defer func() { <-c }()
		f(ctx)
	})
	if !started {
		<-c
	}
}

// spread sends what a get has found to those who should have it. That goes on in
// the background.
func (d *DHT) spread(g *getter, result routing.Result) {
	wrong, ourself := d.lacking(g, result)
	cache, rank := d.cacheAt(g, result, wrong)
	if len(wrong) == 0 && !ourself && cache == nil {
		return
	}
	d.corrections.try(d.tasks, func(ctx context.Context) {
		found := g.found()
		if len(found) == 0 {
			return
		}
		if ourself {
			if err := d.storeRecords(ctx, d.self, found...); err != nil {
				log.Debugw("correcting our own value", "error", err)
			}
		}
		if len(wrong) > 0 {
			receipt := d.send(ctx, wrong, putOf(found), 0)
			d.stats.corrections.Add(uint64(len(receipt.Stored)))
		}
		if cache != nil {
			receipt := d.send(ctx, cache, putOf(d.shortened(found, rank)), 0)
			d.stats.cached.Add(uint64(len(receipt.Stored)))
		}
	})
}

// lacking returns who is to be corrected: all who gave less or worse than the best,
// and, if the lookup went to its end, those of the k closest that have nothing. It
// also says whether we gave less ourselves.
//
// Spec: libp2p kad-dht, "Value storage and retrieval", step 4.
func (d *DHT) lacking(g *getter, result routing.Result) (wrong []routing.Contact, ourself bool) {
	if d.cfg.DisableCorrection {
		return nil, false
	}
	agree := g.agree()
	for i, c := range result.Answered {
		among := converged(result) && i < len(result.Closest)
		if (among || g.gave(c.ID)) && !slices.Contains(agree, c.ID) {
			wrong = append(wrong, c)
		}
	}
	return wrong, g.gave(d.self) && !slices.Contains(agree, d.self)
}

// cacheAt returns the peer that is to keep a copy: the closest on the way that has
// nothing, and is not corrected anyway; nil if there is none. It also returns how
// many of those that answered are closer to the key.
//
// Source: Kademlia paper, section 2.3.
func (d *DHT) cacheAt(g *getter, result routing.Result, wrong []routing.Contact) (cache []routing.Contact, rank int) {
	if d.cfg.DisableCaching {
		return nil, 0
	}
	for i, c := range result.Answered {
		among := converged(result) && i < len(result.Closest) // one that should hold it, not a copy
		if !among && !g.gave(c.ID) && !slices.ContainsFunc(wrong, func(w routing.Contact) bool { return w.ID == c.ID }) {
			return []routing.Contact{c}, i
		}
	}
	return nil, 0
}

// converged reports whether a lookup has found the k closest peers.
func converged(result routing.Result) bool {
	return result.End == routing.Converged || result.End == routing.Exhausted
}

// shortened returns records for a peer that so many are closer to the key than.
func (d *DHT) shortened(records []protocol.Record, closer int) []protocol.Record {
	out := slices.Clone(records)
	for i, rec := range out {
		left := rec.TTL
		if left == 0 {
			left = d.cfg.RecordAge
		}
		out[i].TTL = max(0, routing.CacheLifetime(left, closer, d.cfg.K))
	}
	return out
}
