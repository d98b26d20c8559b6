package publish

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

const (
	// republishRetry is when a publication is tried again that no peer has stored, or that was
	// cut off.
	republishRetry = 10 * time.Minute

	// republishing is how many values are looked up at a time before they are published again,
	// and republishBatch how many publications share lookups, in the order of the key space: see
	// package lookup.
	republishing   = 16
	republishBatch = manyChunk

	// republishSlack is the part of the interval by which a publication may be early,
	// to share lookups with publications that are due.
	republishSlack = 50

	// catchUp is how many times faster than usual overdue publications are published, and
	// catchUpPause the longest time from one batch of them to the next.
	catchUp      = 8
	catchUpPause = time.Minute
)

// Job returns the job that publishes again what is due, and with it what is due soon. If more is
// overdue than goes into a batch, the next batch waits for its turn: see pause.
func (p *Publisher) Job() tasks.Job {
	var resume time.Time // when the next batch may begin
	return tasks.Job{Name: "republish", Due: func(now time.Time, start *tasks.Start) time.Time {
		if start.Room() == 0 {
			return time.Time{}
		}
		if now.Before(resume) {
			return resume
		}
		late := p.agenda.late(now)
		tickets, next := p.agenda.due(now, republishBatch)
		if len(tickets) == 0 {
			return next
		}
		if len(tickets) == republishBatch {
			resume = now.Add(p.pause(late))
		}
		soon, _ := p.agenda.due(now.Add(p.cfg.Interval/republishSlack), republishBatch-len(tickets))
		tickets = append(tickets, soon...)
		start.Run(func(ctx context.Context) error { return p.republishAll(ctx, now, tickets) }, nil)
		return time.Time{}
	}}
}

// pause returns how long the next batch waits when a batch is full, and the first publication in it
// is overdue by late: the node was offline, or did not run. Then much is overdue, and is spread, as
// long as holders have not forgotten it. There is no pause when they may have.
func (p *Publisher) pause(late time.Duration) time.Duration {
	if late >= p.cfg.RecordAge-p.cfg.Interval {
		return 0
	}
	usual := float64(p.cfg.Interval) * republishBatch / float64(p.agenda.len())
	return min(catchUpPause, time.Duration(usual/catchUp))
}

// republishAll publishes what is due again: announcements first, and then values, since a get
// comes before each. Publications that are near each other in the key space come together, and
// share lookups; all that are for one peer go there together.
func (p *Publisher) republishAll(ctx context.Context, now time.Time, tickets []ticket) error {
	sortByPlace(tickets, func(t ticket) []byte { return []byte(t.key) })
	r := p.newRun()
	for _, kind := range []store.Kind{store.KindProvider, store.KindValue} {
		var all []*kept
		for _, t := range tickets {
			if t.kind == kind {
				all = append(all, &kept{Published: Published{Item: Item{Kind: t.kind, Key: []byte(t.key)}}, ticket: t})
			}
		}
		p.republish(ctx, now, r, all)
	}
	return context.Cause(ctx)
}

// republish publishes again what is due, of one kind.
func (p *Publisher) republish(ctx context.Context, now time.Time, r *run, all []*kept) {
	_ = tasks.Each(ctx, republishing, slices.Values(all), func(ctx context.Context, k *kept) error {
		p.prepare(ctx, now, k)
		return nil
	})
	if ctx.Err() != nil {
		return // they are due at the next start
	}
	all = slices.DeleteFunc(all, func(k *kept) bool { return errors.Is(k.Err, store.ErrNotFound) })
	p.send(ctx, now, r, all)
	for _, k := range all {
		if k.Err == nil {
			p.republished.Add(1)
		} else {
			log.Debugw("republish", "key", k.Key, "error", k.Err)
		}
		p.outcomes.ended(ctx, k.Kind, k.Key, k.Err)
	}
	p.settleAll(ctx, now, all)
}

// prepare reads what is to be published again. The error is [store.ErrNotFound] if it was withdrawn
// meanwhile.
func (p *Publisher) prepare(ctx context.Context, now time.Time, k *kept) {
	switch k.pub, k.Err = p.cfg.Store.Publication(ctx, k.Kind, k.Key); {
	case errors.Is(k.Err, store.ErrNotFound):
		defer p.writing.Lock(k.Key).Unlock()
		if p.agenda.current(k.ticket) {
			p.agenda.drop(k.ticket.publicationID) // the store has lost it
		}
	case k.Err != nil:
	case k.Kind == store.KindProvider:
		k.Err = p.hold(ctx, now, k)
	default:
		k.again, k.Err = p.stillBest(ctx, now, k.pub)
	}
}

