package publish

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// manyBatch and manyBytes bound the items of Many that are in memory, and are sorted: the
	// more there are, the more of them are for the same peers.
	manyBatch = 32_768
	manyBytes = 16 << 20

	// manyChunk is how many items are sent together, and manyChunks how many of these are
	// under way: some are looked up while others are sent.
	manyChunk  = 1024
	manyChunks = 4

	// manyAtOnce is how many items are written to the store at a time.
	manyAtOnce = 64
)

// An Item is something to publish: an announcement of ours, or a value.
type Item struct {
	Kind  store.Kind
	Key   []byte
	Value []byte // of a value
}

// kind names the kind of an item, for events.Published.
func (i Item) kind() string {
	if i.Kind == store.KindProvider {
		return "announcement"
	}
	return "value"
}

// A Published is what became of an Item.
type Published struct {
	Item
	Receipt deliver.Receipt
	Err     error
}

// Many publishes items, and yields what became of each as soon as that is known. It reads
// a batch of them ahead, and works on it in the order of the key space, so that items near
// each other share lookups, and all items for one peer go there together.
//
// An item is kept, to be published again, before it is sent: if it fails, or the node stops
// before it was sent, it is tried again within 10 minutes, or after the restart. An item
// that may not be published at all is not kept. Many ends with ctx, or when its reader stops.
func (p *Publisher) Many(ctx context.Context, items iter.Seq[Item]) iter.Seq[Published] {
	return func(yield func(Published) bool) {
		r := p.newRun()
		var batch []Item
		size := 0
		for item := range items {
			batch, size = append(batch, item), size+len(item.Key)+len(item.Value)
			if len(batch) < manyBatch && size < manyBytes {
				continue
			}
			if !p.batch(ctx, r, batch, yield) {
				return
			}
			batch, size = batch[:0], 0
		}
		p.batch(ctx, r, batch, yield)
	}
}

// A run publishes many items: what it has found out about the network holds for all of them.
type run struct {
	survey *lookup.Survey
	bulk   *deliver.Bulk
}

func (p *Publisher) newRun() *run { return &run{p.cfg.Lookup.NewSurvey(), p.cfg.Deliver.NewBulk()} }

// A kept item is one that is in the agenda.
type kept struct {
	Published
	ticket ticket
	pub    store.Publication // of the store; it may be missing
	parcel *deliver.Parcel   // nil: it is not sent
	unkept error             // why it is not published again
	again  []protocol.Record // of a value that is published again: not held here yet
}

// records returns the records of an item that is a value.
func (p *Publisher) records(now time.Time, k *kept) []protocol.Record {
	if k.again != nil {
		return k.again
	}
	return []protocol.Record{p.record(now, k.Key, k.Value)}
}

