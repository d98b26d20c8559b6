package validator

import (
	"errors"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Signed validates values with one owner, which the key names: see [SignedKey]. No other
// peer can put a value there, and the owner replaces it with a value of a higher sequence
// number. An older value that is put again is worse than the one that a holder has, and the
// DHT refuses it.
//
// Make values with [Sign] and read them with [Open].
type Signed struct{}

// SignedKey returns the key of a value of an owner: "/ns/owner", or
// "/ns/owner/name" if the name is not empty. The namespace has no slash. The
// name is any text, with which an owner has several values; the whole key is at most
// [MaxKey] bytes.
func SignedKey(ns string, owner peer.ID, name string) string {
	key := "/" + ns + "/" + owner.String()
	if name != "" {
		key += "/" + name
	}
	return key
}

// Validate says why a value may not stand under a key: the key names no owner,
// or the value is not what [Sign] makes for this key with the owner's private key.
func (Signed) Validate(key string, value []byte) error {
	owner, err := ownerOf(key)
	if err != nil {
		return err
	}
	entry, err := Open(key, value)
	if err != nil {
		return err
	}
	if entry.Owner != owner {
		return fmt.Errorf("the entry is signed by %s, and the key belongs to %s", entry.Owner, owner)
	}
	return nil
}

// Select returns the index of the value with the highest sequence number. Of
// two with the same one, the greater bytes win. All values are valid; it fails on one that
// cannot be read, and without values.
func (Signed) Select(key string, values [][]byte) (int, error) {
	return newest(key, values)
}

// ownerOf returns who is named in a key of [SignedKey].
func ownerOf(key string) (peer.ID, error) {
	_, rest, err := split(key)
	if err != nil {
		return "", err
	}
	text, name, named := strings.Cut(rest, "/")
	owner, err := peer.Decode(text)
	switch {
	case err != nil:
		// As below.
	case owner.String() != text:
		// There are several texts for one ID, and each would be a key of its own.
		err = fmt.Errorf("write the ID as %s", owner)
	case named && name == "":
		err = errors.New("the name after the slash is empty")
	}
	if err != nil {
		return "", fmt.Errorf(`the key %q is not "/namespace/peer ID" or "/namespace/peer ID/name": %w`, key, err)
	}
	return owner, nil
}
