package host

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
)

// A getter collects what the holders of a key have. It belongs to the goroutine
// that runs the lookup.
type getter struct {
	dht      *DHT
	key      []byte
	improved func(value []byte)

	values  [][]byte         // what was found, merged, the best one first
	given   map[string]given // each valid value that somebody gave
	holders []holder
}

// A given value is what its first holder gave, and when it expires with the last of
// its holders; zero if none says.
type given struct {
	record protocol.Record
	until  time.Time
}

// A holder is who gave something valid.
type holder struct {
	id     peer.ID
	values [][]byte
}

func newGetter(d *DHT, key []byte, improved func([]byte)) *getter {
	return &getter{dht: d, key: key, improved: improved, given: make(map[string]given)}
}

// local takes our own values into account.
func (g *getter) local(ctx context.Context, expired bool) error {
	now := time.Now()
	if expired {
		now = time.Time{}
	}
	held, err := g.dht.heldValues(ctx, g.key, now)
	if err != nil {
		return err
	}
	g.heard(g.dht.self, recordsOf(g.key, held, now))
	return nil
}

// heard takes the values of a holder into account. An invalid one is as good as
// none.
func (g *getter) heard(from peer.ID, records []protocol.Record) {
	var valid [][]byte
	for _, rec := range records {
		known, ok := g.given[string(rec.Value)]
		if !ok {
			if err := g.dht.validators.check(g.key, rec.Value); err != nil {
				log.Debugw("invalid value", "peer", from, "error", err)
				continue
			}
			known.record = rec
			known.record.Key = g.key
		}
		if expires := time.Now().Add(rec.TTL); rec.TTL > 0 && expires.After(known.until) {
			known.until = expires
		}
		g.given[string(rec.Value)] = known
		valid = append(valid, append([]byte{}, rec.Value...)) // not nil: an empty value is one, too
	}
	if len(valid) == 0 {
		return
	}
	merged, err := g.dht.validators.merge(g.key, slices.Concat(g.values, valid))
	if err != nil || len(merged) > g.dht.cfg.MaxValues {
		log.Debugw("values that cannot be merged", "peer", from, "values", len(merged), "error", err)
		return
	}
	g.holders = append(g.holders, holder{from, valid})
	better := len(g.values) == 0 || !bytes.Equal(merged[0], g.values[0])
	if g.values = merged; better {
		g.improved(merged[0])
	}
}

// agree returns who has all of what was found.
func (g *getter) agree() (ids []peer.ID) {
	for _, h := range g.holders {
		if len(h.values) >= len(g.values) && !slices.ContainsFunc(g.values, func(v []byte) bool { return !hasValue(h.values, v) }) {
			ids = append(ids, h.id)
		}
	}
	return ids
}

// reached reports whether so many holders agree; never if quorum is 0.
func (g *getter) reached(quorum int) bool { return quorum > 0 && len(g.agree()) >= quorum }

// gave reports whether a peer gave anything.
func (g *getter) gave(id peer.ID) bool {
	return slices.ContainsFunc(g.holders, func(h holder) bool { return h.id == id })
}

// found returns what was found as records that can be passed on: each with the time
// that is left to it, as far as somebody said so, without what is about to expire.
func (g *getter) found() (records []protocol.Record) {
	for _, value := range g.values {
		known, ok := g.given[string(value)]
		rec := known.record
		if !ok { // it was made of several
			rec = protocol.Record{Key: g.key, Value: value}
		}
		rec.TTL = 0
		if !known.until.IsZero() {
			if rec.TTL = time.Until(known.until) - transit; rec.TTL < time.Second {
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
