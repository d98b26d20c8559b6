package validator

import (
	"bytes"
	"errors"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
)

// PublicKey validates the public keys of peers whose IDs do not contain them:
// "/pk/" and the bytes of the ID, a namespace that libp2p defines. It is that of
// go-libp2p-record, and refuses a key that is not encoded as the ID was computed from
// it.
type PublicKey struct{ record.PublicKeyValidator }

// Validate says why a value may not stand under a key: it is not a public key,
// not encoded canonically, or that of another peer.
func (v PublicKey) Validate(key string, value []byte) error {
	if _, _, err := split(key); err != nil {
		return err
	}
	if err := checkSize(value); err != nil {
		return err
	}
	if err := v.PublicKeyValidator.Validate(key, value); err != nil {
		return err
	}
	pub, err := crypto.UnmarshalPublicKey(value)
	if err != nil {
		return err
	}
	if again, err := crypto.MarshalPublicKey(pub); err != nil || !bytes.Equal(again, value) {
		return errors.New("the public key is not encoded canonically")
	}
	return nil
}

// Select returns 0: all valid values of a key are equal. It fails without values.
func (PublicKey) Select(_ string, values [][]byte) (int, error) {
	return first(values)
}
