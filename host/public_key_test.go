package host

import (
	"crypto/rand"
	"errors"
	"testing"
	"testing/synctest"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/host/validator"
)

// The public key of a peer is in its ID, or known to the host, or the value under /pk.
func TestGetPublicKey(t *testing.T) { synctest.Test(t, testGetPublicKey) }

func testGetPublicKey(t *testing.T) {
	_, key, err := crypto.GenerateRSAKeyPair(2048, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	nodes := newTestNet(t).nodes(3, Config{Network: "/n", Mode: ModeServer, Validators: map[string]record.Validator{"pk": validator.PublicKey{}}})
	if _, err := nodes[0].GetPublicKey(t.Context(), id); !errors.Is(err, ErrNotFound) {
		t.Errorf("a key that is nowhere: %v", err)
	}
	encoded, err := crypto.MarshalPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := nodes[1].PutValue(t.Context(), lrouting.KeyForPublicKey(id), encoded); err != nil {
		t.Fatal(err)
	}
	if got, err := lrouting.GetPublicKey(nodes[0], t.Context(), id); err != nil || !got.Equals(key) {
		t.Errorf("a key in the network: %v, %v", got, err)
	}
	other := nodes[2].ID()
	if got, err := nodes[0].GetPublicKey(t.Context(), other); err != nil || !other.MatchesPublicKey(got) {
		t.Errorf("a key in the ID: %v, %v", got, err)
	}
	if err := nodes[0].host.Peerstore().AddPubKey(id, key); err != nil {
		t.Fatal(err)
	}
	if got, err := nodes[0].GetPublicKey(t.Context(), id); err != nil || !got.Equals(key) {
		t.Errorf("a key that the host knows: %v, %v", got, err)
	}
}
