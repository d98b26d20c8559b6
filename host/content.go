package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// errNoCID is returned for the zero CID.
var errNoCID = errors.New("kad: undefined CID")

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

// Provide announces that we have the content of c. With broadcast, it is
// [DHT.Announce] without the receipt; without, only we know of it, and tell
// those who ask us.
func (d *DHT) Provide(ctx context.Context, c cid.Cid, broadcast bool) error {
	if broadcast {
		_, err := d.Announce(ctx, c)
		return err
	}
	key, err := providerKey(c)
	if err != nil {
		return err
	}
	ctx, end := d.begin(ctx)
	defer end()
	return d.provideLocally(ctx, key, 0)
}

// Announce announces to the k peers closest to c that we have its content. The
// receipt says who stored that, and who did not and why. Announce returns when three
// quarters of k have, and the others had as long as answers take; the rest goes on:
// see [Receipt.Wait]. The error is a [*PutError] if nobody stored it.
//
// An announcement is published again every Config.RepublishInterval, until
// [DHT.StopProviding]. It names the addresses of the host that a peer can use; a peer
// on the public internet refuses one without any.
//
// Spec: libp2p kad-dht, "Content provider advertisement".
func (d *DHT) Announce(ctx context.Context, c cid.Cid) (Receipt, error) {
	ctx, end := d.begin(ctx)
	defer end()
	key, err := providerKey(c)
	if err != nil {
		return Receipt{}, err
	}
	receipt, err := d.announce(ctx, d.closestBy(0), key, 0)
	if len(receipt.Stored) > 0 {
		d.publish(ctx, publicationID{store.KindProvider, string(key)}, nil)
	}
	return receipt, err
}

// announce announces us to the k closest peers, and makes us answer ourselves, for
// a time; 0 means until we stop.
func (d *DHT) announce(ctx context.Context, closest closestFunc, key []byte, lifetime time.Duration) (Receipt, error) {
	if err := d.provideLocally(ctx, key, lifetime); err != nil {
		return Receipt{}, err
	}
	if err := d.awaitAddr(ctx); err != nil {
		return Receipt{}, err
	}
	receipt, err := d.deliver(ctx, d.announceRequest(key, lifetime), 0, nil, d.addTo(closest, key))
	if err != nil {
		return receipt, err
	}
	return receipt, receipt.check(ctx, 0)
}

// provideLocally makes us answer for a key ourselves, at once, for a time; 0 means
// until [DHT.StopProviding].
func (d *DHT) provideLocally(ctx context.Context, key []byte, lifetime time.Duration) error {
	now := time.Now()
	var until time.Time
	if lifetime > 0 {
		until = now.Add(lifetime)
	}
	return tolerateFull(d.makingRoom(ctx, store.KindProvider, key, func() error {
		return d.store.AddProvider(ctx, key, store.Provider{ID: string(d.self), Received: now, Expires: until})
	}))
}

// tolerateFull returns err unless it is that our store has no room: that
// strangers have filled it does not keep us from telling others.
func tolerateFull(err error) error {
	if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrTooLarge) {
		log.Debugw("not stored with us", "error", err)
		return nil
	}
	return err
}

// StopProviding takes back an announcement of ours, as far as that can be done: we
// do not publish it again, nor answer for it. Others forget it after their record
// age, since the protocol has no request for that.
func (d *DHT) StopProviding(ctx context.Context, c cid.Cid) error {
	ctx, end := d.begin(ctx)
	defer end()
	key, err := providerKey(c)
	if err != nil {
		return err
	}
	return errors.Join(
		d.unpublish(ctx, publicationID{store.KindProvider, string(key)}),
		d.store.RemoveProvider(ctx, key, string(d.self)))
}

// FindProvidersAsync is [DHT.Providers] as a channel, which is closed at the
// end. An error ends it too: use Providers to see it. Cancel ctx if you do not
// read to the end.
func (d *DHT) FindProvidersAsync(ctx context.Context, c cid.Cid, count int) <-chan peer.AddrInfo {
	return d.channel(ctx, d.Providers(ctx, c, count))
}

