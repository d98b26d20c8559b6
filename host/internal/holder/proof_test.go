package holder

import (
	"errors"
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

// A false signature that comes from the provider itself is not looked at, since that takes long:
// the announcement is held, and not passed on. One that is passed on is refused.
func TestFalseProofGoesNowhere(t *testing.T) {
	h, next := newHolder(t, Config{}), newHolder(t, Config{})
	key, id := roomtest.NewPeer(t)
	content := []byte("a multihash")
	proof := announce.Proof{Network: testProtocol, Key: content, Published: time.Now()}.Sign(key)
	proof[len(proof)-1] ^= 1 // of the signature
	add := protocol.AddProvider{Key: content, Providers: []protocol.Peer{{ID: id, Addrs: addrOf(1)}}, Proof: proof}
	if err := receive(t, h, id, add); err != nil {
		t.Fatal(err)
	}
	if held := providers(t, h, scope.Loopback, content); len(held) != 1 {
		t.Errorf("%d are held", len(held))
	}
	if copies, err := h.Copies(t.Context(), store.KindProvider, content, 0); err != nil || len(copies) != 0 {
		t.Errorf("passed on are %v, %v", copies, err)
	}
	if err := receive(t, next, h.self, add); !errors.Is(err, kaderr.ErrBadProof) {
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
		said := true
		h.unsigned.Do(func() { said = false })
		if said == signs {
			t.Errorf("signs %v: said %v", signs, said)
		}
	}
}
