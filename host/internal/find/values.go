package find

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/validate"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// ValuesOptions say how a get differs from others.
type ValuesOptions struct {
	Quorum   int                // ends the lookup when so many holders agree; 0: never
	Paths    int                // disjoint paths; 0: one
	Offline  bool               // only what this node holds
	Expired  bool               // also what this node holds that has expired
	Improved func(value []byte) // called with each better value; may be nil
	ReadOnly bool               // holders are not corrected
}

// Values returns the values under a key, merged, the best one first. The error is
// [kaderr.ErrNotFound] if most of the closest peers answered, and none has a valid one, and
// a [*lookup.UnansweredError] if fewer answered.
func (f *Finder) Values(ctx context.Context, key []byte, o ValuesOptions) ([][]byte, error) {
	g := &values{finder: f, key: key, now: time.Now(), improved: o.Improved, given: make(map[string]given)}
	if _, err := f.cfg.Rules.Of(key); err != nil {
		return nil, err
	}
	if err := g.local(ctx, o.Expired); err != nil {
		return nil, err
	}
	if o.Offline || g.reached(o.Quorum) {
		if len(g.merged) == 0 {
			return nil, fmt.Errorf("%w: we do not hold %q ourselves", kaderr.ErrNotFound, key)
		}
		return g.merged, nil
	}
	s, err := f.prepare(ctx, g, o.Paths)
	alone := errors.Is(err, kaderr.ErrNoContacts) || errors.Is(err, kaderr.ErrSingle)
	if alone && len(g.merged) > 0 && ctx.Err() == nil {
		return g.merged, nil
	}
	if err != nil {
		return nil, err
	}
	s.Lacks = func() bool { return len(g.merged) == 0 }
	s.Heard = func(from routing.Contact, resp protocol.Response) {
		if resp.Record == nil {
			return
		}
		g.heard(from.ID, append([]protocol.Record{*resp.Record}, resp.More...))
		if g.reached(o.Quorum) {
			for _, id := range g.agree() { // each disjoint path needs an answer of its own
				s.Lookup().StopPath(id)
			}
		}
	}
	result, err := s.Run(ctx)
	if err != nil {
		return nil, err
	}
	if len(g.merged) == 0 {
		return nil, result.Empty(fmt.Sprintf("has %q", key))
	}
	if !o.Expired && !o.ReadOnly { // an expired value must not come back
		f.correct(g, result)
	}
	return g.merged, nil
}

// Holds reports whether a peer answers with a value of a key.
func (f *Finder) Holds(ctx context.Context, c routing.Contact, key []byte) (bool, error) {
	resp, err := f.cfg.Call.Request(ctx, nil, c, protocol.GetValue{Key: key}, nil)
	return resp.Record != nil, err
}

// prepare prepares the lookup of a get. What this node holds itself is an answer, too: then
// prepare waits no longer than SlowAfter for the network.
func (f *Finder) prepare(ctx context.Context, g *values, paths int) (*lookup.Search, error) {
	if len(g.merged) > 0 && f.cfg.SlowAfter > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.cfg.SlowAfter)
		defer cancel()
	}
	return f.cfg.Lookup.Prepare(ctx, g.key, protocol.GetValue{Key: g.key}, lookup.Plan{Paths: paths})
}

// values collects what the holders of a key have. It belongs to the goroutine that runs
// the lookup.
type values struct {
	finder   *Finder
	key      []byte
	now      time.Time          // when the search began
	improved func(value []byte) // may be nil

	merged  [][]byte         // what was found, the best one first
	equal   [][]byte         // the values that are as good as the best one; of a key of one value
	given   map[string]given // each valid value
	holders []offer
}

// A given value is what its first holder gave, and when it expires with the last of its
// holders; zero if none says.
type given struct {
	record protocol.Record
	until  time.Time
}

// An offer is a holder and the valid values that it gave.
type offer struct {
	id     peer.ID
	values [][]byte
}

// local takes the values that this node holds into account.
func (g *values) local(ctx context.Context, expired bool) error {
	now := g.now
	if expired {
		now = time.Time{}
	}
	held, err := g.finder.cfg.Holder.Held(ctx, g.key, now)
	if err != nil {
		return err
	}
	g.heard(g.finder.self, holder.RecordsOf(g.key, held, now))
	return nil
}

