package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// What is in the directory of --data.
const (
	identityFile = "identity.key" // the private key, in the encoding of libp2p
	dhtDir       = "dht"          // what the DHT keeps
)

// openData completes the settings of a node with a directory: its identity,
// which is made the first time, and where the DHT keeps its state.
func openData(s *settings) error {
	if s.data == "" {
		return nil
	}
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	key, err := identityIn(filepath.Join(s.data, identityFile))
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	s.key = key
	s.dht.Dir = filepath.Join(s.data, dhtDir)
	return nil
}

// identityIn returns the key in a file, which is made if it does not exist.
func identityIn(path string) (crypto.PrivKey, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the directory that the user named
	if errors.Is(err, fs.ErrNotExist) {
		return newIdentityIn(path)
	}
	if err != nil {
		return nil, err
	}
	key, err := crypto.UnmarshalPrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s is not a private key: restore it, or remove it for a new identity: %w", path, err)
	}
	return key, nil
}

// newIdentityIn makes a key and keeps it in a file, which is there whole or not
// at all, whenever the process ends.
func newIdentityIn(path string) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(nil) // from the system's randomness
	if err != nil {
		return nil, err
	}
	data, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), identityFile+".new*") // for the owner alone
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(tmp.Name(), path); err != nil { // fails if another process was first
		return nil, err
	}
	return key, nil
}
