package host

import (
	"context"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// maxServedProviders bounds the providers in one answer. More of them are spread
// over the answers: each has others.
const maxServedProviders = 200

// errBadProvider refuses an announcement.
var errBadProvider = errors.New("kad: an announcement must name its sender, with an address that others can dial")

// announceRequest returns the request that announces us for a key. It is good for a
// time; 0 means as long as holders keep any.
func (d *DHT) announceRequest(key []byte, lifetime time.Duration) protocol.AddProvider {
	p := proof{network: d.protocol, key: key, published: time.Now(), lifetime: lifetime}
	return protocol.AddProvider{
		Key:       key,
		Providers: []protocol.Peer{{ID: d.self, Addrs: d.host.Addrs()}},
		Proof:     p.sign(d.host.Peerstore().PrivKey(d.self)),
	}
}

// passOn returns the request that passes an announcement on which we hold; false if
// nothing shows that it is the provider's own.
func (d *DHT) passOn(key []byte, p store.Provider, now time.Time) (protocol.AddProvider, bool) {
	kept := parseKept(p.Addrs)
	if len(kept.proof) == 0 {
		return protocol.AddProvider{}, false
	}
	provider, ok := kept.peer(now)
	if !ok {
		provider = protocol.Peer{ID: peer.ID(p.ID)}
	}
	return protocol.AddProvider{Key: key, Providers: []protocol.Peer{provider}, Proof: kept.proof}, true
}

// storedProviders returns the providers that we know of, with the addresses that
// the asker can use. If there are more than an answer holds, each has others.
func (d *DHT) storedProviders(ctx context.Context, from asker, key []byte) ([]protocol.EncodedPeer, error) {
	now := time.Now()
	stored, err := d.store.Providers(ctx, key, now, 0)
	if err != nil {
		return nil, err
	}
	rest := stored
	if i := slices.IndexFunc(stored, func(p store.Provider) bool { return p.ID == string(key) }); i >= 0 {
		stored[0], stored[i] = stored[i], stored[0] // its presence: who asks wants that one
		rest = stored[1:]
	}
	if len(stored) > maxServedProviders {
		rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
		stored = stored[:maxServedProviders]
	}
	providers := make([]protocol.EncodedPeer, 0, len(stored))
	for _, p := range stored {
		id := peer.ID(p.ID)
		if id == from.id && string(key) != p.ID {
			continue // it knows that itself; who asks for its own ID wants to know what others are told
		}
		wire := parseKept(p.Addrs).at(now, from.at)
		if id == d.self || wire == nil {
			wire = d.announcementOf(id).at(from.at) // ours change; of others the host may know more
		}
		if wire == nil {
			wire = protocol.AppendPeer(nil, protocol.Peer{ID: id}) // the asker may find it
		}
		providers = append(providers, d.encoded(id, wire))
	}
	return providers, nil
}

// storeProvider keeps an announcement: of the sender, or one that somebody else has
// made, which the sender can only pass on with its proof.
func (d *DHT) storeProvider(ctx context.Context, from asker, add protocol.AddProvider) error {
	defer d.announcing.lock(add.Key)()
	if i := slices.IndexFunc(add.Providers, func(p protocol.Peer) bool { return p.ID == from.id }); i >= 0 {
		return d.storeOwn(ctx, from, add, add.Providers[i])
	}
	if len(add.Providers) == 0 || len(add.Proof) == 0 || !mayProvide(add.Providers[0].ID, add.Key) {
		return errBadProvider
	}
	return d.storePassedOn(ctx, from, add, add.Providers[0])
}

// storeOwn keeps what a peer announces of itself.
func (d *DHT) storeOwn(ctx context.Context, from asker, add protocol.AddProvider, p protocol.Peer) error {
	now := time.Now()
	signed, err := d.verify(now, p.ID, add)
	if err == nil && signed.lifetime == withdrawn {
		return d.store.RemoveProvider(ctx, add.Key, string(p.ID))
	}
	wire := announceBriefly(add.Key, within(p, from.at), now)
	if wire.at(from.at) == nil || !mayProvide(p.ID, add.Key) {
		return errBadProvider
	}
	kept := keptAnnouncement{published: now, wire: wire}
	var lifetime time.Duration
	// The connection says who it is: without a good proof, as from a peer whose
	// clock is wrong, it is only not passed on.
	if err == nil {
		kept.published, kept.proof, lifetime = signed.published, add.Proof, signed.left(now)
	}
	return d.keepProvider(ctx, now, from.id, add.Key, p.ID, kept, lifetime)
}

// storePassedOn keeps what another peer than the sender has announced, unless we
// have a later word of that one. Addresses may be missing: they can be looked up.
func (d *DHT) storePassedOn(ctx context.Context, from asker, add protocol.AddProvider, p protocol.Peer) error {
	now := time.Now()
	if p.ID == d.self {
		return errBadProvider // we know best
	}
	signed, err := d.verify(now, p.ID, add)
	switch {
	case err != nil:
		return err
	case signed.lifetime == withdrawn:
		return errBadProof // that is the provider's to say
	}
	kept := keptAnnouncement{published: signed.published, wire: announceBriefly(add.Key, within(p, from.at), now), proof: add.Proof}
	held, err := d.store.Provider(ctx, add.Key, string(p.ID), now)
	switch {
	case err == nil:
		have := parseKept(held.Addrs)
		if have.published.After(signed.published) {
			return nil
		}
		if have.published.Equal(signed.published) && len(have.wire) > 0 {
			kept.wire = have.wire // as the provider told us, or who was first
		}
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	return d.keepProvider(ctx, now, from.id, add.Key, p.ID, kept, signed.left(now))
}

// verify returns what the provider has signed about its announcement, if that is
// still good.
func (d *DHT) verify(now time.Time, id peer.ID, add protocol.AddProvider) (proof, error) {
	signed, err := verifyProof(add.Proof, id, d.protocol, add.Key)
	switch {
	case err != nil:
		return signed, err
	case signed.published.After(now.Add(maxSkew)):
		return signed, errBadProof // it would outlive what we are to believe
	case signed.lifetime == withdrawn:
		return signed, nil
	}
	age := d.cfg.RecordAge
	if isPresence(id, add.Key) && (age < 0 || age > presenceLifetime) {
		age = presenceLifetime
	}
	if signed.lifetime > 0 && (age < 0 || signed.lifetime < age) {
		age = signed.lifetime
	}
	if age > 0 {
		if signed.lifetime = age; signed.left(now) <= 0 {
			return signed, errExpired
		}
	}
	return signed, nil
}

// isPresence reports whether an announcement of id under a key is its presence.
func isPresence(id peer.ID, key []byte) bool { return string(id) == string(key) }

// left returns how much longer an announcement is good; 0 if its lifetime is not
// limited.
func (p proof) left(now time.Time) time.Duration {
	if p.lifetime == 0 {
		return 0
	}
	return p.lifetime - max(0, now.Sub(p.published))
}

// keepProvider keeps an announcement of id that came from a peer, for as long as
// that is to last; 0: it does not say. A presence lasts for presenceLifetime at most.
func (d *DHT) keepProvider(
	ctx context.Context, now time.Time, from peer.ID, key []byte, id peer.ID, kept keptAnnouncement, lifetime time.Duration,
) error {
	if isPresence(id, key) && (lifetime == 0 || lifetime > presenceLifetime) {
		lifetime = presenceLifetime
	}
	p := store.Provider{
		ID:       string(id),
		Addrs:    kept.marshal(),
		Received: now,
		Expires:  d.expiry(now, key, from, lifetime),
	}
	added := len(key) + len(p.ID) + len(p.Addrs)
	if held, err := d.store.Provider(ctx, key, p.ID, now); err == nil {
		added = len(p.Addrs) - len(held.Addrs)
	}
	if err := d.take(now, from, added); err != nil {
		return err
	}
	err := d.makingRoom(ctx, store.KindProvider, key, func() error { return d.store.AddProvider(ctx, key, p) })
	if err != nil && !errors.Is(err, errInVain) {
		d.give(now, from, added)
	}
	return err
}

// maxKeptWire bounds the addresses that are kept of an announcement: an answer has
// many of them, and what is dialled is the first few.
const maxKeptWire = 1 << 10

// announceBriefly encodes the provider of a key with as many of its addresses as are
// kept. What it has certified is kept under its own ID only, where it is the only one
// that needs it.
func announceBriefly(key []byte, p protocol.Peer, now time.Time) announcement {
	if !isPresence(p.ID, key) {
		p.Certified = nil
	} else if _, err := verifyCertified(p.Certified, p.ID, now); err != nil {
		p.Certified = nil
	}
	wire := announceCertified(p)
	for len(wire) > maxKeptWire+len(p.Certified) && len(p.Addrs) > 1 {
		p.Addrs = p.Addrs[:(len(p.Addrs)+1)/2]
		wire = announceCertified(p)
	}
	return wire
}

// mayProvide reports whether id can be a provider of a key: under an ID that has its
// public key in it, there is nothing but the presence of that peer, and others would
// only be in its way. Of an ID that is a hash, nobody can tell.
func mayProvide(id peer.ID, key []byte) bool {
	if isPresence(id, key) {
		return true
	}
	_, err := peer.ID(key).ExtractPublicKey()
	return err != nil
}

// stripes are locks for what is read, changed and written back, by key: the store has
// no such operation for announcements.
type stripes [64]sync.Mutex

// lock locks the stripe of a key, and returns what unlocks it.
func (s *stripes) lock(key []byte) (unlock func()) {
	m := &s[crc32.ChecksumIEEE(key)%uint32(len(s))]
	m.Lock()
	return m.Unlock
}
