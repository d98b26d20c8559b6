package find

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multihash"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// errNoNamespace is returned for an empty rendezvous namespace.
var errNoNamespace = errors.New(`kad: empty namespace: name what is to be found, for example "my-app/lobby"`)

// NamespaceCID returns the CID under which the peers of a rendezvous namespace
// announce themselves: the one that the routing discovery of go-libp2p uses.
func NamespaceCID(ns string) (cid.Cid, error) {
	if ns == "" {
		return cid.Undef, errNoNamespace
	}
	hash, err := multihash.Sum([]byte(ns), multihash.SHA2_256, -1)
	if err != nil {
		return cid.Undef, fmt.Errorf("kad: hashing a namespace: %w", err)
	}
	return cid.NewCidV1(cid.Raw, hash), nil
}

// selfKey is the key under which a context says that a search for providers names this node.
type selfKey struct{}

// WithSelf returns a context with which Providers yields this node too.
func WithSelf(ctx context.Context) context.Context { return context.WithValue(ctx, selfKey{}, true) }

// Providers yields the peers that announced a key, each once, as they are found,
// without this node, unless ctx is from WithSelf. With a limit above 0, it ends when so many
// are found. An error comes last: a [*lookup.UnansweredError] if none is found, and few of
// the closest peers answered.
func (f *Finder) Providers(ctx context.Context, key []byte, limit int) iter.Seq2[peer.AddrInfo, error] {
	return f.ProvidersOfEach(ctx, key, limit, 0)
}

// ProvidersOfEach is Providers with up to so many of each holder that no other one has named
// before; 0 is any number. A holder that names many which it has made up hides none then.
func (f *Finder) ProvidersOfEach(ctx context.Context, key []byte, limit, each int) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		p := &providers{finder: f, limit: limit, each: each, yield: yield, named: make(map[peer.ID]bool), times: make(map[peer.ID]int)}
		if err := p.find(ctx, key); err != nil && !p.over {
			yield(peer.AddrInfo{}, err)
		}
	}
}

// providers collects the providers of one key. It belongs to the goroutine of the
// caller.
type providers struct {
	finder  *Finder
	limit   int // 0 or less: none
	each    int // of one holder, besides what others have named; 0: any number
	yield   func(peer.AddrInfo, error) bool
	named   map[peer.ID]bool // yielded already
	unknown []peer.ID        // named without an address
	times   map[peer.ID]int  // how many holders named each of these
	over    bool             // the limit is reached, or the caller has enough
}

// find yields the providers that this node holds, then those of other holders.
func (p *providers) find(ctx context.Context, key []byte) error {
	known, err := p.finder.cfg.Holder.Known(ctx, key, time.Now())
	if err != nil {
		return err
	}
	for _, provider := range known {
		if provider.ID == p.finder.self && ctx.Value(selfKey{}) != nil {
			p.send(peer.AddrInfo{ID: provider.ID, Addrs: p.finder.cfg.Host.Addrs()})
		}
		if p.found(provider); p.over {
			return nil
		}
	}
	s, err := p.finder.cfg.Lookup.Prepare(ctx, key, protocol.GetProviders{Key: key}, lookup.Plan{})
	if errors.Is(err, kaderr.ErrSingle) {
		return p.resolve(ctx)
	}
	if err != nil {
		return err
	}
	s.Lacks = p.none
	s.Heard = func(_ routing.Contact, resp protocol.Response) {
		before := len(p.named) + len(p.unknown)
		for _, provider := range resp.Providers {
			if p.each > 0 && len(p.named)+len(p.unknown)-before >= p.each {
				return
			}
			lookup.PublishEvent(ctx, &lrouting.QueryEvent{
				Type: lrouting.Provider, ID: provider.ID, Responses: []*peer.AddrInfo{{ID: provider.ID, Addrs: provider.Addrs}},
			})
			if p.found(provider); p.over {
				s.Lookup().Stop()
				return
			}
		}
	}
	result, err := s.Run(ctx)
	if err != nil || p.over {
		return err
	}
	if p.none() {
		if err := result.Enough(); err != nil {
			return err
		}
	}
	return p.resolve(ctx)
}

// none reports whether no provider besides this node was named.
func (p *providers) none() bool {
	others := len(p.named) + len(p.unknown)
	if p.named[p.finder.self] {
		others--
	}
	return others == 0
}

// found yields a provider, or keeps it for later if it has no address.
func (p *providers) found(provider protocol.Peer) {
	id := provider.ID
	if id == p.finder.self || p.named[id] || p.over {
		return
	}
	info := peer.AddrInfo{ID: id, Addrs: provider.Addrs}
	if len(info.Addrs) == 0 {
		info.Addrs = p.finder.cfg.Host.Peerstore().Addrs(id)
	}
	if len(info.Addrs) == 0 {
		switch {
		case p.times[id] > 0:
			p.times[id]++
		case len(p.unknown) < maxUnknown:
			p.unknown, p.times[id] = append(p.unknown, id), 1
		}
		return
	}
	p.send(info)
}

// send yields a provider.
func (p *providers) send(info peer.AddrInfo) {
	p.named[info.ID] = true
	p.over = !p.yield(info, nil) || len(p.named) == p.limit
}

// maxResolved bounds the providers without an address that are looked up, each of which
// costs a lookup, maxUnknown the ones of which they are chosen, and resolveLimit the lookups
// at a time.
const (
	maxResolved  = 32
	maxUnknown   = 4 * protocol.MaxProviders
	resolveLimit = 4
)

// resolve looks up the providers that no holder named with an address, the ones that most
// holders named: a holder alone may make up any number.
func (p *providers) resolve(ctx context.Context) error {
	unknown := slices.DeleteFunc(p.unknown, func(id peer.ID) bool { return p.named[id] })
	slices.SortStableFunc(unknown, func(a, b peer.ID) int { return cmp.Compare(p.times[b], p.times[a]) })
	unknown = unknown[:min(len(unknown), maxResolved)]
	infos := make([]*peer.AddrInfo, len(unknown))
	for i, id := range unknown {
		infos[i] = &peer.AddrInfo{ID: id}
	}
	err := tasks.Each(ctx, resolveLimit, slices.Values(infos), func(ctx context.Context, info *peer.AddrInfo) error {
		found, err := p.finder.Peer(ctx, info.ID)
		if err != nil {
			log.Debugw("provider without address", "peer", info.ID, "error", err)
		}
		info.Addrs = found.Info().Addrs
		return nil
	})
	for _, info := range infos {
		if !p.over {
			p.send(*info)
		}
	}
	return err
}
