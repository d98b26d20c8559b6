package holder

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// Announced holds an announcement: of the sender itself, or one of another provider,
// which the sender can only pass on with its proof.
func (h *Holder) Announced(ctx context.Context, from From, add protocol.AddProvider, now time.Time) error {
	defer h.announcing.Lock(add.Key).Unlock()
	if i := slices.IndexFunc(add.Providers, func(p protocol.Peer) bool { return p.ID == from.ID }); i >= 0 {
		return h.announcedItself(ctx, now, from, add, add.Providers[i])
	}
	if len(add.Providers) == 0 || len(add.Proof) == 0 || !announce.MayProvide(add.Providers[0].ID, add.Key) {
		return kaderr.ErrBadProvider
	}
	return h.passedOn(ctx, now, from, add, add.Providers[0])
}

// announcedItself holds what a peer announces of itself.
func (h *Holder) announcedItself(ctx context.Context, now time.Time, from From, add protocol.AddProvider, p protocol.Peer) error {
	signed, err := announce.Read(add.Proof, h.cfg.Protocol, add.Key)
	if err == nil && signed.Lifetime == announce.Withdrawn { // whatever the clock of the peer says
		return h.cfg.Store.RemoveProvider(ctx, add.Key, string(p.ID))
	}
	if err == nil {
		signed, err = h.good(now, p.ID, signed)
	}
	wire := from.Last.Brief(add.Key, p, from.At, now, h.cfg.Table.Proved(p.ID)...)
	if wire.For(from.At) == nil || !announce.MayProvide(p.ID, add.Key) {
		return kaderr.ErrBadProvider
	}
	kept := announce.Kept{Published: now, Wire: wire}
	var lifetime time.Duration
	// The connection proves the sender, so that the signature is not looked at before the
	// announcement is passed on: see Copies. Without a proof that is good now, as from a peer
	// with a wrong clock, it is held and not passed on.
	if err == nil {
		kept.Published, kept.Proof, lifetime = signed.Published, add.Proof, signed.Remaining(now)
	}
	return h.hold(ctx, now, from.ID, add.Key, h.entry(from.ID, p.ID, kept), lifetime)
}

