package holder

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// maxServedProviders bounds the providers in one answer. More of them are spread over
// the answers: each has others.
const maxServedProviders = 200

// Announcement returns the request that announces us for a key. It is good for a
// lifetime; 0 means as long as holders keep any.
func (h *Holder) Announcement(key []byte, lifetime time.Duration, now time.Time) protocol.AddProvider {
	return h.Announcements()(key, lifetime, now)
}

// Announcements returns what Announcement does, with the addresses that the node has now: to
// collect and to rank them takes as long as to sign one announcement. What it makes shares them.
func (h *Holder) Announcements() func(key []byte, lifetime time.Duration, now time.Time) protocol.AddProvider {
	self := []protocol.Peer{{ID: h.self, Addrs: h.cfg.Table.RankOwn(h.cfg.Host.Addrs())}}
	private := h.cfg.Host.Peerstore().PrivKey(h.self)
	return func(key []byte, lifetime time.Duration, now time.Time) protocol.AddProvider {
		proof := announce.Proof{Network: h.cfg.Protocol, Key: key, Published: now, Lifetime: lifetime}.Sign(private)
		if proof == nil {
			h.unsigned.Do(func() {
				log.Warnw("announcements of this node are not signed, since its peerstore has no key of it that can sign: holders keep them, and do not pass them on")
			})
		}
		return protocol.AddProvider{Key: key, Providers: self, Proof: proof}
	}
}

// Provide has us answer for a key at once, for a lifetime; 0 means until
// StopProviding. A full store is no error.
func (h *Holder) Provide(ctx context.Context, key []byte, lifetime time.Duration, now time.Time) error {
	var until time.Time
	if lifetime > 0 {
		until = now.Add(lifetime)
	}
	return tolerateFull(h.makingRoom(ctx, store.KindProvider, key, func() error {
		return h.cfg.Store.AddProvider(ctx, key, store.Provider{ID: string(h.self), Received: now, Expires: until})
	}))
}

// Provides returns nil if an announcement of ours is stored, and [store.ErrNotFound] if not.
func (h *Holder) Provides(ctx context.Context, key []byte, now time.Time) error {
	_, err := h.cfg.Store.Provider(ctx, key, string(h.self), now)
	return err
}

// StopProviding removes what Provide has stored.
func (h *Holder) StopProviding(ctx context.Context, key []byte) error {
	return h.cfg.Store.RemoveProvider(ctx, key, string(h.self))
}

// Known returns the providers of a key that a search of ours begins with, without
// addresses if the announcement has none.
func (h *Holder) Known(ctx context.Context, key []byte, now time.Time) ([]protocol.Peer, error) {
	stored, err := h.cfg.Store.Providers(ctx, key, now, 0)
	if err != nil {
		return nil, err
	}
	providers := make([]protocol.Peer, len(stored))
	for i, p := range stored {
		providers[i] = providerOf(p, announce.ParseKept(p.Addrs), now)
	}
	return providers, nil
}

// providerOf returns the provider of an announcement.
func providerOf(p store.Provider, kept announce.Kept, now time.Time) protocol.Peer {
	if provider, ok := kept.Peer(now); ok {
		return provider
	}
	return protocol.Peer{ID: peer.ID(p.ID)}
}

// Presence returns the presence of a peer that is held, with its addresses and its
// certificate; false if there is none.
func (h *Holder) Presence(ctx context.Context, id peer.ID, now time.Time) (protocol.Peer, bool) {
	p, err := h.cfg.Store.Provider(ctx, []byte(id), string(id), now)
	if err != nil {
		return protocol.Peer{}, false
	}
	return announce.ParseKept(p.Addrs).Peer(now)
}

// Providers returns the providers that an answer has of a key, with the addresses that
// the requester can use. If there are more than an answer holds, each answer has
// others. It puts them into providers, which is empty, if that has room.
func (h *Holder) Providers(ctx context.Context, providers []protocol.EncodedPeer, from From, key []byte, now time.Time) ([]protocol.EncodedPeer, error) {
	stored, err := h.cfg.Store.Providers(ctx, key, now, 0)
	if err != nil {
		return nil, err
	}
	rest := stored
	if i := slices.IndexFunc(stored, func(p store.Provider) bool { return p.ID == string(key) }); i >= 0 {
		stored[0], stored[i] = stored[i], stored[0] // a presence: a requester of the key wants that first
		rest = stored[1:]
	}
	if len(stored) > maxServedProviders {
		rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	}
	byTurns(rest)
	stored = stored[:min(len(stored), maxServedProviders)]
	providers = slices.Grow(providers, len(stored))
	for _, p := range stored {
		id := peer.ID(p.ID)
		if id == from.ID && string(key) != p.ID {
			continue // it knows itself; a requester of its own presence wants to know what is held
		}
		wire := announce.ParseKept(p.Addrs).For(now, from.At)
		if wire == nil {
			wire = h.cfg.Table.Announcement(id).For(from.At) // ours has none; the host may know more of others
		}
		if wire == nil {
			wire = protocol.AppendPeer(nil, protocol.Peer{ID: id}) // the requester may find it
		}
		providers = append(providers, h.Encoded(id, wire))
	}
	return providers, nil
}

// byTurns orders announcements so that their origins take turns: however many came from one
// network, the ones of the others are in an answer, and among its first.
func byTurns(list []store.Provider) {
	if len(list) < 2 {
		return
	}
	turns := make(map[uint64]int) // how many of each origin came before
	turn := make(map[string]int, len(list))
	for _, p := range list {
		if p.Origin != 0 {
			turn[p.ID] = turns[p.Origin]
			turns[p.Origin]++
		}
	}
	slices.SortStableFunc(list, func(a, b store.Provider) int { return cmp.Compare(turn[a.ID], turn[b.ID]) })
}
