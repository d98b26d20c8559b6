package holder

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// The announcement of a peer with a long RSA key is passed on, as others are.
func TestLongProofIsPassedOn(t *testing.T) {
	h, next := newHolder(t, Config{}), newHolder(t, Config{})
	key, id := roomtest.NewPeerWith(t, crypto.RSA, 4096)
	content := []byte("a multihash")
	add := protocol.AddProvider{
		Key: content, Providers: []protocol.Peer{{ID: id, Addrs: addrOf(1)}},
		Proof: announce.Proof{Network: testProtocol, Key: content, Published: time.Now()}.Sign(key),
	}
	if err := receive(t, h, id, add); err != nil {
		t.Fatal(err)
	}
	copies, err := h.Copies(t.Context(), store.KindProvider, content, 0)
	if err != nil || len(copies) != 1 {
		t.Fatalf("passed on are %v, %v", copies, err)
	}
	if err := receive(t, next, h.self, copies[0]); err != nil {
		t.Errorf("the next holder: %v", err)
	}
}

// False signatures that come from the providers themselves are not looked at, since that takes
// long: the announcements are held, and not passed on. Each signature is looked at once, when it
// would be passed on, and dropped. One that is passed on is refused.
func TestHostileSignatures(t *testing.T) {
	const count = 100
	h, next := newHolder(t, Config{}), newHolder(t, Config{})
	content := []byte("a multihash")
	var last protocol.AddProvider
	for i := range count {
		key, id := roomtest.NewPeer(t)
		last = signedBy(key, id, content, i+1)
		last.Proof[len(last.Proof)-1] ^= 1 // of the signature
		if err := receive(t, h, id, last); err != nil {
			t.Fatal(err)
		}
	}
	var took [2]time.Duration
	for pass := range took {
		began := time.Now()
		if copies, err := h.Copies(t.Context(), store.KindProvider, content, 0); err != nil || len(copies) != 0 {
			t.Errorf("passed on are %v, %v", copies, err)
		}
		took[pass] = time.Since(began)
		held, err := h.cfg.Store.Providers(t.Context(), content, time.Now(), 0)
		if err != nil || slices.ContainsFunc(held, func(p store.Provider) bool { return len(announce.ParseKept(p.Addrs).Proof) > 0 }) {
			t.Errorf("false signatures are held after pass %d, and are looked at again: %v", pass, err)
		}
		if told := providers(t, h, scope.Loopback, content); len(told) != count || slices.ContainsFunc(told, func(p protocol.Peer) bool { return len(p.Addrs) != 1 }) {
			t.Errorf("%d providers are told after pass %d, or without addresses", len(told), pass)
		}
	}
	t.Logf("the first pass over %d false signatures takes %v, the second %v", count, took[0], took[1])
	if err := receive(t, next, h.self, last); !errors.Is(err, kaderr.ErrBadProof) {
		t.Errorf("passed on all the same: %v", err)
	}
}

// A node that cannot sign announces itself all the same, and says in the log once that its
// announcements are not passed on.
func TestUnsignedIsSaid(t *testing.T) {
	for _, signs := range []bool{true, false} {
		h := newHolder(t, Config{})
		if !signs {
			h.cfg.Host.Peerstore().RemovePeer(h.self)
		}
		for range 2 {
			if add := h.Announcement([]byte("key"), 0, time.Now()); (add.Proof != nil) != signs || len(add.Providers[0].Addrs) == 0 {
				t.Errorf("signs %v: announced with %d addresses and a proof of %d bytes", signs, len(add.Providers[0].Addrs), len(add.Proof))
			}
		}
		if err := h.Provide(t.Context(), []byte("key"), 0, time.Now()); err != nil {
			t.Fatal(err)
		}
		if copies, err := h.Copies(t.Context(), store.KindProvider, []byte("key"), 0); err != nil || len(copies) != 1 {
			t.Errorf("signs %v: passed on are %v, %v", signs, copies, err)
		}
		said := true
		h.unsigned.Do(func() { said = false })
		if said == signs {
			t.Errorf("signs %v: said %v", signs, said)
		}
	}
}

// An announcement that was made for longer than this holder keeps any lasts, when it is passed
// on, until this holder would have forgotten it.
func TestLongAnnouncementIsPassedOn(t *testing.T) {
	h := newHolder(t, Config{})
	key, id := roomtest.NewPeer(t)
	add := signedBy(key, id, []byte("a multihash"), 1)
	now := time.Now()
	add.Proof = announce.Proof{Network: testProtocol, Key: add.Key, Published: now.Add(-24 * time.Hour), Lifetime: 100 * time.Hour}.Sign(key)
	if err := receive(t, h, "a holder", add); err != nil {
		t.Fatal(err)
	}
	p, err := h.cfg.Store.Provider(t.Context(), add.Key, string(id), now)
	if left := p.Expires.Sub(now).Round(time.Minute); err != nil || left != 24*time.Hour {
		t.Errorf("it lives for %v, %v; want 24h", left, err)
	}
}

// An announcement whose own lifetime is over is refused, also by a holder that keeps records for
// ever.
func TestExpiredForHolderWithoutAge(t *testing.T) {
	h := newHolder(t, Config{RecordAge: -1})
	key, id := roomtest.NewPeer(t)
	for lifetime, want := range map[time.Duration]error{time.Hour: kaderr.ErrExpired, 3 * time.Hour: nil, 0: nil} {
		content := []byte("for " + lifetime.String())
		add := protocol.AddProvider{
			Key: content, Providers: []protocol.Peer{{ID: id, Addrs: addrOf(1)}},
			Proof: announce.Proof{Network: testProtocol, Key: content, Published: time.Now().Add(-2 * time.Hour), Lifetime: lifetime}.Sign(key),
		}
		if err := receive(t, h, "another", add); !errors.Is(err, want) {
			t.Errorf("announced for %v 2 h ago: %v, want %v", lifetime, err, want)
		}
	}
}
