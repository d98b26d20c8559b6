package host

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
)

// providerKey returns the key of the providers of c: its multihash, so that the
// codec of a CID does not matter.
func providerKey(c cid.Cid) ([]byte, error) {
	if !c.Defined() {
		return nil, errNoCID
	}
	key := []byte(c.Hash())
	if len(key) > protocol.MaxProviderKey {
		return nil, fmt.Errorf("kad: the multihash of %s has %d bytes, the limit is %d", c, len(key), protocol.MaxProviderKey)
	}
	return key, nil
}

// Provide announces that this node has the content of c. With broadcast, it is
// [DHT.Announce] without the receipt. Without broadcast, the announcement is stored on this
// node alone, which gives it to peers that ask.
func (d *DHT) Provide(ctx context.Context, c cid.Cid, broadcast bool) (err error) {
	if broadcast {
		_, err = d.Announce(ctx, c)
		return err
	}
	ctx, op, err := begin(ctx, d, observe.Announce)
	if err != nil {
		return err
	}
	defer func() { op.ended(err) }()
	key, err := providerKey(c)
	if err != nil {
		return err
	}
	return public(d.holder.Provide(ctx, key, 0, op.began))
}

// Announce announces to the k peers closest to c that this node has its content. The
// receipt says which peers stored that, and why others did not. Announce returns when
// three quarters of k peers have stored it, and the others had the time in which answers
// usually come; the rest goes on: see [Receipt.Wait]. The error is a [*PutError] if no
// peer stored it.
//
// An announcement is published again every Config.RepublishInterval, until
// [DHT.StopProviding]. Each peer is sent the addresses of the host that it can use; a peer
// on the public internet refuses an announcement without any.
//
// Spec: libp2p kad-dht, "Content provider advertisement".
func (d *DHT) Announce(ctx context.Context, c cid.Cid) (receipt Receipt, err error) {
	ctx, op, err := begin(ctx, d, observe.Announce)
	if err != nil {
		return Receipt{}, err
	}
	defer func() { op.ended(err) }()
	key, err := providerKey(c)
	if err != nil {
		return Receipt{}, err
	}
	sent, err := d.publish.Announce(ctx, op.began, key, 0)
	return receiptOf(sent), op.public(err)
}

// StopProviding takes back an announcement of this node, as far as that can be done: it
// is not published again, and this node does not answer with it. Holders forget it after
// their record age, since the protocol has no request for that.
func (d *DHT) StopProviding(ctx context.Context, c cid.Cid) error {
	ctx, end, err := d.tasks.Begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	key, err := providerKey(c)
	if err != nil {
		return err
	}
	return public(d.publish.StopProviding(ctx, key))
}

// FindProvidersAsync is [DHT.Providers] as a channel, which is closed at the
// end. An error ends it too: use Providers to see it, or the query events of ctx, of which
// the last one is a QueryError without a peer then. Cancel ctx if you do not read to the end.
func (d *DHT) FindProvidersAsync(ctx context.Context, c cid.Cid, count int) <-chan peer.AddrInfo {
	return channel(ctx, d.tasks, d.Providers(ctx, c, count))
}

// channel sends what peers yields to a channel.
func channel(ctx context.Context, group *tasks.Group, peers iter.Seq2[peer.AddrInfo, error]) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	started := group.Go(func(closing context.Context) {
		defer close(out)
		for info, err := range peers {
			if err != nil {
				log.Debugw("find providers", "error", err)
				tellEnd(ctx, group, err)
				return
			}
			select {
			case out <- info:
			case <-ctx.Done():
				return
			case <-closing.Done():
				return
			}
		}
	})
	if !started {
		close(out)
	}
	return out
}

// tellEnd gives the listener to the query events of ctx, if there is one, the error that ended an
// operation whose channel cannot say it. It waits until the event is read, the time of ctx is
// over, or the node is being closed.
func tellEnd(ctx context.Context, group *tasks.Group, err error) {
	ctx, end, closed := group.Begin(ctx)
	defer end()
	if closed == nil {
		lookup.PublishEvent(ctx, &lrouting.QueryEvent{Type: lrouting.QueryError, Extra: err.Error()})
	}
}

// WithSelf returns a context with which Providers, FindProvidersAsync, Discover and FindPeers
// yield this node, too, while it provides what is looked for. Without it, they yield other
// peers only: a program knows what it has announced, and need not dial itself.
func WithSelf(ctx context.Context) context.Context { return find.WithSelf(ctx) }

