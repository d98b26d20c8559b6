package publish

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/internal/validate"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// A Config has the rooms that a Publisher uses, and its settings.
type Config struct {
	Self      peer.ID
	Store     store.Store
	Rules     validate.Rules
	Holder    *holder.Holder
	Lookup    *lookup.Engine
	Deliver   *deliver.Sender
	Find      *find.Finder
	Observer  *observe.Observer
	Reach     *reach.Reach
	Tasks     *tasks.Group
	RecordAge time.Duration
	Interval  time.Duration // negative: nothing is published again
	Wake      func()        // wakes the loop; does not block

	// Unsettled reports whether the node may know only some of the peers of a small network,
	// and until when.
	Unsettled func(now time.Time) (until time.Time, is bool)
}

// A Publisher publishes values and announcements of ours, and publishes them again. It
// is safe for concurrent use.
type Publisher struct {
	cfg         Config
	agenda      agenda
	republished atomic.Uint64
	outcomes    outcomes

	writing tasks.Stripes // held while a publication changes both in the agenda and in the store
}

// New returns a Publisher. Resume gives it the publications of the store.
func New(cfg Config) *Publisher { return &Publisher{cfg: cfg} }

// Has reports whether something is published again.
func (p *Publisher) Has(kind store.Kind, key []byte) bool {
	return p.agenda.has(publicationID{kind, string(key)})
}

// Len returns how many publications there are.
func (p *Publisher) Len() int { return p.agenda.len() }

// Republished returns how many records and announcements were published again.
func (p *Publisher) Republished() uint64 { return p.republished.Load() }

// Put delivers a value to the k peers closest to its key, over disjoint paths if paths
// is above 1, and holds it here. Once a peer has stored it, it is published again until
// StopPublishing.
func (p *Publisher) Put(ctx context.Context, now time.Time, key, value []byte, paths, quorum int) (deliver.Receipt, error) {
	p.outcomes.first.Add(1)
	receipt, err := p.put(ctx, now, p.cfg.Lookup.Closest(paths), quorum, p.record(now, key, value))
	if len(receipt.Stored) > 0 {
		p.keep(ctx, now, publicationID{store.KindValue, string(key)}, value, receipt)
	}
	p.outcomes.firstEnded(ctx, store.KindValue, key, err)
	return receipt, err
}

// PutOffline holds a value here alone.
func (p *Publisher) PutOffline(ctx context.Context, now time.Time, key, value []byte) error {
	return p.cfg.Holder.Store(ctx, now, p.cfg.Self, p.record(now, key, value))
}

// record returns a record of ours, made now.
func (p *Publisher) record(now time.Time, key, value []byte) protocol.Record {
	return protocol.Record{
		Key: key, Value: value,
		TimeReceived: now, Publisher: []byte(p.cfg.Self), TTL: max(0, p.cfg.RecordAge),
	}
}

// put delivers records of ours, of one key, to the k closest peers. They are held here
// once one of these peers is found.
func (p *Publisher) put(ctx context.Context, now time.Time, closest lookup.Closest, quorum int, records ...protocol.Record) (deliver.Receipt, error) {
	if err := p.cfg.Holder.Accepts(ctx, now, records); err != nil {
		return deliver.Receipt{}, err
	}
	hold := func() error { return p.cfg.Holder.StoreOwn(ctx, now, records...) }
	receipt, err := p.cfg.Deliver.ToClosest(ctx, closest, records[0].Key, holder.PutOf(records), quorum, hold)
	if errors.Is(err, kaderr.ErrSingle) {
		if receipt, err = p.storeAlone(ctx, now, records); err != nil {
			return receipt, err
		}
	}
	return receipt, p.tell(ctx, "value", records[0].Key, receipt, quorum, err)
}

// tell tells how a delivery went, and returns its error: err, or too few peers have stored it.
func (p *Publisher) tell(ctx context.Context, kind string, key []byte, receipt deliver.Receipt, quorum int, err error) error {
	if err == nil {
		err = receipt.Check(ctx, quorum)
	}
	if p.cfg.Observer.Watched() {
		what := events.Published{Kind: kind, Key: hex.EncodeToString(key), Stored: len(receipt.Stored), Wanted: receipt.Wanted}
		if err != nil {
			what.Reason = err.Error()
		}
		p.cfg.Observer.Tell(what)
	}
	return err
}

