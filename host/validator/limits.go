package validator

import (
	"errors"
	"fmt"

	record "github.com/libp2p/go-libp2p-record"
)

// The limits of what is looked at, in bytes. They are those of the DHT, so that
// what passes here can be sent; they count where a validator is used without it.
const (
	// MaxKey is the size of a key, with its namespace. It bounds the name in
	// the key of a [Signed] value.
	MaxKey = 1 << 10

	// MaxValue is the size of a value. A signed one takes about 150 bytes more
	// than its data and its key, with an Ed25519 key.
	MaxValue = 1 << 20
)

// errNoValues is returned by Select for an empty list.
var errNoValues = errors.New("there are no values to select from")

// split returns the namespace of a key and what follows it, neither empty.
func split(key string) (ns, rest string, err error) {
	if len(key) > MaxKey {
		return "", "", fmt.Errorf("the key has %d bytes, the limit is %d", len(key), MaxKey)
	}
	ns, rest, err = record.SplitKey(key)
	if err != nil || rest == "" {
		return "", "", fmt.Errorf(`the key %q is not "/namespace/rest"`, key)
	}
	return ns, rest, nil
}

// checkSize refuses a value that is too large to be looked at.
func checkSize(value []byte) error {
	if len(value) > MaxValue {
		return fmt.Errorf("the value has %d bytes, the limit is %d", len(value), MaxValue)
	}
	return nil
}
