package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// LoadIdentity returns the private key in a file, for libp2p.Identity, so that a node is the
// same peer after a restart. If there is no such file, it makes an Ed25519 key, and writes it
// to the file in the encoding of libp2p. Only its owner can read the file, and the directory
// if LoadIdentity makes it. The file is whole or does not exist, even if the process ends
// meanwhile. Give each node a key of its own: two nodes with one key are the same peer to
// others, and fail.
func LoadIdentity(file string) (crypto.PrivKey, error) {
	key, err := readIdentity(file)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeIdentity(file)
	}
	if errors.Is(err, fs.ErrExist) { // another process was first
		key, err = readIdentity(file)
	}
	if err != nil {
		return nil, fmt.Errorf("kad: identity: %w", err)
	}
	return key, nil
}

// readIdentity returns the key in a file.
func readIdentity(file string) (crypto.PrivKey, error) {
	data, err := os.ReadFile(file) //nolint:gosec // the file that the user named
	if err != nil {
		return nil, err
	}
	key, err := crypto.UnmarshalPrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s is not a private key: restore it, or remove it for a new identity: %w", file, err)
	}
	return key, nil
}

// makeIdentity makes a key, and keeps it in a file that does not exist; the error is
// [fs.ErrExist] if it does by then.
func makeIdentity(file string) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(nil) // from the system's randomness
	if err != nil {
		return nil, err
	}
	data, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(dir, filepath.Base(file)+".new*") // for the owner alone
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, err
	}
	return key, os.Link(tmp.Name(), file)
}
