package host

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// maxNewcomers bounds the peers that wait for what they are to hold. Those
	// beyond it get it when it is replicated.
	maxNewcomers = 1024

	// maxFailures is after how many failures in a row a newcomer is given up.
	maxFailures = 3

	// handoverTimeout bounds the hand-over to one newcomer, so that slow ones do not
	// keep others waiting. What is left then comes with the next replication.
	handoverTimeout = 5 * time.Minute

	// handoverUnit is how many bytes of values are handed over in the time of one
	// record: a large one takes that of several, so that newcomers, whoever they are,
	// do not make us send megabytes a second.
	handoverUnit = 16 << 10
)

// weight returns how many bytes of values a request stores.
func weight(req protocol.Request) (bytes int) {
	if put, ok := req.(protocol.PutValue); ok {
		for _, rec := range recordsIn(put) {
			bytes += len(rec.Value)
		}
	}
	return bytes
}

// newcomers are the peers that have come into the table and are to be given what
// they should hold.
type newcomers struct {
	queue []routing.Contact
	given map[peer.ID]time.Time // when one was given everything for the last time
}

// handOver gives those who came into the table what they are to hold. While we join,
// it is we who are new, and not those whom we meet.
func (k *keeper) handOver(now time.Time, entered []routing.Contact) {
	n := &k.newcomers
	for _, c := range entered {
		if k.dht.cfg.HandoverRate > 0 && !k.dht.joins.running() && len(n.queue) < maxNewcomers {
			n.queue = append(n.queue, c)
		}
	}
	for len(n.queue) > 0 && k.room(handoverJob) > 0 {
		c := n.queue[0]
		n.queue = n.queue[1:]
		if n.again(now, c.ID, k.dht.cfg.ReplicateInterval) {
			continue
		}
		k.start(handoverJob,
			func(ctx context.Context) error { return k.dht.handOverTo(ctx, c) },
			func(err error) {
				if err != nil {
					log.Debugw("hand-over", "peer", c.ID, "error", err)
				}
			})
	}
}

// again reports whether a peer was given everything not long ago, and remembers that
// it is now: who comes and goes is not given everything each time.
func (n *newcomers) again(now time.Time, id peer.ID, age time.Duration) bool {
	if n.given == nil {
		n.given = make(map[peer.ID]time.Time)
	}
	if age <= 0 {
		age = time.Hour
	}
	if at, ok := n.given[id]; ok && now.Sub(at) < age {
		return true
	}
	if len(n.given) >= maxNewcomers {
		clear(n.given)
	}
	n.given[id] = now
	return false
}