// storeAlone stores records as the only server.
func (p *Publisher) storeAlone(ctx context.Context, now time.Time, records []protocol.Record) (deliver.Receipt, error) {
	if err := p.cfg.Holder.Store(ctx, now, p.cfg.Self, records...); err != nil {
		return deliver.Receipt{}, err // there is no other holder, so a full store is an error
	}
	return p.byUs(), nil
}

// announcedAlone is storeAlone for an announcement that is stored here, unless there was no room.
func (p *Publisher) announcedAlone(ctx context.Context, now time.Time, key []byte) (deliver.Receipt, error) {
	err := p.cfg.Holder.Provides(ctx, key, now)
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("kad: this node is the only server of its network, and has no room for the announcement: %w", store.ErrFull)
	}
	if err != nil {
		return deliver.Receipt{}, err
	}
	return p.byUs(), nil
}

// byUs returns the receipt for what this node has stored as the only server.
func (p *Publisher) byUs() deliver.Receipt {
	return deliver.Receipt{Stored: []peer.ID{p.cfg.Self}, Wanted: 1}
}

// StopPublishing ends the publication of a value: it is not published again. Holders
// keep it until it expires, and so do we.
func (p *Publisher) StopPublishing(ctx context.Context, key []byte) error {
	return p.drop(ctx, publicationID{store.KindValue, string(key)})
}

// Announce announces us to the k peers closest to a key, and has us answer for it, for
// a lifetime. A lifetime of 0 means until StopProviding: once a peer has stored the
// announcement, it is published again.
func (p *Publisher) Announce(ctx context.Context, now time.Time, key []byte, lifetime time.Duration) (deliver.Receipt, error) {
	p.outcomes.first.Add(1)
	receipt, err := p.announce(ctx, now, key, lifetime)
	p.outcomes.firstEnded(ctx, store.KindProvider, key, err)
	return receipt, err
}

// announce is Announce without the outcome.
func (p *Publisher) announce(ctx context.Context, now time.Time, key []byte, lifetime time.Duration) (deliver.Receipt, error) {
	if err := p.cfg.Holder.Provide(ctx, key, lifetime, now); err != nil {
		return deliver.Receipt{}, err
	}
	if err := p.cfg.Reach.AwaitAddr(ctx); err != nil {
		return deliver.Receipt{}, err
	}
	add := p.cfg.Holder.Announcement(key, lifetime, now)
	receipt, err := p.cfg.Deliver.ToClosest(ctx, p.cfg.Lookup.Closest(0), key, add, 0, nil)
	if errors.Is(err, kaderr.ErrSingle) {
		receipt, err = p.announcedAlone(ctx, now, key)
	}
	err = p.tell(ctx, "announcement", key, receipt, 0, err)
	if lifetime == 0 && len(receipt.Stored) > 0 {
		p.keep(ctx, now, publicationID{store.KindProvider, string(key)}, nil, receipt)
	}
	return receipt, err
}

// StopProviding takes back an announcement: we do not publish it again, and do not
// answer for it. Other holders keep it until it expires, because the protocol has no
// request that ends it.
func (p *Publisher) StopProviding(ctx context.Context, key []byte) error {
	return errors.Join(
		p.drop(ctx, publicationID{store.KindProvider, string(key)}),
		p.cfg.Holder.StopProviding(ctx, key))
}

// keep keeps a publication, to publish it again. It does not fail: the value or the
// announcement is published already.
func (p *Publisher) keep(ctx context.Context, now time.Time, id publicationID, data []byte, receipt deliver.Receipt) {
	if p.cfg.Interval < 0 {
		return
	}
	if _, _, err := p.save(ctx, id, data, p.again(now, id, receipt), p.agenda.add); err != nil {
		log.Warnw("not published again: the store cannot keep it", "error", err) // a matter of the disk
		return
	}
	p.cfg.Wake()
}

