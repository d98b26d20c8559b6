package validator

import (
	"bytes"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// publicKey returns the public key of priv, and its key in the DHT.
func publicKey(priv crypto.PrivKey) (key string, value []byte) {
	return "/pk/" + string(idOf(priv)), must(crypto.MarshalPublicKey(priv.GetPublic()))
}

func TestPublicKeyValidate(t *testing.T) {
	key, value := publicKey(newKey(crypto.RSA))
	otherKey, _ := publicKey(newKey(crypto.ECDSA))
	small, smallValue := publicKey(ed25519Key(1))
	for _, test := range []struct {
		name, key string
		value     []byte
		want      string
	}{
		{"of its peer", key, value, ""},
		{"that is in the ID too", small, smallValue, ""},
		{"of another peer", otherKey, value, "public key does not match"},
		{"padded", key, append(bytes.Clone(value), 0x1a, 0x01, 'x'), "not encoded canonically"},
		{"a field twice", key, append([]byte{0x08, 0x00}, value...), "not encoded canonically"},
		{"no public key", key, nil, "required field"},
		{"another namespace", "/wall" + key[len("/pk"):], value, "namespace not 'pk'"},
		{"no ID", "/pk/x", value, "multihash"},
		{"no namespace", "pk", value, `is not "/namespace/rest"`},
		{"a long key", "/pk/" + strings.Repeat("x", MaxKey), value, "the limit is 1024"},
		{"too large", key, make([]byte, MaxValue+1), "the limit is 1048576"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, PublicKey{}.Validate(test.key, test.value), test.want)
		})
	}
}
