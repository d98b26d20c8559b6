// Package swarmkey reads the key of a private network of libp2p: peers without it cannot
// connect to peers that have it. The file is that of Kubo, swarm.key.
package swarmkey

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/multiformats/go-multiaddr"
)

// maxFile bounds the file: three short lines.
const maxFile = 1 << 10

// Read returns the key in a file.
func Read(file string) (pnet.PSK, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("%w: name the file that has the key; `kad swarm-key` makes one", err)
	}
	if info.Size() > maxFile {
		return nil, notKey(file)
	}
	text, err := os.ReadFile(file) //nolint:gosec // the file that the user named
	if err != nil {
		return nil, err
	}
	key, err := pnet.DecodeV1PSK(bytes.NewReader(bytes.TrimSpace(text)))
	if err != nil || len(key) != pnetSize {
		return nil, notKey(file)
	}
	return key, nil
}

// notKey says what a file with a key is.
func notKey(file string) error {
	return fmt.Errorf("%s is no swarm key: it has the lines /key/swarm/psk/1.0.0/, /base16/, and 64 hexadecimal digits; `kad swarm-key` makes one", file)
}

// pnetSize is the length of a key in bytes.
const pnetSize = 32

// New returns the text of a file with a new key.
func New() string {
	key := make([]byte, pnetSize)
	_, _ = rand.Read(key) // does not fail
	return "/key/swarm/psk/1.0.0/\n/base16/\n" + hex.EncodeToString(key) + "\n"
}

// Carries reports whether what is spoken at an address can have a swarm key: TCP and what is
// above it. libp2p has none for QUIC, and refuses to listen there.
func Carries(a multiaddr.Multiaddr) bool {
	_, err := a.ValueForProtocol(multiaddr.P_TCP)
	return err == nil
}

// Refuse returns an error if a flag has an address that cannot have a key.
func Refuse(flag string, addrs []multiaddr.Multiaddr) error {
	for _, a := range addrs {
		if !Carries(a) {
			return fmt.Errorf("%s: %q: networks with --swarm-key work over TCP alone: use an address such as /ip4/0.0.0.0/tcp/4001", flag, a)
		}
	}
	return nil
}
