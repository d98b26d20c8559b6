package host

import (
	"context"
	"errors"
	"fmt"
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
	next := time.Now().Add(early(d.cfg.RepublishInterval))
	err := d.store.Publish(ctx, store.Publication{Kind: id.kind, Key: []byte(id.key), Data: data, Next: next})
	if err != nil {
		log.Warnw("not published again: the store cannot keep it", "error", err) // somebody must see to the disk
		return
	}
	d.agenda.add(id, next)
	poke(d.keeper.wake)
}

// unpublish ends the publication of something. It does not come back, even if it
// is being published at this moment.
func (d *DHT) unpublish(ctx context.Context, id publicationID) error {
	d.agenda.drop(id)
	return d.store.Unpublish(ctx, id.kind, []byte(id.key))
}

// early returns d less up to a tenth, so that what was published together is
// not for ever published at the same moment, and nothing late.
func early(d time.Duration) time.Duration {
	return d - rand.N(d/10+1)
}

// resumePublications reads the publications of the last time into the agenda.
func (d *DHT) resumePublications(ctx context.Context) error {
	for _, kind := range []store.Kind{store.KindValue, store.KindProvider} {
		var after []byte
		for {
			batch, err := d.store.Publications(ctx, kind, after, 0)
			if err != nil {
				return fmt.Errorf("kad: reading what is to be published again: %w", err)
			}
			if len(batch) == 0 {
				break
			}
			for _, p := range batch {
				d.agenda.add(publicationID{kind, string(p.Key)}, p.Next)
			}
			after = batch[len(batch)-1].Key
		}
	}
	return nil
}

// republish publishes something of ours once more.
func (d *DHT) republish(ctx context.Context, id publicationID) error {
	p, err := d.store.Publication(ctx, id.kind, []byte(id.key))
	if errors.Is(err, store.ErrNotFound) {
		d.agenda.drop(id)
		return nil // withdrawn meanwhile
	}
	if err != nil {
		return err
	}
	err = d.publishAgain(ctx, p)
	if d.superseded(p, err) {
		log.Debugw("superseded", "key", id.key, "error", err)
		return d.unpublish(ctx, id)
	}
	p.Next = time.Now().Add(early(d.cfg.RepublishInterval))
	if err != nil {
		p.Next = time.Now().Add(jittered(republishRetry))
	} else {
		d.stats.republished.Add(1)
	}
	if !d.agenda.resume(id, p.Next) {
		return err // withdrawn meanwhile
	}
	err = errors.Join(err, d.store.Publish(ctx, p))
	if !d.agenda.has(id) { // withdrawn at this very moment
		err = errors.Join(err, d.store.Unpublish(ctx, id.kind, p.Key))
	}
	return err
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
		_, err = d.announce(ctx, p.Key)
	} else {
		_, err = d.put(ctx, protocol.Record{Key: p.Key, Value: p.Data, TimeReceived: time.Now()}, 0)
	}
	return err
}
