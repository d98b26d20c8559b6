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

	"github.com/go-kad/kad/host/internal/find"
)

// advertiseTTL is for how long an advertisement is good if the caller does not
// say; the routing discovery of go-libp2p uses the same.
const advertiseTTL = 3 * time.Hour

// NamespaceCID returns the CID under which the peers of a rendezvous namespace
// announce themselves: the one that the routing discovery of go-libp2p uses, so
// that both find each other. It fails for the empty namespace.
func NamespaceCID(ns string) (cid.Cid, error) { return find.NamespaceCID(ns) }

// Advertise announces that this node can be found under a namespace, and returns for
// how long: the option TTL, 3h by default, at most Config.RecordAge. Advertise again
// before that is over: unlike an announcement of [DHT.Announce], an advertisement is not
// published again by itself. Peers with another implementation may keep it for longer.
//
// The error is that of [DHT.Announce]: a [*PutError] if no peer stored it.
func (d *DHT) Advertise(ctx context.Context, ns string, opts ...discovery.Option) (time.Duration, error) {
	_, ttl, err := d.advertise(ctx, ns, opts...)
	return ttl, err
}

// advertise is [DHT.Advertise] with the receipt.
func (d *DHT) advertise(ctx context.Context, ns string, opts ...discovery.Option) (Receipt, time.Duration, error) {
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
	ttl := cmp.Or(o.Ttl, advertiseTTL)
	if d.cfg.RecordAge > 0 {
		ttl = min(ttl, d.cfg.RecordAge)
	}
	ctx, end := d.tasks.Begin(ctx)
	defer end()
	receipt, err := d.publish.Announce(ctx, []byte(c.Hash()), ttl)
	if err != nil {
		return receiptOf(receipt), 0, public(err)
	}
	return receiptOf(receipt), ttl, nil
}

// FindPeers looks for peers that advertise a namespace, without this node. The channel
// is closed when the k closest peers have been asked, or when as many are found
// as the option Limit says. It waits for readiness first, and fails with a
// [*NotReadyError]; to see later errors, use [DHT.Discover]. Cancel ctx if you do
// not read to the end.
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
	return channel(ctx, d.tasks, d.Discover(ctx, ns, o.Limit)), nil
}

// Discover yields the peers that advertise a namespace, each once, without this node;
// if limit is above 0, no more than that. An error comes last. It looks once:
// peers that come later are found by calling it again.
func (d *DHT) Discover(ctx context.Context, ns string, limit int) iter.Seq2[peer.AddrInfo, error] {
	c, err := NamespaceCID(ns)
	if err != nil {
		return func(yield func(peer.AddrInfo, error) bool) { yield(peer.AddrInfo{}, err) }
	}
	return d.Providers(ctx, c, limit)
}