// channel sends what peers yields to a channel.
func (d *DHT) channel(ctx context.Context, peers iter.Seq2[peer.AddrInfo, error]) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	started := d.tasks.run(func(closing context.Context) {
		defer close(out)
		for info, err := range peers {
			if err != nil {
				log.Debugw("find providers", "error", err)
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

// Providers looks for the peers that announced that they have the content of c,
// and yields each once, as they are found, without us. It ends when the k
// closest peers have been asked, or, if count is above 0, when so many are
// found. An error comes last: [*NotReadyError], or the cause of ctx.
//
// Providers that were named without an address are looked up before they are
// yielded; those that cannot be found come last, without addresses.
//
// Spec: libp2p kad-dht, "Content provider discovery".
func (d *DHT) Providers(ctx context.Context, c cid.Cid, count int) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		ctx, end := d.begin(ctx)
		defer end()
		key, err := providerKey(c)
		if err != nil {
			yield(peer.AddrInfo{}, err)
			return
		}
		f := &finder{dht: d, limit: count, yield: yield, named: make(map[peer.ID]bool)}
		if err := f.find(ctx, key); err != nil && !f.over {
			yield(peer.AddrInfo{}, err)
		}
	}
}

// A finder collects providers. It belongs to the goroutine of the caller.
type finder struct {
	dht     *DHT
	limit   int // 0 or less: none
	yield   func(peer.AddrInfo, error) bool
	named   map[peer.ID]bool // yielded already
	unknown []peer.ID        // named without an address
	over    bool             // the limit is reached, or the caller has enough
}

// find yields the providers that we know of, then those that others do.
func (f *finder) find(ctx context.Context, key []byte) error {
	now := time.Now()
	known, err := f.dht.store.Providers(ctx, key, now, 0)
	if err != nil {
		return err
	}
	for _, p := range known {
		provider, ok := parseKept(p.Addrs).peer(now)
		if !ok {
			provider = protocol.Peer{ID: peer.ID(p.ID)}
		}
		if f.found(provider); f.over {
			return nil
		}
	}
	s, err := f.dht.search(ctx, key, protocol.GetProviders{Key: key}, plan{})
	if err != nil {
		return err
	}
	s.heard = func(_ routing.Contact, resp protocol.Response) {
		for _, p := range resp.Providers {
			publishEvent(ctx, &lrouting.QueryEvent{
				Type: lrouting.Provider, ID: p.ID, Responses: []*peer.AddrInfo{{ID: p.ID, Addrs: p.Addrs}},
			})
			if f.found(p); f.over {
				s.lookup.Stop()
				return
			}
		}
	}
	if _, err := s.run(ctx); err != nil || f.over {
		return err
	}
	return f.resolve(ctx)
}

// found yields a provider, or keeps it for later if it has no address.
func (f *finder) found(p protocol.Peer) {
	if p.ID == f.dht.self || f.named[p.ID] || f.over {
		return
	}
	info := peer.AddrInfo{ID: p.ID, Addrs: p.Addrs}
	if len(info.Addrs) == 0 {
		info.Addrs = f.dht.host.Peerstore().Addrs(p.ID)
	}
	if len(info.Addrs) == 0 {
		if len(f.unknown) < maxResolved && !slices.Contains(f.unknown, p.ID) {
			f.unknown = append(f.unknown, p.ID)
		}
		return
	}
	f.send(info)
}

// send yields a provider.
func (f *finder) send(info peer.AddrInfo) {
	f.named[info.ID] = true
	f.over = !f.yield(info, nil) || len(f.named) == f.limit
}

// maxResolved bounds the providers without an address that are looked up, each
// of which costs a lookup, and resolveLimit those that are at a time.
const (
	maxResolved  = 32
	resolveLimit = 4
)

// resolve looks up the providers that nobody named with an address.
func (f *finder) resolve(ctx context.Context) error {
	infos := make([]peer.AddrInfo, len(f.unknown))
	var lookups errgroup.Group
	lookups.SetLimit(resolveLimit)
	for i, id := range f.unknown {
		if f.named[id] {
			continue
		}
		lookups.Go(func() error {
			info, err := f.dht.FindPeer(ctx, id)
			if err != nil {
				log.Debugw("provider without address", "peer", id, "error", err)
			}
			infos[i] = peer.AddrInfo{ID: id, Addrs: info.Addrs}
			return nil
		})
	}
	if err := lookups.Wait(); err != nil {
		return err
	}
	for _, info := range infos {
		if info.ID != "" && !f.named[info.ID] && !f.over {
			f.send(info)
		}
	}
	return context.Cause(ctx)
}
