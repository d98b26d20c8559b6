package host

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// replicateSteps is in how many steps a round goes through the store at most, so
	// that what it costs is spread over the interval.
	replicateSteps = 60

	// replicatePart is how many keys are worth a step.
	replicatePart = 16

	// replicateBurst bounds the keys that one step looks at beyond its part, because
	// they share lookups with those of its part.
	replicateBurst = 256

	// replicateBatch is how many keys are read from the store at a time, and
	// replicating how many of them are sent at a time, so that one slow peer does not
	// keep the others waiting.
	replicateBatch = 64
	replicating    = 8
)

// A replicator goes through all that the node holds, once in ReplicateInterval, and
// sends what nobody has sent meanwhile to the peers closest to it. Nodes go through
// their stores at different times, so that one of the holders of a record is the
// first, and the others, who get it from there, leave it alone. What is due follows
// from when each record was received, which the store knows: nothing else has to be
// kept, also not for after a restart.
//
// It belongs to the goroutine maintain, and while a step runs, to that.
type replicator struct {
	dht    *DHT
	survey *survey

	next  time.Time // when to do the next step; zero: not decided yet
	round time.Time // when the next round begins
	kind  store.Kind
	from  []byte // where in the store to go on
}

// replicateIfDue does a step of the round.
func (k *keeper) replicateIfDue(now time.Time) time.Time {
	r := &k.replicate
	interval := k.dht.cfg.ReplicateInterval
	if interval < 0 || !k.join.done || k.room(replicateJob) == 0 {
		return time.Time{}
	}
	if r.next.IsZero() {
		*r = replicator{dht: k.dht, survey: newSurvey(k.dht), kind: store.KindValue, next: now.Add(rand.N(interval))}
		r.round = r.next
	}
	if now.Before(r.next) {
		return r.next
	}
	values, providers := k.dht.store.Len()
	steps := min((values+providers)/replicatePart+1, replicateSteps)
	part := (values+providers)/steps + 1
	var ended bool
	k.start(replicateJob,
		func(ctx context.Context) (err error) {
			ended, err = r.step(ctx, part)
			return err
		},
		func(err error) {
			if err != nil {
				log.Debugw("replicate", "error", err)
			}
			if r.next = time.Now().Add(interval / time.Duration(steps)); ended {
				r.round = r.round.Add(jittered(interval))
				if r.next = r.round; r.next.Before(time.Now()) {
					r.round = time.Now() // it took longer than the interval
				}
			}
		})
	return time.Time{}
}

// step goes through the next part of the store, so many keys. It reports whether
// that was the last one of the round.
func (r *replicator) step(ctx context.Context, part int) (ended bool, err error) {
	var sent atomic.Bool
	var sends errgroup.Group
	sends.SetLimit(replicating)
	defer func() { err = errors.Join(err, sends.Wait()) }()
	for seen := 0; ; {
		keys, err := r.dht.heldKeys(ctx, r.kind, r.from, replicateBatch)
		if err != nil {
			return false, err
		}
		if len(keys) == 0 {
			if r.kind == store.KindProvider {
				r.kind, r.from = store.KindValue, nil
				return true, nil
			}
			r.kind, r.from = store.KindProvider, nil
			continue
		}
		for _, key := range keys {
			if seen >= part && (!sent.Load() || seen >= part+replicateBurst || !r.survey.known(key)) {
				return false, nil
			}
			if ctx.Err() != nil {
				return false, context.Cause(ctx)
			}
			seen++
			r.from = store.After(key)
			kind := r.kind
			sends.Go(func() error {
				did, err := r.dht.replicate(ctx, r.survey.closest, kind, key)
				if err != nil {
					log.Debugw("not replicated", "key", key, "error", err)
				}
				if did {
					sent.Store(true)
				}
				return nil
			})
		}
	}
}

// heldKeys returns keys of which we hold something of a kind, in the order of the key
// space, from a place on.
func (d *DHT) heldKeys(ctx context.Context, kind store.Kind, from []byte, limit int) (keys [][]byte, err error) {
	if kind == store.KindProvider {
		return d.store.ProviderKeys(ctx, time.Now(), from, limit)
	}
	values, err := d.store.Values(ctx, time.Now(), from, limit)
	for _, v := range values {
		keys = append(keys, v.Key)
	}
	return keys, err
}

