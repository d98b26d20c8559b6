package validator

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ record.Validator = Immutable{}
	_ record.Validator = Signed{}
	_ record.Validator = SignedSet{}
	_ record.Validator = PublicKey{}
)

// must returns v, of a call that cannot fail in a test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// ed25519Key returns the n-th key of a fixed sequence: the inputs of a fuzz
// target must be the same in every process.
func ed25519Key(n byte) crypto.PrivKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return must(crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed)))
}

// newKey returns a new key of a type of libp2p.
func newKey(typ int) crypto.PrivKey {
	priv, _, err := crypto.GenerateKeyPairWithReader(typ, 2048, rand.Reader)
	return must(priv, err)
}

// keyTypes are the types of keys that peers have.
func keyTypes() map[string]int {
	return map[string]int{
		"Ed25519":   crypto.Ed25519,
		"Secp256k1": crypto.Secp256k1,
		"ECDSA":     crypto.ECDSA,
		"RSA":       crypto.RSA,
	}
}

// idOf returns the ID of who has a key.
func idOf(priv crypto.PrivKey) peer.ID { return must(peer.IDFromPrivateKey(priv)) }

// sign is Sign of what can be signed.
func sign(priv crypto.PrivKey, key string, seq uint64, data string) []byte {
	return must(Sign(priv, key, seq, []byte(data)))
}

// wantError checks that err says want; an empty want means no error.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error %q, want none", err)
	case want != "" && err == nil:
		t.Errorf("no error, want one with %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("error %q does not say %q", err, want)
	}
}