// passedOn holds what another peer than the sender has announced, unless a later
// announcement of that peer is held. Addresses may be missing: a requester looks them
// up.
func (h *Holder) passedOn(ctx context.Context, now time.Time, from From, add protocol.AddProvider, p protocol.Peer) error {
	if p.ID == h.self {
		return kaderr.ErrBadProvider // we know best
	}
	signed, err := announce.Verify(add.Proof, p.ID, h.cfg.Protocol, add.Key)
	if err == nil {
		signed, err = h.good(now, p.ID, signed)
	}
	if err != nil {
		return err
	}
	if announce.IsPresence(p.ID, add.Key) {
		p.Addrs = nil // it is all about them: only the peer itself may say where it is
		if c, err := announce.VerifyCertificate(p.Certified, p.ID, now); err == nil {
			p.Addrs = c.Addrs
		}
	}
	kept := announce.Kept{
		Published: signed.Published,
		Wire:      announce.Brief(add.Key, announce.Restrict(p, from.At), now, h.cfg.Table.Proved(p.ID)...),
		Proof:     add.Proof,
	}
	next := h.entry(from.ID, p.ID, kept)
	held, err := h.cfg.Store.Provider(ctx, add.Key, string(p.ID), now)
	switch {
	case err == nil:
		have := announce.ParseKept(held.Addrs)
		if have.Published.After(signed.Published) {
			return nil
		}
		if len(have.Wire) > 0 && (have.Published.Equal(signed.Published) || len(kept.Wire) == 0) {
			kept.Wire = have.Wire // from the provider, or from the first that passed it on
			next.Addrs = kept.Marshal()
		}
		next.Origin = shareOf(held, next.Origin)
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	return h.hold(ctx, now, from.ID, add.Key, next, signed.Remaining(now))
}

// good returns what the provider has signed about its announcement, with the lifetime that it
// has here, if that is not over. A withdrawal is not good, since only the provider itself may
// withdraw.
func (h *Holder) good(now time.Time, id peer.ID, signed announce.Proof) (announce.Proof, error) {
	if signed.Published.After(now.Add(announce.MaxSkew)) || signed.Lifetime == announce.Withdrawn {
		return signed, kaderr.ErrBadProof // it would outlive what a holder keeps, or came from another peer
	}
	age := h.cfg.RecordAge
	if announce.IsPresence(id, signed.Key) && (age < 0 || age > announce.PresenceLifetime) {
		age = announce.PresenceLifetime
	}
	if signed.Lifetime > 0 && (age < 0 || signed.Lifetime < age) {
		age = signed.Lifetime
	}
	if age > 0 {
		if signed.Lifetime = age; signed.Remaining(now) <= 0 {
			return signed, kaderr.ErrExpired
		}
	}
	return signed, nil
}

// ownOrigin is the bit of an origin that is set if the provider itself has sent the announcement.
const ownOrigin = 1

// entry returns an announcement of a provider that came from a peer, as it is stored. Its
// origin is the network of that peer, or the peer itself; what peers announce of themselves
// does not share places with what the same network passes on.
func (h *Holder) entry(from, provider peer.ID, kept announce.Kept) store.Provider {
	origin := numberOf(cmp.Or(h.quota.networkOf(from).group, string(from))) &^ ownOrigin
	if from == provider {
		origin |= ownOrigin
	}
	return store.Provider{ID: string(provider), Addrs: kept.Marshal(), Origin: origin}
}

// numberOf returns a number of a name. A stranger does not find another name with that number.
func numberOf(name string) uint64 {
	var room [64]byte // for most names
	sum := sha256.Sum256(append(room[:0], name...))
	return binary.BigEndian.Uint64(sum[:])
}

// shareOf returns the origin of an announcement that is held, and that a peer of another origin
// has passed on. What the provider itself has sent stays in its share. Else it is one
// of the two, by chance: a peer that passes on the announcements of others beside many of its
// own has few of the others in its share, when more peers pass them on.
func shareOf(held store.Provider, origin uint64) uint64 {
	rank := func(origin uint64) uint64 { return numberOf(held.ID + strconv.FormatUint(origin, 16)) }
	if held.Origin&ownOrigin != 0 || held.Origin != 0 && rank(held.Origin) < rank(origin) {
		return held.Origin
	}
	return origin
}

// roomy reports whether the store has room for more announcements than the shares of the peers
// are.
func (h *Holder) roomy() bool {
	s, ok := h.cfg.Store.(store.Gauge)
	return ok && s.Filled(store.KindProvider) < roomyUntil
}

// hold holds an announcement that came from a peer, for a lifetime; 0 means that
// the peer gave none. A presence lasts for [announce.PresenceLifetime] at most: see good.
func (h *Holder) hold(ctx context.Context, now time.Time, from peer.ID, key []byte, p store.Provider, lifetime time.Duration) error {
	if announce.IsPresence(peer.ID(p.ID), key) && lifetime == 0 {
		lifetime = announce.PresenceLifetime
	}
	p.Received, p.Expires = now, h.expiry(now, key, from, lifetime)
	added := len(key) + len(p.ID) + len(p.Addrs)
	if held, err := h.cfg.Store.Provider(ctx, key, p.ID, now); err == nil {
		added = len(p.Addrs) - len(held.Addrs)
	}
	charged, err := h.quota.charge(now, from, added, h.roomy())
	if err != nil {
		return err
	}
	err = h.makingRoom(ctx, store.KindProvider, key, func() error { return h.cfg.Store.AddProvider(ctx, key, p) })
	if err != nil && !errors.Is(err, errInVain) {
		h.quota.refund(now, charged)
	}
	return err
}
