package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/routing"
)

// Bootstrap joins the network: it connects to the bootstrap peers, looks up our
// own ID, and fills every bucket farther away than the closest neighbours.
// It returns when that is done, or a [*NotReadyError] if nobody answered.
//
// There is no need to call it: a DHT joins by itself, tries again while its
// routing table is empty or we are offline, and every operation waits until that
// is over.
//
// Spec: libp2p kad-dht, "Bootstrap process".
func (d *DHT) Bootstrap(ctx context.Context) error {
	ctx, end := d.begin(ctx)
	defer end()
	return d.join(ctx)
}

// joins is the join that is under way, if there is one: whoever wants another
// meanwhile shares it.
type joins struct {
	mu  sync.Mutex
	now *joinRun
}

// A joinRun is a join that is under way.
type joinRun struct {
	done chan struct{} // closed at the end
	err  error         // to be read after that
}

// share returns the join that is under way. If there is none, start starts one.
func (j *joins) share(start func(end func(error)) bool) *joinRun {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.now != nil {
		return j.now
	}
	run := &joinRun{done: make(chan struct{})}
	end := func(err error) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.now = nil
		run.err = err
		close(run.done)
	}
	if start(end) {
		j.now = run
	} else {
		run.err = ErrClosed
		close(run.done)
	}
	return run
}

// running reports whether a join is under way.
func (j *joins) running() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.now != nil
}

