package publish

import (
	"context"
	"time"

	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
)

// keep keeps a publication, to publish it again. It does not fail: the value or the
// announcement is published already.
func (p *Publisher) keep(ctx context.Context, now time.Time, id publicationID, data []byte) {
	if p.cfg.Interval >= 0 && p.save(ctx, now, id, data) {
		p.cfg.Wake()
	}
}

// save adds a publication to the store and to the agenda, and reports whether it could.
func (p *Publisher) save(ctx context.Context, now time.Time, id publicationID, data []byte) bool {
	p.write.Lock()
	defer p.write.Unlock()
	ctx = context.WithoutCancel(ctx) // it is kept even if the time of the caller is over
	pub := store.Publication{
		Kind: id.kind,
		Key:  []byte(id.key),
		Data: p.withPublished(ctx, id, data),
		Next: now.Add(tasks.Early(p.cfg.Interval)),
	}
	if err := p.cfg.Store.Publish(ctx, pub); err != nil {
		log.Warnw("not published again: the store cannot keep it", "error", err) // a matter of the disk
		return false
	}
	p.agenda.add(id, pub.Next)
	return true
}

// withPublished returns the data to publish again: data, or, of a key that holds several
// values, all that we have published.
func (p *Publisher) withPublished(ctx context.Context, id publicationID, data []byte) []byte {
	key := []byte(id.key)
	if id.kind != store.KindValue || !p.cfg.Rules.Multi(key) {
		return data
	}
	values := [][]byte{data}
	if pub, err := p.cfg.Store.Publication(ctx, id.kind, key); err == nil {
		values = append(values, p.values(pub)...)
	}
	merged, err := p.cfg.Rules.Merge(key, values)
	if err != nil {
		merged = [][]byte{data} // the others are not valid any more
	}
	set := make([]store.Value, len(merged))
	for i, v := range merged {
		set[i].Data = v
	}
	return p.cfg.Rules.Pack(key, set).Data
}

// values returns the values of a publication.
func (p *Publisher) values(pub store.Publication) [][]byte {
	var values [][]byte
	for _, v := range p.cfg.Rules.Unpack(pub.Key, store.Value{Data: pub.Data}, time.Time{}) {
		values = append(values, v.Data)
	}
	return values
}

// drop ends a publication. If it is being published at this moment, that is the last
// time.
func (p *Publisher) drop(ctx context.Context, id publicationID) error {
	p.write.Lock()
	defer p.write.Unlock()
	p.agenda.drop(id)
	return p.cfg.Store.Unpublish(ctx, id.kind, []byte(id.key))
}

// Resume reads the publications of an earlier run from the store, unless nothing is
// published again.
func (p *Publisher) Resume(ctx context.Context) {
	if p.cfg.Interval < 0 {
		return
	}
	for _, kind := range []store.Kind{store.KindValue, store.KindProvider} {
		var after []byte
		for {
			batch, err := p.cfg.Store.Publications(ctx, kind, after, 0)
			if err != nil {
				log.Warnw("a damaged publication is not published again", "error", err) // a matter of the disk
			}
			if err != nil || len(batch) == 0 {
				break
			}
			for _, pub := range batch {
				p.agenda.add(publicationID{kind, string(pub.Key)}, pub.Next)
			}
			after = batch[len(batch)-1].Key
		}
	}
}