// heard takes the values of a holder into account. An invalid one counts as none.
func (g *values) heard(from peer.ID, records []protocol.Record) {
	var valid [][]byte
	for _, rec := range records {
		known, ok := g.given[string(rec.Value)]
		if !ok {
			if err := g.finder.cfg.Rules.Check(g.key, rec.Value); err != nil {
				log.Debugw("invalid value", "peer", from, "error", err)
				continue
			}
			known.record = rec
			known.record.Key = g.key
		}
		if expires := g.now.Add(rec.TTL); rec.TTL > 0 && expires.After(known.until) {
			known.until = expires
		}
		g.given[string(rec.Value)] = known
		valid = append(valid, append([]byte{}, rec.Value...)) // not nil: an empty value is one, too
	}
	if len(valid) == 0 {
		return
	}
	g.holders = append(g.holders, offer{from, valid})
	merged, err := g.finder.cfg.Rules.Merge(g.key, slices.Concat(g.merged, g.equal, valid), g.prefer)
	if most, _ := g.finder.cfg.Rules.Limits(g.key); err != nil || len(merged) > most {
		log.Debugw("values that cannot be merged", "peer", from, "values", len(merged), "error", err)
		g.holders = g.holders[:len(g.holders)-1]
		return
	}
	better := len(g.merged) == 0 || !bytes.Equal(merged[0], g.merged[0])
	if g.merged = merged; better && g.improved != nil {
		g.improved(merged[0])
	}
}

// prefer returns the value that was put last of values that are equally good: the one that
// expires last, and of those within the tolerance the one that most peers gave, and then the
// greater bytes. Where no holder gave a lifetime, the number of peers decides.
func (g *values) prefer(equal [][]byte) (best []byte) {
	g.equal = equal
	var last time.Time
	for _, value := range equal {
		if until := g.given[string(value)].until; until.After(last) {
			last = until
		}
	}
	most := 0
	for _, value := range equal {
		if until := g.given[string(value)].until; !until.IsZero() && last.Sub(until) > validate.Tolerance {
			continue
		}
		count := 0
		for _, h := range g.holders {
			if hasValue(h.values, value) {
				count++
			}
		}
		if count >= most {
			best, most = value, count
		}
	}
	return best
}

// agree returns the holders of all of what was found.
func (g *values) agree() (ids []peer.ID) {
	for _, h := range g.holders {
		if len(h.values) >= len(g.merged) && !slices.ContainsFunc(g.merged, func(v []byte) bool { return !hasValue(h.values, v) }) {
			ids = append(ids, h.id)
		}
	}
	return ids
}

// reached reports whether so many holders agree; never if quorum is 0.
func (g *values) reached(quorum int) bool { return quorum > 0 && len(g.agree()) >= quorum }

// gave reports whether a peer gave a valid value.
func (g *values) gave(id peer.ID) bool {
	return slices.ContainsFunc(g.holders, func(h offer) bool { return h.id == id })
}

// found returns what was found as records that can be passed on: each with its
// remaining lifetime, as far as a holder gave one, without what is about to expire.
func (g *values) found(now time.Time) (records []protocol.Record) {
	for _, value := range g.merged {
		known, ok := g.given[string(value)]
		rec := known.record
		if !ok { // it was made of several
			rec = protocol.Record{Key: g.key, Value: value}
		}
		if !known.until.IsZero() {
			if rec.TTL = known.until.Sub(now) - holder.Transit; rec.TTL < time.Second {
				continue
			}
		}
		records = append(records, rec)
	}
	return records
}

// hasValue reports whether value is among values.
func hasValue(values [][]byte, value []byte) bool {
	return slices.ContainsFunc(values, func(v []byte) bool { return bytes.Equal(v, value) })
}

// maxCorrections bounds the gets whose holders are being corrected, or whose value is
// being cached. Beyond it, that is left to the next get.
const maxCorrections = 8

// correct sends what a get has found to the peers that should hold it. It goes on in
// the background.
func (f *Finder) correct(g *values, result lookup.Result) {
	wrong, cache, rank := f.lacking(g, result)
	ourself := g.gave(f.self) && !slices.Contains(g.agree(), f.self)
	if len(wrong)+len(cache) == 0 && !ourself {
		return
	}
	f.corrections.Try(f.cfg.Tasks, func(ctx context.Context) {
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
		if len(cache) > 0 {
			receipt := f.cfg.Deliver.ToThese(ctx, cache, holder.PutOf(f.shortened(found, rank)), 0)
			f.cached.Add(uint64(len(receipt.Stored)))
		}
	})
}

// lacking returns the peers to correct: holders of a worse or incomplete value and, if the
// lookup converged, those of the k closest that hold none. It also returns the peer that is to
// keep a copy, with how many of the peers that answered are closer to the key: the closest of
// the others.
//
// Spec: libp2p kad-dht, "Value storage and retrieval", step 4.
//
// Source: Kademlia paper, section 2.3.
func (f *Finder) lacking(g *values, result lookup.Result) (wrong, cache []routing.Contact, rank int) {
	agree := g.agree()
	for i, c := range result.Answered {
		among := lookup.Converged(result) && i < len(result.Closest)
		switch {
		case slices.Contains(agree, c.ID):
		case among || g.gave(c.ID):
			wrong = append(wrong, c)
		case len(cache) == 0 && f.cfg.Caching:
			cache, rank = []routing.Contact{c}, i
		}
	}
	return wrong, cache, rank
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
