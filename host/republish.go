package host

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

const (
	// republishRetry is when a publication is tried again that nobody has stored.
	republishRetry = 10 * time.Minute

	// republishing is how many publications are published again at a time, and
	// republishBatch how many share lookups.
	republishing   = 4
	republishBatch = 256

	// republishSlack is the part of the interval by which a publication may be early
	// so as to share lookups with those that are due.
	republishSlack = 50
)

// publish keeps something that we have published, to publish it again. That it
// cannot be kept is no reason to fail: it is published.
func (d *DHT) publish(ctx context.Context, id publicationID, data []byte) {
	if d.cfg.RepublishInterval < 0 {
		return
	}
	d.agenda.write.Lock()
	defer d.agenda.write.Unlock()
	ctx = context.WithoutCancel(ctx) // what was published is kept, even if the time of the caller is over
	p := store.Publication{
		Kind: id.kind,
		Key:  []byte(id.key),
		Data: d.withPublished(ctx, id, data),
		Next: time.Now().Add(early(d.cfg.RepublishInterval)),
	}
	if err := d.store.Publish(ctx, p); err != nil {
		log.Warnw("not published again: the store cannot keep it", "error", err) // somebody must see to the disk
		return
	}
	d.agenda.add(id, p.Next)
	poke(d.keeper.wake)
}

// withPublished returns what is to be published again: data, or, of a key that holds
// several values, all that we have published.
func (d *DHT) withPublished(ctx context.Context, id publicationID, data []byte) []byte {
	key := []byte(id.key)
	if id.kind != store.KindValue || d.validators.reducer(key) == nil {
		return data
	}
	values := [][]byte{data}
	if p, err := d.store.Publication(ctx, id.kind, key); err == nil {
		values = append(values, d.published(p)...)
	}
	merged, err := d.validators.merge(key, values)
	if err != nil {
		merged = [][]byte{data} // the others are not valid any more
	}
	set := make([]store.Value, len(merged))
	for i, v := range merged {
		set[i].Data = v
	}
	return d.validators.pack(key, set).Data
}

// published returns the values of a publication.
func (d *DHT) published(p store.Publication) [][]byte {
	var values [][]byte
	for _, v := range d.validators.unpack(p.Key, store.Value{Data: p.Data}, time.Time{}) {
		values = append(values, v.Data)
	}
	return values
}

// unpublish ends the publication of something. If it is being published at this
// moment, that is the last time.
func (d *DHT) unpublish(ctx context.Context, id publicationID) error {
	d.agenda.write.Lock()
	defer d.agenda.write.Unlock()
	d.agenda.drop(id)
	return d.store.Unpublish(ctx, id.kind, []byte(id.key))
}

// early returns d less up to a tenth, so that what was published together is
// not for ever published at the same moment, and nothing late.
func early(d time.Duration) time.Duration {
	return d - rand.N(d/10+1)
}

// resumePublications reads the publications of the last time into the agenda.
func (d *DHT) resumePublications(ctx context.Context) {
	for _, kind := range []store.Kind{store.KindValue, store.KindProvider} {
		var after []byte
		for {
			batch, err := d.store.Publications(ctx, kind, after, 0)
			if err != nil {
				log.Warnw("what is damaged is not published again", "error", err) // somebody must see to the disk
			}
			if err != nil || len(batch) == 0 {
				break
			}
			for _, p := range batch {
				d.agenda.add(publicationID{kind, string(p.Key)}, p.Next)
			}
			after = batch[len(batch)-1].Key
		}
	}
}

// republishAll publishes what is due once more, a few at a time. What is near each
// other in the key space comes together, and shares lookups.
func (d *DHT) republishAll(ctx context.Context, tickets []ticket) error {
	slices.SortFunc(tickets, func(a, b ticket) int {
		return bytes.Compare(store.Place([]byte(a.key)), store.Place([]byte(b.key)))
	})
	s := newSurvey(d)
	var sends errgroup.Group
	sends.SetLimit(republishing)
	for _, t := range tickets {
		sends.Go(func() error {
			if err := d.republish(ctx, s.closest, t); err != nil {
				log.Debugw("republish", "key", t.key, "error", err)
			}
			return nil
		})
	}
	return sends.Wait()
}

// republish publishes something of ours once more.
func (d *DHT) republish(ctx context.Context, closest closestFunc, t ticket) error {
	p, err := d.store.Publication(ctx, t.kind, []byte(t.key))
	if errors.Is(err, store.ErrNotFound) {
		return nil // withdrawn meanwhile
	}
	var again time.Duration // 0: never
	if err != nil {
		again = jittered(republishRetry)
	} else {
		err = d.publishAgain(ctx, closest, p)
		switch {
		case err == nil:
			d.stats.republished.Add(1)
			again = early(d.cfg.RepublishInterval)
		case !d.superseded(p, err):
			again = jittered(republishRetry)
		}
	}
	return errors.Join(err, d.conclude(context.WithoutCancel(ctx), t, p, again))
}

// conclude sets when a publication that was under way is due next; with 0, it ends.
// What the user has done meanwhile prevails.
func (d *DHT) conclude(ctx context.Context, t ticket, p store.Publication, again time.Duration) error {
	d.agenda.write.Lock()
	defer d.agenda.write.Unlock()
	switch {
	case !d.agenda.current(t):
		if t.kind == store.KindProvider && !d.agenda.has(t.publicationID) {
			return d.store.RemoveProvider(ctx, []byte(t.key), string(d.self)) // withdrawn, and announced after that
		}
		return nil
	case again == 0:
		d.agenda.drop(t.publicationID)
		return d.store.Unpublish(ctx, t.kind, []byte(t.key))
	}
	next := time.Now().Add(again)
	d.agenda.add(t.publicationID, next)
	if p.Key == nil {
		return nil // it could not be read just now
	}
	p.Next = next
	return d.store.Publish(ctx, p)
}

// superseded reports whether there is no point in publishing p again: we hold
// a better value ourselves, or its validator does not accept it any more. That
// others say so is not enough: they have to show it. That there is no validator now
// is not enough neither.
func (d *DHT) superseded(p store.Publication, err error) bool {
	if p.Kind != store.KindValue {
		return false
	}
	if _, none := d.validators.of(p.Key); none == nil && len(d.stillValid(p)) == 0 {
		return true
	}
	var put *PutError
	return errors.Is(err, ErrOldRecord) && !errors.As(err, &put)
}

// stillValid returns the values of a publication that its validator accepts now.
func (d *DHT) stillValid(p store.Publication) [][]byte {
	return slices.DeleteFunc(d.published(p), func(v []byte) bool { return d.validators.check(p.Key, v) != nil })
}

// publishAgain sends a publication to the peers that are closest to it now.
func (d *DHT) publishAgain(ctx context.Context, closest closestFunc, p store.Publication) error {
	if p.Kind == store.KindProvider {
		_, err := d.announce(ctx, closest, p.Key, 0)
		return err
	}
	values := d.stillValid(p)
	if len(values) == 0 {
		return ErrInvalidRecord
	}
	records := make([]protocol.Record, len(values))
	for i, v := range values {
		records[i] = d.ownRecord(p.Key, v)
	}
	receipt, err := d.put(ctx, closest, 0, records...)
	for _, refused := range receipt.Failed {
		if errors.Is(refused, ErrOldRecord) { // if that is true, the get finds the better one, and we adopt it
			_, _ = d.getValues(ctx, string(p.Key), options{}, func([]byte) {})
			if again := d.accepts(ctx, records); again != nil {
				return again
			}
			break
		}
	}
	return err
}
