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
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

const (
	// republishRetry is when a publication is tried again that no peer has stored, or that was
	// cut off.
	republishRetry = 10 * time.Minute

	// republishing is how many values are published again at a time, and republishBatch how
	// many publications share lookups, in the order of the key space: see package lookup.
	republishing   = 4
	republishBatch = manyChunk

	// republishSlack is the part of the interval by which a publication may be early,
	// to share lookups with publications that are due.
	republishSlack = 50
)

// Job returns the job that publishes again what is due, and with it what is due soon.
func (p *Publisher) Job() tasks.Job {
	return tasks.Job{Name: "republish", Due: func(now time.Time, start *tasks.Start) time.Time {
		if start.Room() == 0 {
			return time.Time{}
		}
		tickets, next := p.agenda.due(now, republishBatch)
		if len(tickets) == 0 {
			return next
		}
		soon, _ := p.agenda.due(now.Add(p.cfg.Interval/republishSlack), republishBatch-len(tickets))
		tickets = append(tickets, soon...)
		start.Run(func(ctx context.Context) error { return p.republishAll(ctx, now, tickets) }, nil)
		return time.Time{}
	}}
}

// republishAll publishes what is due again: announcements all together, and values a few at a
// time, since a get comes before each. Publications that are near each other in the key space
// come together, and share lookups.
func (p *Publisher) republishAll(ctx context.Context, now time.Time, tickets []ticket) error {
	sortByPlace(tickets, func(t ticket) []byte { return []byte(t.key) })
	r := p.newRun()
	values := slices.DeleteFunc(slices.Clone(tickets), func(t ticket) bool { return t.kind == store.KindProvider })
	var announcements []*kept
	for _, t := range tickets {
		if t.kind == store.KindProvider {
			announcements = append(announcements, &kept{Published: Published{Item: Item{Kind: t.kind, Key: []byte(t.key)}}, ticket: t})
		}
	}
	p.announceAgain(ctx, now, r, announcements)
	return tasks.Each(ctx, republishing, slices.Values(values), func(ctx context.Context, t ticket) error {
		if err := p.republish(ctx, r.survey.Closest, t); err != nil {
			log.Debugw("republish", "key", t.key, "error", err)
		}
		return nil
	})
}

// announceAgain publishes announcements again that are due.
func (p *Publisher) announceAgain(ctx context.Context, now time.Time, r *run, all []*kept) {
	_ = each(ctx, all, func(ctx context.Context, k *kept) {
		if k.pub, k.Err = p.cfg.Store.Publication(ctx, k.Kind, k.Key); k.Err == nil {
			k.Err = p.hold(ctx, now, k)
		}
	})
	all = slices.DeleteFunc(all, func(k *kept) bool { return errors.Is(k.Err, store.ErrNotFound) }) // withdrawn meanwhile
	if ctx.Err() != nil {
		return // they are due at the next start
	}
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

// sortByPlace sorts items by the places of their keys in the key space, so that items that
// are near each other come together.
func sortByPlace[T any](items []T, key func(T) []byte) {
	slices.SortFunc(items, func(a, b T) int { return bytes.Compare(store.Place(key(a)), store.Place(key(b))) })
}

// republish publishes a value again.
func (p *Publisher) republish(ctx context.Context, closest lookup.Closest, t ticket) error {
	now := time.Now()
	pub, err := p.cfg.Store.Publication(ctx, t.kind, []byte(t.key))
	if errors.Is(err, store.ErrNotFound) {
		return nil // withdrawn meanwhile
	}
	var receipt deliver.Receipt
	if err == nil {
		if receipt, err = p.publishAgain(ctx, now, closest, pub); err == nil {
			p.republished.Add(1)
		}
	}
	p.outcomes.ended(ctx, t.kind, []byte(t.key), err)
	return errors.Join(err, p.settle(context.WithoutCancel(ctx), now, t, pub, receipt, err))
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

// publishAgain delivers a value to the peers that are closest to it now, unless a get
// finds a better value, or one that the validator takes for equal and that was put later.
// A put that is tried again is not in doubt.
func (p *Publisher) publishAgain(ctx context.Context, now time.Time, closest lookup.Closest, pub store.Publication) (receipt deliver.Receipt, err error) {
	values := p.stillValid(pub)
	if len(values) == 0 {
		return receipt, kaderr.ErrInvalidRecord
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
			return receipt, err
		}
	}
	return p.put(ctx, now, closest, 0, records...)
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
