package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/routing"
)

// joinLookups is how many buckets are refreshed at a time while joining.
const joinLookups = 4

// Bootstrap joins the network: it connects to the bootstrap peers, looks up our
// own ID, and refreshes every bucket farther away than the closest neighbour.
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
	var refreshes errgroup.Group
	refreshes.SetLimit(joinLookups)
	for _, cpl := range d.peers.refreshCPLs() {
		refreshes.Go(func() error { return d.refresh(ctx, cpl) })
	}
	return refreshes.Wait()
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

// dialAll connects to the bootstrap peers and to the contacts of the last time,
// and introduces them and whoever is connected and serves. It returns a channel
// that is closed when all that are waited for have answered or failed; that goes
// on whatever becomes of the caller.
func (d *DHT) dialAll() <-chan struct{} {
	done := make(chan struct{})
	var dials sync.WaitGroup
	dial := func(f func(ctx context.Context)) {
		dials.Add(1)
		started := d.tasks.run(func(ctx context.Context) {
			defer dials.Done()
			f(ctx)
		})
		if !started {
			dials.Done()
		}
	}
	for _, info := range d.absent() {
		dial(func(ctx context.Context) { _ = d.dialBootstrap(ctx, info) })
	}
	for _, info := range d.restored {
		if info.ID == d.self {
			continue
		}
		restore := func(ctx context.Context) { _ = d.dial(ctx, info) }
		if len(d.cfg.Bootstrap) == 0 {
			dial(restore)
		} else {
			d.tasks.run(restore) // nobody waits for those that are gone
		}
	}
	for _, id := range d.host.Network().Peers() {
		if d.met(id) {
			dial(func(ctx context.Context) { _ = d.greet(ctx, id) })
		}
	}
	if !d.tasks.run(func(context.Context) { dials.Wait(); close(done) }) {
		close(done)
	}
	return done
}

// absent returns the bootstrap peers that are not in the table.
func (d *DHT) absent() []peer.AddrInfo {
	return slices.DeleteFunc(slices.Clone(d.cfg.Bootstrap), func(info peer.AddrInfo) bool {
		return info.ID == d.self || d.peers.has(routing.ContactOf(info.ID))
	})
}

// reunite dials one of the bootstrap peers that are not in the table. If it
// answers, we may have been apart from its part of the network: a bootstrap peer
// that has restarted knows nobody, and waits for somebody who knows it.
func (d *DHT) reunite(ctx context.Context) error {
	absent := d.absent()
	if len(absent) == 0 {
		return nil
	}
	info := absent[rand.IntN(len(absent))]
	if err := d.dialBootstrap(ctx, info); err != nil {
		return err
	}
	if !d.peers.has(routing.ContactOf(info.ID)) {
		return nil // it answers, and there is no room for it: we are not apart
	}
	return d.lookupFor(ctx, []byte(d.self))
}

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
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	// Forced, for the swarm remembers a failed dial for longer than we wait.
	if err := d.host.Connect(network.WithForceDirectDial(ctx, "bootstrap"), info); err != nil {
		return dialError(err)
	}
	if !d.speaks(info.ID) {
		known, _ := d.host.Peerstore().GetProtocols(info.ID)
		return fmt.Errorf("kad: connected, but it does not speak %s; it %s", d.protocol, speaksOnly(known))
	}
	return d.introduce(ctx, info.ID)
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
