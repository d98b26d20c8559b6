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
// same peer after a restart. If there is no such file, it makes an Ed25519 key, and keeps it
// there, in the encoding of libp2p. It makes the file, and the directory if that is missing,
// for their owner alone; the file is there whole or not at all, whenever the process ends.
// Each node has a key of its own: two with the same key are one peer, and fail.
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