// sortByPlace sorts items by the places of their keys in the key space, so that items that
// are near each other come together.
func sortByPlace[T any](items []T, key func(T) []byte) {
	slices.SortFunc(items, func(a, b T) int { return bytes.Compare(store.Place(key(a)), store.Place(key(b))) })
}

// settle sets when a publication that began at now is due next, by its receipt and error: again,
// soon, or never.
func (p *Publisher) settle(ctx context.Context, now time.Time, t ticket, pub store.Publication, receipt deliver.Receipt, err error) error {
	var next time.Time // zero: never
	switch {
	case err == nil:
		next = p.again(now, t.publicationID, receipt)
	case !p.superseded(pub, err):
		next = now.Add(tasks.Jittered(republishRetry))
	}
	return p.conclude(ctx, t, pub, next)
}

// conclude sets when a publication is due next; the zero time ends it. A change that the
// user has made meanwhile prevails.
func (p *Publisher) conclude(ctx context.Context, t ticket, pub store.Publication, next time.Time) error {
	defer p.writing.Lock([]byte(t.key)).Unlock()
	switch {
	case !p.agenda.current(t):
		if t.kind == store.KindProvider && !p.agenda.has(t.publicationID) {
			return p.cfg.Holder.StopProviding(ctx, []byte(t.key)) // withdrawn, and announced after that
		}
		return nil
	case next.IsZero():
		p.agenda.drop(t.publicationID)
		return p.cfg.Store.Unpublish(ctx, t.kind, []byte(t.key))
	}
	p.agenda.add(t.publicationID, next)
	if pub.Key == nil {
		return nil // it could not be read just now
	}
	pub.Next = next
	return p.cfg.Store.Publish(ctx, pub)
}

// superseded reports whether there is no point in publishing a value again: we hold a
// better one, or its validator does not accept it any more. A holder that says so is
// not enough: it has to show the better value. A validator that is missing now is not
// enough either.
func (p *Publisher) superseded(pub store.Publication, err error) bool {
	if pub.Kind != store.KindValue {
		return false
	}
	if _, none := p.cfg.Rules.Of(pub.Key); none == nil && len(p.stillValid(pub)) == 0 {
		return true
	}
	var put *deliver.PutError
	return errors.Is(err, kaderr.ErrOldRecord) && !errors.As(err, &put)
}

// stillValid returns the values of a publication that its validator accepts now.
func (p *Publisher) stillValid(pub store.Publication) [][]byte {
	return slices.DeleteFunc(p.values(pub), func(v []byte) bool { return p.cfg.Rules.Check(pub.Key, v) != nil })
}

// stillBest returns records of the values of a publication, unless a get finds a better value, or
// one that the validator takes for equal and that was put later. A put that is tried again is not
// in doubt.
func (p *Publisher) stillBest(ctx context.Context, now time.Time, pub store.Publication) ([]protocol.Record, error) {
	values := p.stillValid(pub)
	if len(values) == 0 {
		return nil, kaderr.ErrInvalidRecord
	}
	records := make([]protocol.Record, len(values))
	ours := make([]store.Value, len(values))
	for i, v := range values {
		records[i] = p.record(now, pub.Key, v)
		ours[i].Data = v // without its age, it replaces no value that is equally good
	}
	if !p.justPut(ctx, now, pub.Key, values) {
		var found []store.Value
		best, _ := p.cfg.Find.Values(ctx, pub.Key, find.ValuesOptions{ReadOnly: true}) // without an answer, there is no doubt
		for _, v := range best {
			found = append(found, store.Value{Data: v})
		}
		if _, err := p.cfg.Rules.MergeHeld(pub.Key, found, ours, false); err != nil {
			return nil, err
		}
	}
	return records, p.cfg.Holder.Accepts(ctx, now, records)
}

// justPut reports whether the node holds values of ours that were put a moment ago. Copies
// that arrive meanwhile do not change when they expire.
func (p *Publisher) justPut(ctx context.Context, now time.Time, key []byte, values [][]byte) bool {
	held, _ := p.cfg.Holder.Held(ctx, key, now)
	return slices.ContainsFunc(held, func(h store.Value) bool {
		age := now.Sub(h.Received)
		if !h.Expires.IsZero() {
			age = p.cfg.RecordAge - h.Expires.Sub(now)
		}
		return age < 2*republishRetry && slices.ContainsFunc(values, func(v []byte) bool { return bytes.Equal(v, h.Data) })
	})
}
