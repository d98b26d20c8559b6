package validator

import (
	"crypto/sha256"
	"fmt"

	mh "github.com/multiformats/go-multihash"
)

// Immutable validates values that are named by their hash: "/ns/" and the
// SHA-256 multihash of the value in base58, as [ImmutableKey] makes it. No peer can
// put another value under such a key, and no peer can change it.
type Immutable struct{}

// ImmutableKey returns the key of a value in a namespace, which has no slash.
func ImmutableKey(ns string, value []byte) string {
	sum := sha256.Sum256(value)
	return "/" + ns + "/" + mh.Multihash(append([]byte{mh.SHA2_256, sha256.Size}, sum[:]...)).B58String()
}

// Validate says why a value may not stand under a key: the key does not end in
// a hash, or in that of another value.
func (Immutable) Validate(key string, value []byte) error {
	ns, rest, err := split(key)
	if err != nil {
		return err
	}
	if err := checkSize(value); err != nil {
		return err
	}
	if err := checkHash(rest); err != nil {
		return fmt.Errorf("the key %q does not end in a SHA-256 multihash in base58: %w", key, err)
	}
	if want := ImmutableKey(ns, value); key != want {
		return fmt.Errorf("the value is that of the key %q, not of %q", want, key)
	}
	return nil
}

// Select returns 0: all valid values of a key are equal. It fails without values.
func (Immutable) Select(_ string, values [][]byte) (int, error) {
	return first(values)
}

// checkHash returns why a text is not a SHA-256 multihash.
func checkHash(text string) error {
	hash, err := mh.FromB58String(text)
	if err != nil {
		return err
	}
	decoded, err := mh.Decode(hash)
	if err != nil {
		return err
	}
	if decoded.Code != mh.SHA2_256 || decoded.Length != sha256.Size {
		return fmt.Errorf("it is %s with %d bytes", decoded.Name, decoded.Length)
	}
	return nil
}

// first selects among equal values.
func first(values [][]byte) (int, error) {
	if len(values) == 0 {
		return -1, errNoValues
	}
	return 0, nil
}