// handOverTo sends a newcomer what it is among the k closest to, as far as we are
// the closest of the others.
func (d *DHT) handOverTo(ctx context.Context, c routing.Contact) error {
	ctx, cancel := context.WithTimeout(ctx, handoverTimeout)
	defer cancel()
	prefix, bits := d.peers.ownPrefix(c.Key)
	pace := time.NewTicker(time.Second / time.Duration(d.cfg.HandoverRate))
	defer pace.Stop()
	failures := 0
	return d.eachHeld(ctx, prefix, bits, func(kind store.Kind, key []byte) error {
		if !d.peers.handsOver(routing.KeyOf(key), c.Key) {
			return nil
		}
		requests, err := d.copies(ctx, kind, key)
		if err != nil {
			return err
		}
		for _, req := range requests {
			for range 1 + weight(req)/handoverUnit {
				select {
				case <-pace.C:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			err := d.store1(ctx, nil, c, req)
			switch {
			case err == nil:
				failures = 0
				d.stats.handedOver.Add(1)
			case errors.Is(err, ErrRefused): // it has a better one, or no room
				failures = 0
			default:
				if failures++; failures == maxFailures {
					return err
				}
			}
		}
		return nil
	})
}

// eachHeld calls visit with each key of which we hold something and that begins with
// so many bits of a prefix.
func (d *DHT) eachHeld(ctx context.Context, prefix routing.Key, bits int, visit func(kind store.Kind, key []byte) error) error {
	first := firstPlace(prefix, bits)
	for _, kind := range []store.Kind{store.KindValue, store.KindProvider} {
		for from := first; ; {
			keys, err := d.heldKeys(ctx, kind, from, replicateBatch)
			if err != nil {
				return err
			}
			for _, key := range keys {
				if routing.KeyOf(key).CPL(prefix) < bits { // past the end
					keys = nil
					break
				}
				if err := visit(kind, key); err != nil {
					return err
				}
				from = store.After(key)
			}
			if len(keys) == 0 {
				break
			}
		}
	}
	return nil
}

// firstPlace returns where in the order of the store the keys begin that share so
// many bits with a prefix.
func firstPlace(prefix routing.Key, bits int) []byte {
	place := make([]byte, 8)
	binary.BigEndian.PutUint64(place, binary.BigEndian.Uint64(prefix[:8])&^(^uint64(0)>>bits))
	return place
}

// copies returns the requests that give what we hold under a key to another peer.
func (d *DHT) copies(ctx context.Context, kind store.Kind, key []byte) (requests []protocol.Request, err error) {
	now := time.Now()
	if kind == store.KindValue {
		held, err := d.heldValues(ctx, key, now)
		if err != nil {
			return nil, err
		}
		if put, ok := copyOf(key, held, now); ok {
			requests = append(requests, put)
		}
		return requests, nil
	}
	providers, err := d.store.Providers(ctx, key, now, 0)
	for _, p := range providers {
		if p.ID == string(d.self) {
			requests = append(requests, d.announceRequest(key, left(p.Expires, now)))
		} else if req, ok := d.passOn(key, p, now); ok {
			requests = append(requests, req)
		}
	}
	return requests, err
}

// left returns the time until something expires; 0 if it never does.
func left(expires, now time.Time) time.Duration {
	if expires.IsZero() {
		return 0
	}
	return expires.Sub(now)
}

// Leave is [DHT.Close] for a node that does not come back soon. Before it closes, it
// gives each record that it holds to the peer that is among the k closest to it once
// we are gone, for as long as ctx lasts; 10s if that has no deadline. A node that is
// closed without it leaves that to those who hold the same records, and who do it
// within Config.ReplicateInterval.
//
// The error is that of Close. What was not handed over in time is not an error.
func (d *DHT) Leave(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, readyTimeout)
		defer cancel()
	}
	if d.cfg.HandoverRate > 0 && d.peers.isLive() {
		leaving, end := d.begin(ctx)
		err := d.handOverAll(leaving)
		end()
		if err != nil {
			log.Debugw("leave", "error", err)
		}
	}
	return d.Close()
}

// handOverAll gives what we hold to those who are to hold it when we are gone.
func (d *DHT) handOverAll(ctx context.Context) error {
	near := newSurvey(d)
	var sends errgroup.Group
	sends.SetLimit(d.cfg.Alpha)
	err := d.eachHeld(ctx, d.peers.self, 0, func(kind store.Kind, key []byte) error {
		closest, err := near.closest(ctx, key, nil)
		if err != nil {
			log.Debugw("not handed over", "key", key, "error", err)
			return context.Cause(ctx) // others may be luckier
		}
		if len(d.withUs(routing.KeyOf(key), closest)) == len(closest) {
			return nil // all who are to hold it are there already
		}
		heir := closest[len(closest)-1]
		requests, err := d.copies(ctx, kind, key)
		for _, req := range requests {
			if add, ok := req.(protocol.AddProvider); ok && add.Providers[0].ID == d.self {
				continue // we are going
			}
			sends.Go(func() error {
				if d.store1(ctx, nil, heir, req) == nil {
					d.stats.handedOver.Add(1)
				}
				return nil
			})
		}
		return err
	})
	return errors.Join(err, sends.Wait())
}
