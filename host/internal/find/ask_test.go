package find

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/protocol"
)

// A contact that refuses to say who holds a presence, and answers the other request,
// enters the table: it serves.
func TestPeerOfRefusingContacts(t *testing.T) { synctest.Test(t, testPeerOfRefusingContacts) }

func testPeerOfRefusingContacts(t *testing.T) {
	n := newNode(t, 3*testK, 3, false)
	knows := calltest.Knows(testK, n.peers...)
	for _, id := range n.peers {
		n.net.Add(id, func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
			if _, ok := req.(protocol.GetProviders); ok {
				return protocol.Response{}, kaderr.ErrRefused
			}
			return knows(ctx, req)
		})
	}
	if _, err := n.Peer(t.Context(), calltest.ID(1000)); !errors.Is(err, kaderr.ErrNotFound) {
		t.Fatalf("%v, want ErrNotFound", err)
	}
	asked := make(map[peer.ID]bool)
	for _, a := range n.net.Asked() {
		asked[a.To] = true
	}
	if len(asked) <= testK {
		t.Fatalf("%d contacts were asked, want more than those of the table", len(asked))
	}
	for id := range asked {
		if !n.cfg.Table.Has(id) {
			t.Errorf("%v answered, and is not in the table", id)
		}
	}
}
