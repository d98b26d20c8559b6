package find

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/protocol"
)

// What no peer can hold or be fails before any peer is asked, and is not "not found".
func TestBadInput(t *testing.T) { synctest.Test(t, testBadInput) }

func testBadInput(t *testing.T) {
	n := newNode(t, testK, 3, false)
	key := []byte("/v/" + strings.Repeat("x", protocol.MaxKey))
	if _, err := n.Values(t.Context(), key, ValuesOptions{}); !errors.Is(err, kaderr.ErrInvalidRecord) || errors.Is(err, kaderr.ErrNotFound) {
		t.Errorf("a key of %d bytes: %v, want ErrInvalidRecord", len(key), err)
	}
	for _, id := range []peer.ID{"", "not a hash", peer.ID("\x00\x64" + strings.Repeat("x", 100))} {
		if _, err := n.Peer(t.Context(), id); err == nil || errors.Is(err, kaderr.ErrNotFound) {
			t.Errorf("the peer %q: %v", string(id), err)
		}
	}
	if asked := n.net.Asked(); len(asked) > 0 {
		t.Errorf("%d requests", len(asked))
	}
}
