package protocol

import (
	"bytes"

	"github.com/libp2p/go-libp2p/core/peer"
)

// PublicKeyKey returns the key of the record that holds the public key of a
// peer: "/pk/" and the bytes of its ID.
//
// Spec: libp2p kad-dht, "Entry validation".
func PublicKeyKey(id peer.ID) []byte {
	return []byte("/pk/" + string(id))
}

// IPNSKey returns the key of the record that a peer, or a key pair with such an
// ID, publishes under its name: "/ipns/" and the bytes of the ID.
//
// Spec: IPNS record and protocol, "Routing record".
func IPNSKey(id peer.ID) []byte {
	return []byte("/ipns/" + string(id))
}

// SplitKey splits a record key "/ns/rest" into its namespace and what follows
// it, which may be any bytes and is not copied. It reports whether the key has
// a namespace. The namespace decides which validator a record has.
func SplitKey(key []byte) (ns string, rest []byte, ok bool) {
	before, rest, ok := CutNamespace(key)
	return string(before), rest, ok
}

// CutNamespace is [SplitKey] with a namespace that is not copied either.
func CutNamespace(key []byte) (ns, rest []byte, ok bool) {
	after, ok := bytes.CutPrefix(key, []byte("/"))
	if !ok {
		return nil, nil, false
	}
	before, rest, ok := bytes.Cut(after, []byte("/"))
	if !ok || len(before) == 0 {
		return nil, nil, false
	}
	return before, rest, true
}

// Namespace returns the namespace of a record key: see [SplitKey].
func Namespace(key []byte) (ns string, ok bool) {
	ns, _, ok = SplitKey(key)
	return ns, ok
}

// Shapes of a peer ID: the multihash of a public key, which is the key itself if
// that has up to 42 bytes. The third byte on is then a protobuf message with
// the type of the key and its length.
//
// Spec: libp2p peer IDs.
const (
	sha256Prefix    = "\x12\x20"                 // and a hash of 32 bytes
	ed25519Prefix   = "\x00\x24\x08\x01\x12\x20" // and a key of 32 bytes
	secp256k1Prefix = "\x00\x25\x08\x02\x12\x21" // and a point of 33 bytes
)

// shapedLikeID reports whether b has the form of a peer ID. It is cheap.
func shapedLikeID(b []byte) bool {
	switch len(b) {
	case 34:
		return string(b[:2]) == sha256Prefix
	case 38:
		return string(b[:6]) == ed25519Prefix
	case 39:
		return string(b[:6]) == secp256k1Prefix
	}
	return false
}

// validID reports whether b is a peer ID that every implementation can decode.
func validID(b []byte) bool {
	if !shapedLikeID(b) {
		return false
	}
	if len(b) != 39 {
		return true // any 32 bytes are a hash, and are taken as an Ed25519 key
	}
	_, err := peer.ID(b).ExtractPublicKey() // not every x has a point on the curve
	return err == nil
}
