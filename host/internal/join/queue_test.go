package join

import (
	"strconv"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// The queue holds each peer once, in order, and is bounded.
func TestQueue(t *testing.T) {
	var q queue
	for i := range 2 * maxQueued {
		id := peer.ID(strconv.Itoa(i))
		if added := q.add(id); added != (i < maxQueued) {
			t.Fatalf("peer %d: added %v", i, added)
		}
	}
	if !q.add("7") || len(q.in) != maxQueued || len(q.order) != maxQueued {
		t.Errorf("%d queued, want %d", len(q.in), maxQueued)
	}
	for i := range maxQueued {
		if id, ok := q.take(); !ok || id != peer.ID(strconv.Itoa(i)) {
			t.Fatalf("%q comes after %d others", id, i)
		}
	}
	if id, ok := q.take(); ok || len(q.in) != 0 {
		t.Errorf("%q is left", id)
	}
}
