package host

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/go-kad/kad/host/store"
)

// Held yields what a node stores of others and of its own, and fails after Close.
func TestHeld(t *testing.T) { synctest.Test(t, testHeld) }

func testHeld(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(3, Config{})
	publisher, holder := nodes[1], nodes[2]
	if err := publisher.PutValue(t.Context(), "/v/key", []byte("123")); err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.Advertise(t.Context(), "name"); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	name, err := NamespaceCID("name")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*DHT{publisher, holder} {
		got := make(map[string]Held)
		for h, err := range d.Held(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got[string(h.Key)] = h
		}
		value, announcement := got["/v/key"], got[string(name.Hash())]
		if len(got) != 2 || value.Kind != store.KindValue || value.Size != 3 || value.Peer != publisher.ID() || value.Expires.IsZero() {
			t.Errorf("%s: %d entries, the value is %+v", d.ID(), len(got), value)
		}
		if announcement.Kind != store.KindProvider || announcement.Peer != publisher.ID() || announcement.Received.IsZero() {
			t.Errorf("%s: the announcement is %+v", d.ID(), announcement)
		}
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	for _, err := range holder.Held(t.Context()) {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}
