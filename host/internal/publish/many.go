package publish

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
)

const (
	// manyBatch and manyBytes bound the items of Many that are in memory: as many as
	// share the lookups of a part of the key space.
	manyBatch = 8192
	manyBytes = 16 << 20

	// manyAtOnce is how many items are published at a time.
	manyAtOnce = 64
)

// An Item is something to publish: an announcement of ours, or a value.
type Item struct {
	Kind  store.Kind
	Key   []byte
	Value []byte // of a value
}

// A Published is what became of an Item.
type Published struct {
	Item
	Receipt deliver.Receipt
	Err     error
}

// Many publishes items, and yields what became of each as soon as that is known. It reads
// a batch of them ahead, and works on it in the order of the key space, so that items near
// each other share lookups.
//
// An item is kept, to be published again, before it is sent: if it fails, or the node stops
// before it was sent, it is tried again within 10 minutes, or after the restart. An item
// that may not be published at all is not kept. Many ends with ctx, or when its reader stops.
func (p *Publisher) Many(ctx context.Context, items iter.Seq[Item]) iter.Seq[Published] {
	return func(yield func(Published) bool) {
		survey := p.cfg.Lookup.NewSurvey()
		var batch []Item
		size := 0
		for item := range items {
			batch, size = append(batch, item), size+len(item.Key)+len(item.Value)
			if len(batch) < manyBatch && size < manyBytes {
				continue
			}
			if !p.batch(ctx, survey, batch, yield) {
				return
			}
			batch, size = batch[:0], 0
		}
		p.batch(ctx, survey, batch, yield)
	}
}

// A kept item is one that is in the agenda.
type kept struct {
	Item
	ticket
	err error // why it may not be published
}

// batch publishes a batch of items, and reports whether to go on.
func (p *Publisher) batch(ctx context.Context, survey *lookup.Survey, batch []Item, yield func(Published) bool) (more bool) {
	sortByPlace(batch, func(i Item) []byte { return i.Key })
	now := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan Published)
	started := p.cfg.Tasks.Go(func(context.Context) {
		defer close(results)
		all := make([]*kept, len(batch))
		for i, item := range batch {
			all[i] = &kept{Item: item}
		}
		err := tasks.Each(ctx, manyAtOnce, slices.Values(all), func(ctx context.Context, k *kept) error {
			p.reserve(ctx, now, k)
			return nil
		})
		if err != nil {
			return
		}
		_ = tasks.Each(ctx, manyAtOnce, slices.Values(all), func(ctx context.Context, k *kept) error {
			results <- p.publishKept(ctx, now, survey.Closest, k)
			return nil
		})
	})
	if !started {
		return false
	}
	more = true
	for r := range results {
		if more && !yield(r) {
			more = false
			cancel()
		}
	}
	p.cfg.Wake()
	return more && ctx.Err() == nil
}

// reserve keeps an item, to be published within republishRetry if it is not before.
func (p *Publisher) reserve(ctx context.Context, now time.Time, k *kept) {
	if k.Kind == store.KindValue {
		if k.err = p.cfg.Holder.StoreOwn(ctx, now, p.records(now, k.Item)...); k.err != nil {
			return
		}
	}
	if p.cfg.Interval >= 0 {
		id := publicationID{k.Kind, string(k.Key)}
		k.ticket = p.save(ctx, id, k.Value, now.Add(tasks.Jittered(republishRetry)))
	}
}

// publishKept publishes an item that reserve has kept.
func (p *Publisher) publishKept(ctx context.Context, now time.Time, closest lookup.Closest, k *kept) (done Published) {
	done = Published{Item: k.Item, Err: k.err}
	if k.err != nil {
		return done
	}
	if k.Kind == store.KindProvider {
		done.Receipt, done.Err = p.announce(ctx, now, closest, k.Key, 0)
	} else {
		done.Receipt, done.Err = p.put(ctx, now, closest, 0, p.records(now, k.Item)...)
	}
	if k.count == 0 { // it is not in the agenda
		return done
	}
	pub, err := p.cfg.Store.Publication(ctx, k.Kind, k.Key)
	if err != nil {
		return done // it was withdrawn meanwhile, or is tried again after a restart
	}
	if err := p.settle(context.WithoutCancel(ctx), now, k.ticket, pub, done.Err); err != nil {
		log.Warnw("not published again: the store cannot keep it", "error", err)
	}
	return done
}