// Providers looks for the peers that announced that they have the content of c. It yields
// each once, as soon as it is found, but not this node: see [WithSelf]. It ends when the k
// closest peers have been asked or, if count is above 0, when count providers are found.
// An error comes last: a [*NotReadyError], the cause of ctx, or [ErrUnanswered] if no
// provider was found, and at most half of the closest peers answered. So an end without a
// provider and without an error says that there is none.
//
// Providers that no peer names with an address come last: up to 32 of them, with the
// addresses that a lookup finds, or without any.
//
// Spec: libp2p kad-dht, "Content provider discovery".
func (d *DHT) Providers(ctx context.Context, c cid.Cid, count int) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		ctx, op, err := begin(ctx, d, observe.Providers)
		if err != nil {
			yield(peer.AddrInfo{}, err)
			return
		}
		defer func() { op.ended(err) }()
		key, err := providerKey(c)
		if err != nil {
			yield(peer.AddrInfo{}, err)
			return
		}
		for info, failed := range d.find.Providers(ctx, key, count) {
			err = op.public(failed)
			if !yield(info, err) {
				return
			}
		}
	}
}

// advertiseTTL is how long an advertisement lasts if the caller does not say; the
// routing discovery of go-libp2p uses the same.
const advertiseTTL = 3 * time.Hour

// NamespaceCID returns the CID under which the peers of a rendezvous namespace
// announce themselves: the one that the routing discovery of go-libp2p uses, so
// that both find each other. It fails for the empty namespace.
func NamespaceCID(ns string) (cid.Cid, error) { return find.NamespaceCID(ns) }

// Advertise announces that this node can be found under a namespace, and returns for
// how long: the option TTL, 3h by default, at most Config.RecordAge. Advertise again
// before that is over: unlike [DHT.Announce], the node does not repeat an advertisement by
// itself; [DHT.Join] does. Peers with another implementation may keep it for longer.
//
// The error is that of [DHT.Announce]: a [*PutError] if no peer stored it.
func (d *DHT) Advertise(ctx context.Context, ns string, opts ...discovery.Option) (time.Duration, error) {
	_, ttl, err := d.advertise(ctx, ns, opts...)
	return ttl, err
}

// advertise is [DHT.Advertise] with the receipt.
func (d *DHT) advertise(ctx context.Context, ns string, opts ...discovery.Option) (receipt Receipt, ttl time.Duration, err error) {
	ctx, op, err := begin(ctx, d, observe.Announce)
	if err != nil {
		return Receipt{}, 0, err
	}
	defer func() { op.ended(err) }()
	var o discovery.Options
	if err := o.Apply(opts...); err != nil {
		return Receipt{}, 0, err
	}
	if o.Ttl < 0 {
		return Receipt{}, 0, fmt.Errorf("kad: TTL %v is negative", o.Ttl)
	}
	c, err := NamespaceCID(ns)
	if err != nil {
		return Receipt{}, 0, err
	}
	ttl = cmp.Or(o.Ttl, advertiseTTL)
	if d.cfg.RecordAge > 0 {
		ttl = min(ttl, d.cfg.RecordAge)
	}
	sent, err := d.publish.Announce(ctx, op.began, []byte(c.Hash()), ttl)
	if err != nil {
		return receiptOf(sent), 0, op.public(err)
	}
	return receiptOf(sent), ttl, nil
}

// FindPeers is [DHT.Discover] as a channel; the option Limit is the most peers to find. The
// channel is closed at the end. FindPeers waits until the node is ready first, and fails with
// a [*NotReadyError] if it is not; to see later errors, use Discover, or the query events of
// ctx, as with [DHT.FindProvidersAsync]. Cancel ctx if you do not read to the end.
func (d *DHT) FindPeers(ctx context.Context, ns string, opts ...discovery.Option) (<-chan peer.AddrInfo, error) {
	var o discovery.Options
	if err := o.Apply(opts...); err != nil {
		return nil, err
	}
	if _, err := NamespaceCID(ns); err != nil {
		return nil, err
	}
	if err := d.table.ReadyWithin(ctx); err != nil {
		return nil, public(err)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return channel(ctx, d.tasks, d.Discover(ctx, ns, o.Limit)), nil
}

// Discover yields the peers that advertise a namespace, each once, but not this node: see
// [WithSelf]. If limit is above 0, it yields at most so many. An error comes last, as in
// [DHT.Providers]. It searches once: to find peers that come later, call it again, or use
// [DHT.Join].
func (d *DHT) Discover(ctx context.Context, ns string, limit int) iter.Seq2[peer.AddrInfo, error] {
	c, err := NamespaceCID(ns)
	if err != nil {
		return func(yield func(peer.AddrInfo, error) bool) { yield(peer.AddrInfo{}, err) }
	}
	return d.Providers(ctx, c, limit)
}