// join joins the network, or waits for the join that is under way: it is what
// Bootstrap does, and maintain at the start and whenever the table is empty.
func (d *DHT) join(ctx context.Context) error {
	run := d.joins.share(func(end func(error)) bool {
		return d.tasks.run(func(ctx context.Context) { end(d.joinOnce(ctx)) })
	})
	select {
	case <-run.done:
		return run.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// joined returns nil as soon as lookups work, and a [*NotReadyError] if the join that
// is under way, or about to begin for the first time, has not led to that; at once
// between attempts.
func (d *DHT) joined(ctx context.Context) error {
	if d.stats.joins.Load() == 0 || d.joins.running() {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		over := make(chan struct{})
		d.tasks.run(func(context.Context) { defer close(over); _ = d.join(ctx) })
		select {
		case <-over:
		case <-d.peers.becomesLive():
		case <-ctx.Done():
		case <-d.tasks.ctx.Done():
		}
	}
	if d.tasks.closed() {
		return ErrClosed
	}
	if !d.peers.isLive() {
		return d.notReady(context.Cause(ctx))
	}
	return nil
}

// joinOnce joins the network.
func (d *DHT) joinOnce(ctx context.Context) error {
	d.stats.joins.Add(1)
	d.diagnosis.forget()
	select {
	case <-d.dialAll():
	case <-d.peers.becomesLive(): // one is enough to go on; the others are dialled meanwhile
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if !d.peers.isLive() {
		return d.notReady(nil)
	}
	if err := d.lookupFor(ctx, []byte(d.self)); err != nil {
		return err
	}
	return d.fill(ctx)
}

// refresh looks up a random key of a bucket.
func (d *DHT) refresh(ctx context.Context, cpl int) error {
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	return d.lookupFor(ctx, routing.Preimage(d.peers.self, cpl, rng))
}

// lookupFor looks a preimage up for the sake of the table alone.
func (d *DHT) lookupFor(ctx context.Context, preimage []byte) error {
	if !d.peers.isLive() {
		return d.notReady(nil) // at once: waiting is for those who want an answer
	}
	_, err := d.lookup(ctx, preimage, plan{})
	return err
}

const (
	// maxRevived bounds the former contacts that one attempt to join dials, and
	// reviveLimit those that it dials at a time.
	maxRevived  = routing.MaxDeparted
	reviveLimit = 64

	// fallbackAfter is how long the peers that are connected and former contacts
	// have before the bootstrap peers are dialled.
	fallbackAfter = time.Second
)

// dialAll introduces whoever is connected and serves, and the contacts of before,
// all at the same time; and if none of them answers, the bootstrap peers. It
// returns a channel that is closed when all that are waited for have answered or
// failed; that goes on whatever becomes of the caller.
func (d *DHT) dialAll() <-chan struct{} {
	done := make(chan struct{})
	started := d.tasks.run(func(ctx context.Context) {
		defer close(done)
		var near, far errgroup.Group
		revived := make(chan struct{})
		if !d.tasks.run(func(ctx context.Context) { defer close(revived); d.revive(ctx) }) {
			return
		}
		for _, id := range d.host.Network().Peers() {
			if d.met(id) {
				near.Go(func() error { _ = d.greet(ctx, id); return nil })
			}
		}
		d.fallBack(ctx, revived)
		for _, info := range d.absent() {
			if d.peers.isLive() {
				break
			}
			far.Go(func() error { _ = d.dialBootstrap(ctx, info); return nil })
		}
		_, _ = near.Wait(), far.Wait()
		if len(d.cfg.Bootstrap) == 0 {
			<-revived
		}
	})
	if !started {
		close(done)
	}
	return done
}

// fallBack waits until it is time for the bootstrap peers: at once if there are no
// former contacts, or all have failed.
func (d *DHT) fallBack(ctx context.Context, revived <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, fallbackAfter)
	defer cancel()
	select {
	case <-revived:
	case <-d.peers.becomesLive():
	case <-ctx.Done():
	}
}

// revive dials former contacts: all of them at the start, and a few of them later,
// when it was tried before.
func (d *DHT) revive(ctx context.Context) {
	n := maxRevived
	if d.stats.joins.Load() > 1 {
		n = maxRevived / 16
	}
	var dials errgroup.Group
	dials.SetLimit(reviveLimit)
	for _, c := range d.peers.drawFormer(n) {
		if ctx.Err() != nil {
			break
		}
		dials.Go(func() error { _ = d.dialContact(ctx, c); return nil })
	}
	_ = dials.Wait()
}

// dialContact connects to a former contact, and introduces it to the table.
func (d *DHT) dialContact(ctx context.Context, c routing.Contact) error {
	p, err := announcement(c.Wire).peer()
	if err != nil {
		return err
	}
	return d.dial(ctx, peer.AddrInfo{ID: c.ID, Addrs: p.Addrs})
}

// absent returns the bootstrap peers that are not in the table.
func (d *DHT) absent() []peer.AddrInfo {
	return slices.DeleteFunc(slices.Clone(d.cfg.Bootstrap), func(info peer.AddrInfo) bool {
		return info.ID == d.self || d.peers.has(routing.ContactOf(info.ID))
	})
}

// reunite dials one of the bootstrap peers that are not in the table, and some
// former contacts. If one of them answers, we may have been apart from its part of
// the network: a bootstrap peer that has restarted knows nobody, and waits for
// somebody who knows it; and those who were cut off together know but each other.
func (d *DHT) reunite(ctx context.Context) error {
	var dials errgroup.Group
	try := func(id peer.ID, dial func() error) {
		dials.Go(func() error {
			if err := dial(); err != nil {
				return err
			}
			if !d.peers.has(routing.ContactOf(id)) {
				return nil // it answers, and there is no room for it: we are not apart
			}
			return d.lookupFor(ctx, []byte(d.self))
		})
	}
	if absent := d.absent(); len(absent) > 0 {
		info := absent[rand.IntN(len(absent))]
		try(info.ID, func() error { return d.dialBootstrap(ctx, info) })
	}
	n := 1
	if d.small() {
		n = maxReunited
	}
	for _, c := range d.peers.drawFormer(n) {
		try(c.ID, func() error { return d.dialContact(ctx, c) })
	}
	return dials.Wait()
}

// maxReunited bounds the former contacts that are dialled at a time while the
// table is small.
const maxReunited = 4

// dialBootstrap connects to a bootstrap peer, introduces it to the table, and
// notes what became of that.
func (d *DHT) dialBootstrap(ctx context.Context, info peer.AddrInfo) error {
	err := d.dial(ctx, info)
	if ctx.Err() == nil {
		d.diagnosis.dialled(info.ID, err)
	}
	return err
}

// dial connects to a peer and introduces it to the table.
func (d *DHT) dial(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := d.withCheckTimeout(ctx)
	defer cancel()
	d.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
	d.afresh(info.ID) // the swarm remembers a failed dial for longer than we wait
	if err := d.connect(ctx, info.ID); err != nil {
		return dialError(err)
	}
	d.identified(ctx, info.ID)
	if known, _ := d.host.Peerstore().GetProtocols(info.ID); len(known) > 0 && !d.speaks(info.ID) {
		return fmt.Errorf("kad: connected, but it does not speak %s; it %s", d.protocol, speaksOnly(known))
	}
	return d.introduce(ctx, info.ID)
}

// identified waits until the host knows what a peer speaks.
func (d *DHT) identified(ctx context.Context, id peer.ID) {
	s, ok := d.host.(interface{ IDService() identify.IDService })
	if !ok {
		return
	}
	for _, conn := range d.host.Network().ConnsToPeer(id) {
		select {
		case <-s.IDService().IdentifyWait(conn):
		case <-ctx.Done():
		}
	}
}

// afresh makes the next dial of a peer a new one, whatever became of others.
func (d *DHT) afresh(id peer.ID) {
	d.dialer.renew(id)
	d.forgive(id)
}

// forgive makes the swarm forget that dials of a peer have failed. To force a dial
// would do the same, but with a host that is being closed it panics.
func (d *DHT) forgive(id peer.ID) {
	if b := d.backoff(); b != nil {
		b.Clear(id)
	}
}

// backoff returns what the swarm knows of failed dials; nil if the network is no swarm.
func (d *DHT) backoff() *swarm.DialBackoff {
	if s, ok := d.host.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		return s.Backoff()
	}
	return nil
}

// dialError returns the reasons of a failed dial, one per address, without the
// words around them.
func dialError(err error) error {
	var failed *swarm.DialError
	if !errors.As(err, &failed) {
		return err
	}
	if len(failed.DialErrors) == 0 {
		return failed.Cause
	}
	var errs []error
	for _, e := range failed.DialErrors {
		errs = append(errs, fmt.Errorf("%s: %w", e.Address, e.Cause))
	}
	return errors.Join(errs...)
}