// again returns when a publication that is published now, with that receipt, is published again:
// after the interval at most.
//
// A little less than the interval is the whole key space, and each key has its place in it,
// where it is published from then on. So publications that are near each other in the key space
// come together, and share lookups; and the work is spread over the interval from the first
// one on, also if all were published at once. What was published just ahead of its place, with
// others, has the next one.
//
// What is published while the node is unsettled is published again when it has settled: some
// of the k closest peers may be unknown until then. What was cut off, because this node was closed
// meanwhile or had no room for it, is published again soon.
func (p *Publisher) again(now time.Time, id publicationID, receipt deliver.Receipt) time.Time {
	if p.cfg.Interval <= 0 {
		return now
	}
	if receipt.CutOff() {
		return now.Add(min(p.cfg.Interval, tasks.Jittered(republishRetry)))
	}
	if until, is := p.cfg.Unsettled(now); is {
		return until
	}
	slack := p.cfg.Interval / republishSlack
	round := p.cfg.Interval - slack
	part := float64(binary.BigEndian.Uint64(store.Place([]byte(id.key)))) / math.MaxUint64
	place := time.Duration(part * float64(round))
	wait := (place - time.Duration(now.UnixNano())%round + round) % round
	if wait <= slack {
		wait += round
	}
	return now.Add(wait)
}

// save adds a publication to the store, and to the agenda with add. It returns a ticket for it, and
// what the store has now. The error is that of the store, which cannot keep it.
func (p *Publisher) save(ctx context.Context, id publicationID, data []byte, next time.Time, add func(id publicationID, at time.Time) uint32) (t ticket, pub store.Publication, err error) {
	defer p.writing.Lock([]byte(id.key)).Unlock()
	ctx = context.WithoutCancel(ctx) // it is kept even if the time of the caller is over
	if data, err = p.withPublished(ctx, id, data); err != nil {
		return t, pub, err
	}
	pub = store.Publication{Kind: id.kind, Key: []byte(id.key), Data: data, Next: next}
	if err := p.cfg.Store.Publish(ctx, pub); err != nil {
		return t, pub, err
	}
	return ticket{id, add(id, pub.Next)}, pub, nil
}

// withPublished returns the data to publish again: data, or, of a key that holds several
// values, all that we have published. The error is that of the store, which cannot say what that
// is: without it, the earlier values would be lost.
func (p *Publisher) withPublished(ctx context.Context, id publicationID, data []byte) ([]byte, error) {
	key := []byte(id.key)
	if id.kind != store.KindValue || !p.cfg.Rules.Multi(key) {
		return data, nil
	}
	values := [][]byte{data}
	switch pub, err := p.cfg.Store.Publication(ctx, id.kind, key); {
	case err == nil:
		values = append(values, p.values(pub)...)
	case !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrCorrupt):
		return nil, err
	}
	merged, err := p.cfg.Rules.Merge(key, values, nil) // prefer is for keys of one value
	if err != nil {
		merged = [][]byte{data} // the others are not valid any more
	}
	set := make([]store.Value, len(merged))
	for i, v := range merged {
		set[i].Data = v
	}
	return p.cfg.Rules.Pack(key, set).Data, nil
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
	defer p.writing.Lock([]byte(id.key)).Unlock()
	p.agenda.drop(id)
	return p.cfg.Store.Unpublish(ctx, id.kind, []byte(id.key))
}

// Resume reads the publications of an earlier run from the store, unless nothing is
// published again. A publication that is due later than the interval allows was written
// while the clock was ahead: it is due now.
func (p *Publisher) Resume(ctx context.Context) {
	if p.cfg.Interval < 0 {
		return
	}
	p.agenda.fill(func(now time.Time, add func(id publicationID, at time.Time)) {
		for _, kind := range []store.Kind{store.KindValue, store.KindProvider} {
			for pub := range p.published(ctx, kind) {
				wait := pub.Next.Sub(now)
				if wait > p.cfg.Interval {
					wait = 0
				}
				add(publicationID{kind, string(pub.Key)}, now.Add(wait))
			}
		}
	})
}

// published yields the publications of a kind that the store has.
func (p *Publisher) published(ctx context.Context, kind store.Kind) iter.Seq[store.Publication] {
	return func(yield func(store.Publication) bool) {
		var after []byte
		for {
			batch, err := p.cfg.Store.Publications(ctx, kind, after, 0)
			if err != nil {
				log.Warnw("some publications are not published again", "kind", kind, "error", err) // a matter of the disk
			}
			if len(batch) == 0 {
				return
			}
			for _, pub := range batch {
				if !yield(pub) {
					return
				}
			}
			after = batch[len(batch)-1].Key
		}
	}
}