// replicate sends what we hold under a key to the peers that are closest to it, if
// nobody has sent it to us for ReplicateInterval. It reports whether it did. What
// is nearer to k others than to us we then forget: it is theirs, and they keep it
// alive.
func (d *DHT) replicate(ctx context.Context, closest closestFunc, kind store.Kind, key []byte) (bool, error) {
	if due, err := d.due(ctx, kind, key); err != nil || len(due) == 0 {
		return false, err
	}
	to, err := closest(ctx, key, nil)
	if err != nil {
		return false, err
	}
	to = d.withUs(routing.KeyOf(key), to)
	due, err := d.due(ctx, kind, key) // somebody may have been faster than the lookup
	if err != nil || len(due) == 0 || len(to) == 0 {
		return false, err
	}
	theirs := len(to) == d.cfg.K
	old := false
	for _, req := range due {
		receipt := d.send(ctx, to, req, (len(to)+1)/2) // who is slow is sent it all the same
		better := 0
		for _, err := range receipt.Failed {
			if errors.Is(err, ErrOldRecord) {
				better++
			}
		}
		old = old || better > 0
		if have := len(receipt.Stored) + better; have == 0 || theirs && have < len(to)/2 {
			continue
		}
		d.stats.replicated.Add(1)
		if err := d.replicated(ctx, req, theirs); err != nil {
			return true, err
		}
	}
	if old && !theirs { // somebody has a better one: the get brings it here, and to all others
		_, err = d.getValues(ctx, string(key), options{}, func([]byte) {})
	}
	return true, err
}

// withUs returns those of the k closest peers that are still among them if we
// count too.
func (d *DHT) withUs(key routing.Key, closest []routing.Contact) []routing.Contact {
	last := len(closest) - 1
	if len(closest) == d.cfg.K && key.Compare(d.peers.self, closest[last].Key) < 0 {
		return closest[:last]
	}
	return closest
}

// due returns the requests that replicate what we hold under a key and was not sent
// to us for ReplicateInterval. What we publish ourselves has a clock of its own.
func (d *DHT) due(ctx context.Context, kind store.Kind, key []byte) (due []protocol.Request, err error) {
	now := time.Now()
	since := now.Add(-d.cfg.ReplicateInterval)
	if kind == store.KindValue {
		held, err := d.heldValues(ctx, key, now)
		if err != nil || !slices.ContainsFunc(held, func(v store.Value) bool { return !v.Received.After(since) }) {
			return nil, err
		}
		if len(held) == 1 && d.agenda.has(publicationID{kind, string(key)}) {
			return nil, nil
		}
		if put, ok := copyOf(key, held, now); ok {
			due = append(due, put)
		}
		return due, nil
	}
	providers, err := d.store.Providers(ctx, key, now, 0)
	for _, p := range providers {
		if p.ID == string(d.self) || p.Received.After(since) {
			continue
		}
		if req, ok := d.passOn(key, p, now); ok {
			due = append(due, req)
		}
	}
	return due, err
}

// replicated records that what a request stores was sent to its holders: as if
// somebody had sent it to us, or, if it is theirs alone, as if it had expired.
func (d *DHT) replicated(ctx context.Context, req protocol.Request, theirs bool) error {
	now := time.Now()
	mark := func(received, expires *time.Time) {
		if theirs {
			*expires = now
		} else {
			*received = now
		}
	}
	if add, ok := req.(protocol.AddProvider); ok {
		defer d.announcing.lock(add.Key)()
		p, err := d.store.Provider(ctx, add.Key, string(add.Providers[0].ID), now)
		if err != nil || !bytes.Equal(parseKept(p.Addrs).proof, add.Proof) {
			return nil // it is gone, or there is another one now
		}
		mark(&p.Received, &p.Expires)
		return d.store.AddProvider(ctx, add.Key, p)
	}
	put, _ := req.(protocol.PutValue)
	key := put.Record.Key
	sent := recordsIn(put)
	err := d.store.UpdateValue(ctx, key, now, func(current store.Value, ok bool) (store.Value, error) {
		held := d.validators.unpack(key, current, now)
		if !ok || len(held) == 0 {
			return store.Value{}, store.ErrNotFound
		}
		for i, v := range held {
			if slices.ContainsFunc(sent, func(r protocol.Record) bool { return bytes.Equal(r.Value, v.Data) }) {
				mark(&held[i].Received, &held[i].Expires)
			}
		}
		return d.validators.pack(key, held), nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil // it is gone
	}
	return err
}
