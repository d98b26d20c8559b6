package dht

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/ipfs/go-cid"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/host/validator"
)

// A node with disabled contents or values holds none of other peers, says that its methods are not
// supported, and finds peers as before.
func TestDisable(t *testing.T) { synctest.Test(t, testDisable) }

func testDisable(t *testing.T) {
	network := kadtest.New(t, kadtest.Config{})
	nodes := startNodes(t, network.AddHosts(3), func(i int) []Option {
		opts := []Option{ProtocolPrefix("/disable"), NamespacedValidator("v", validator.Immutable{})}
		if i == 0 {
			opts = append(opts, DisableProviders(), DisableValues())
		}
		return opts
	})
	for _, d := range nodes {
		if err := d.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	disabled, other := nodes[0], nodes[1]
	value := []byte("a value")
	key := validator.ImmutableKey("v", value)
	put, err := other.Put(t.Context(), key, value)
	if err != nil || len(put.Stored) != 1 || !errors.Is(put.Failed[disabled.PeerID()], kad.ErrRefused) {
		t.Errorf("a value: %+v, %v; want that one peer stores it, and the other refuses", put, err)
	}
	content, err := kad.NamespaceCID("content")
	if err != nil {
		t.Fatal(err)
	}
	announced, err := other.Announce(t.Context(), content)
	if err != nil || len(announced.Stored) != 1 {
		t.Errorf("an announcement: %+v, %v; want that one peer stores it", announced, err)
	}
	if s := disabled.Stats(); s.Values+s.Providers != 0 {
		t.Errorf("the node holds %d values and %d announcements", s.Values, s.Providers)
	}
	if found, err := disabled.FindPeer(t.Context(), nodes[2].PeerID()); err != nil || found.ID != nodes[2].PeerID() {
		t.Errorf("FindPeer() = %v, %v", found, err)
	}
	testNotSupported(t, disabled, key, value, content)
	if err := nodes[2].PutValue(t.Context(), key, value); err != nil {
		t.Errorf("PutValue() of another node: %v", err)
	}
	if found, err := nodes[2].FindProviders(t.Context(), content); err != nil || len(found) != 1 || found[0].ID != other.PeerID() {
		t.Errorf("FindProviders() of another node = %v, %v", found, err)
	}
}

func testNotSupported(t *testing.T, d *IpfsDHT, key string, value []byte, content cid.Cid) {
	t.Helper()
	_, get := d.GetValue(t.Context(), key)
	_, search := d.SearchValue(t.Context(), key)
	_, find := d.FindProviders(t.Context(), content)
	for name, err := range map[string]error{
		"Provide": d.Provide(t.Context(), content, true), "PutValue": d.PutValue(t.Context(), key, value),
		"GetValue": get, "SearchValue": search, "FindProviders": find,
	} {
		if !errors.Is(err, lrouting.ErrNotSupported) {
			t.Errorf("%s: %v; want that it is not supported", name, err)
		}
	}
	for p := range d.FindProvidersAsync(t.Context(), content, 0) {
		t.Errorf("FindProvidersAsync yields %v", p)
	}
}
