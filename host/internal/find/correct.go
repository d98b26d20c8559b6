package find

import (
	"context"
	"slices"

	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// maxCorrections bounds the gets whose holders are being corrected, or whose value is
// being cached. Beyond it, that is left to the next get.
const maxCorrections = 8

// corrections has a place for each get whose holders are being corrected.
type corrections chan struct{}

// try runs f in the background if there is a place.
func (c corrections) try(t *tasks.Group, f func(ctx context.Context)) {
	select {
	case c <- struct{}{}:
	default:
		return
	}
	started := t.Go(func(ctx context.Context) {
		defer func() { <-c }()
		f(ctx)
	})
	if !started {
		<-c
	}
}

// correct sends what a get has found to the peers that should hold it. It goes on in
// the background.
func (f *Finder) correct(g *values, result lookup.Result) {
	wrong, ourself := f.lacking(g, result)
	cache, rank := f.cacheAt(g, result, wrong)
	if len(wrong) == 0 && !ourself && cache == nil {
		return
	}
	f.corrections.try(f.cfg.Tasks, func(ctx context.Context) {
		found := g.found(result.Ended)
		if len(found) == 0 {
			return
		}
		if ourself {
			if err := f.cfg.Holder.Store(ctx, result.Ended, f.self, found...); err != nil {
				log.Debugw("correcting our own value", "error", err)
			}
		}
		if len(wrong) > 0 {
			receipt := f.cfg.Deliver.ToThese(ctx, wrong, holder.PutOf(found), 0)
			f.corrected.Add(uint64(len(receipt.Stored)))
		}
		if cache != nil {
			receipt := f.cfg.Deliver.ToThese(ctx, cache, holder.PutOf(f.shortened(found, rank)), 0)
			f.cached.Add(uint64(len(receipt.Stored)))
		}
	})
}

// lacking returns the peers to correct: holders of a worse or incomplete value and, if
// the lookup converged, those of the k closest that hold none. It also returns whether
// this node gave a worse value.
//
// Spec: libp2p kad-dht, "Value storage and retrieval", step 4.
func (f *Finder) lacking(g *values, result lookup.Result) (wrong []routing.Contact, ourself bool) {
	agree := g.agree()
	for i, c := range result.Answered {
		among := lookup.Converged(result) && i < len(result.Closest)
		if (among || g.gave(c.ID)) && !slices.Contains(agree, c.ID) {
			wrong = append(wrong, c)
		}
	}
	return wrong, g.gave(f.self) && !slices.Contains(agree, f.self)
}

// cacheAt returns the peer that is to keep a copy: the closest of the others that were
// asked which holds nothing and is not corrected; nil if there is none. It also returns
// how many of the peers that answered are closer to the key.
//
// Source: Kademlia paper, section 2.3.
func (f *Finder) cacheAt(g *values, result lookup.Result, wrong []routing.Contact) (cache []routing.Contact, rank int) {
	if !f.cfg.Caching {
		return nil, 0
	}
	for i, c := range result.Answered {
		among := lookup.Converged(result) && i < len(result.Closest) // it should hold the record, not a copy
		if !among && !g.gave(c.ID) && !slices.ContainsFunc(wrong, func(w routing.Contact) bool { return w.ID == c.ID }) {
			return []routing.Contact{c}, i
		}
	}
	return nil, 0
}

// shortened returns records for a peer, when so many peers are closer to the key.
func (f *Finder) shortened(records []protocol.Record, closer int) []protocol.Record {
	out := slices.Clone(records)
	for i, rec := range out {
		remaining := rec.TTL
		if remaining == 0 {
			remaining = f.cfg.RecordAge
		}
		out[i].TTL = max(0, routing.CacheLifetime(remaining, closer, f.cfg.K))
	}
	return out
}
