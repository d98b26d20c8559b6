package host

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// republishRetry is when a publication is tried again that nobody has stored.
const republishRetry = 10 * time.Minute

// publish keeps something that we have published, to publish it again. That it
// cannot be kept is no reason to fail: it is published.
func (d *DHT) publish(ctx context.Context, id publicationID, data []byte) {
	if d.cfg.RepublishInterval < 0 {
		return
	}
	p := store.Publication{
		Kind: id.kind,
		Key:  []byte(id.key),
		Data: data,
		Next: time.Now().Add(early(d.cfg.RepublishInterval)),
	}
	// What was published is kept, even if the time of the caller is over.
	if err := d.keep(context.WithoutCancel(ctx), id, p); err != nil {
		log.Warnw("not published again: the store cannot keep it", "error", err) // somebody must see to the disk
	}
	poke(d.keeper.wake)
}

// keep sets when a publication is due next.
func (d *DHT) keep(ctx context.Context, id publicationID, p store.Publication) error {
	d.agenda.write.Lock()
	defer d.agenda.write.Unlock()
	if err := d.store.Publish(ctx, p); err != nil {
		return err
	}
	d.agenda.add(id, p.Next)
	return nil
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

// republish publishes something of ours once more.
func (d *DHT) republish(ctx context.Context, t ticket) error {
	p, err := d.store.Publication(ctx, t.kind, []byte(t.key))
	if errors.Is(err, store.ErrNotFound) {
		return nil // withdrawn meanwhile
	}
	var again time.Duration // 0: never
	if err != nil {
		again = jittered(republishRetry)
	} else {
		err = d.publishAgain(ctx, p)
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
// others say so is not enough, and that there is no validator now neither.
func (d *DHT) superseded(p store.Publication, err error) bool {
	if p.Kind != store.KindValue {
		return false
	}
	if _, none := d.validators.of(p.Key); none == nil && d.validators.check(p.Key, p.Data) != nil {
		return true
	}
	var put *PutError
	return errors.Is(err, ErrOldRecord) && !errors.As(err, &put)
}

// publishAgain sends a publication to the peers that are closest to it now.
func (d *DHT) publishAgain(ctx context.Context, p store.Publication) (err error) {
	if p.Kind == store.KindProvider {
		_, err = d.announce(ctx, p.Key, time.Time{})
	} else {
		_, err = d.put(ctx, protocol.Record{Key: p.Key, Value: p.Data, TimeReceived: time.Now()}, 0)
	}
	return err
}