// batch publishes a batch of items, and reports whether to go on.
func (p *Publisher) batch(ctx context.Context, r *run, batch []Item, yield func(Published) bool) (more bool) {
	sortByPlace(batch, func(i Item) []byte { return i.Key })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan Published)
	started := p.cfg.Tasks.Go(func(context.Context) {
		defer close(results)
		_ = tasks.Each(ctx, manyChunks, slices.Chunk(batch, manyChunk), func(ctx context.Context, items []Item) error {
			for _, k := range p.publishChunk(ctx, time.Now(), r, items) {
				results <- k.Published
			}
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

// publishChunk keeps items, publishes them, and sets when they are published again. It returns
// the ones of which it is known what became of them: none if ctx ends before they are kept.
func (p *Publisher) publishChunk(ctx context.Context, now time.Time, r *run, items []Item) []*kept {
	all := make([]*kept, len(items))
	for i, item := range items {
		all[i] = &kept{Published: Published{Item: item}}
	}
	if each(ctx, all, func(ctx context.Context, k *kept) { p.reserve(ctx, now, k) }) != nil {
		for _, k := range all {
			p.agenda.release(k.ticket)
		}
		return nil
	}
	apart := int64(0) // of these, the ones that are not in the agenda, which counts what is under way
	for _, k := range all {
		if k.Err == nil && k.ticket.count == 0 {
			apart++
		}
	}
	p.outcomes.first.Add(apart)
	defer p.outcomes.first.Add(-apart)
	p.send(ctx, now, r, all)
	p.settleAll(ctx, now, all)
	for _, k := range all {
		if k.Err == nil && k.unkept != nil {
			k.Err = fmt.Errorf("kad: published, and not published again, since the store cannot keep it: %w", k.unkept)
		}
		p.outcomes.ended(ctx, k.Kind, k.Key, k.Err)
	}
	return all
}

// settleAll sets when items are published again. The ones for which there was no time are due as
// the agenda has them.
func (p *Publisher) settleAll(ctx context.Context, now time.Time, all []*kept) {
	over := ctx.Err() != nil
	_ = each(context.WithoutCancel(ctx), all, func(ctx context.Context, k *kept) {
		if over && len(k.Receipt.Stored) == 0 {
			p.agenda.release(k.ticket)
			return
		}
		if k.ticket.count == 0 {
			return
		}
		if err := p.settle(ctx, now, k.ticket, k.pub, k.Receipt, k.Err); err != nil {
			k.unkept = err
			log.Warnw("not published again: the store cannot keep it", "error", err)
		}
	})
}

// each calls f with some items at a time. The error is the cause of ctx, if that ends first.
func each(ctx context.Context, all []*kept, f func(ctx context.Context, k *kept)) error {
	return tasks.Each(ctx, manyAtOnce, slices.Values(all), func(ctx context.Context, k *kept) error {
		f(ctx, k)
		return nil
	})
}

// reserve holds an item here, and keeps it as one that is under way. If it is released, or the node
// stops before it was published, it is due within republishRetry.
func (p *Publisher) reserve(ctx context.Context, now time.Time, k *kept) {
	if k.Err = p.hold(ctx, now, k); k.Err != nil || p.cfg.Interval < 0 {
		return
	}
	id := publicationID{k.Kind, string(k.Key)}
	k.ticket, k.pub, k.unkept = p.save(ctx, id, k.Value, now.Add(tasks.Jittered(republishRetry)), p.agenda.begin)
}

// hold has this node hold an item itself. It is an error if it may not be published.
func (p *Publisher) hold(ctx context.Context, now time.Time, k *kept) error {
	if k.Kind == store.KindProvider {
		return p.cfg.Holder.Provide(ctx, k.Key, 0, now)
	}
	return p.cfg.Holder.StoreOwn(ctx, now, p.records(now, k)...)
}

// send sends items to the peers closest to them, and sets what became of each. Once one of them has
// waited for contacts in vain, the others fail at once: each of them would wait as long.
func (p *Publisher) send(ctx context.Context, now time.Time, r *run, all []*kept) {
	var sent []*kept
	var parcels []*deliver.Parcel
	var noAddr, noContacts error
	if slices.ContainsFunc(all, func(k *kept) bool { return k.Kind == store.KindProvider }) {
		noAddr = p.cfg.Reach.AwaitAddr(ctx)
	}
	for _, k := range all {
		if k.Err == nil && k.Kind == store.KindProvider {
			k.Err = noAddr
		}
		if k.Err == nil {
			if k.Err = noContacts; k.Err == nil {
				k.Err = p.address(ctx, now, r, k)
			}
			if errors.Is(k.Err, kaderr.ErrNoContacts) {
				noContacts = k.Err
			}
			if k.parcel == nil {
				k.Err = p.tell(ctx, k.kind(), k.Key, k.Receipt, 0, k.Err)
			}
		}
		if k.parcel != nil {
			sent, parcels = append(sent, k), append(parcels, k.parcel)
		}
	}
	announcement := p.cfg.Holder.Announcements() // after the lookups, which take seconds: the host may have moved
	for i, k := range sent {
		if k.Kind == store.KindProvider {
			parcels[i].Req = announcement(k.Key, 0, now)
		} else {
			parcels[i].Req = holder.PutOf(p.records(now, k))
		}
	}
	for i, receipt := range r.bulk.Deliver(ctx, parcels) {
		k := sent[i]
		k.Receipt, k.Err = receipt, p.tell(ctx, k.kind(), k.Key, receipt, 0, nil)
	}
}

// address makes a parcel for an item, without the request, to the peers closest to it. A value that
// is published again is held here, once they are found. Where this node is the only server, the
// item is published by being held here.
func (p *Publisher) address(ctx context.Context, now time.Time, r *run, k *kept) error {
	parcel := new(deliver.Parcel)
	add := func(_ context.Context, to ...routing.Contact) {
		first := len(parcel.To) == 0 // each of them once
		for i := range to {
			if first || !slices.ContainsFunc(parcel.To, func(have routing.Contact) bool { return have.ID == to[i].ID }) {
				parcel.To = append(parcel.To, to[i])
			}
		}
	}
	_, err := r.survey.Closest(ctx, k.Key, &lookup.Sink{Add: add, Late: add, Crowded: func() { parcel.Crowded = true }})
	switch {
	case errors.Is(err, kaderr.ErrSingle) && k.Kind == store.KindProvider:
		k.Receipt, err = p.announcedAlone(ctx, now, k.Key)
		return err
	case errors.Is(err, kaderr.ErrSingle):
		k.Receipt, err = p.storeAlone(ctx, now, p.records(now, k))
		return err
	case err != nil:
		return err
	case k.again != nil && len(parcel.To) > 0:
		if err := p.cfg.Holder.StoreOwn(ctx, now, k.again...); err != nil {
			return err
		}
	}
	routing.SortByDistance(routing.KeyOf(k.Key), parcel.To)
	k.parcel = parcel
	return nil
}
