package node

import (
	"fmt"
	"path/filepath"
	"strings"

	kad "github.com/go-kad/kad/host"
)

// What is in the directory of --data.
const (
	identityFile = "identity.key" // the private key, in the encoding of libp2p
	dhtDir       = "dht"          // what the DHT keeps
)

// openData completes the settings of a node with a directory: its identity,
// which is made the first time, and where the DHT keeps its state.
func openData(s *settings) (err error) {
	if s.data == "" {
		return nil
	}
	if s.key, err = kad.LoadIdentity(filepath.Join(s.data, identityFile)); err != nil {
		return fmt.Errorf("--data: %s", strings.TrimPrefix(err.Error(), "kad: "))
	}
	s.dht.Dir = filepath.Join(s.data, dhtDir)
	return nil
}
