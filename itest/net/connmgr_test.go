package net_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"

	"github.com/go-kad/kad/itest/internal/race"
)

// A connection manager with watermarks far below the number of contacts does not slow
// lookups down: the contacts that they need stay connected. After Close, they are not
// protected any more.
func TestConnectionManager(t *testing.T) {
	if race.Enabled {
		t.Skip("takes five times as long with the race detector")
	}
	synctest.Test(t, testConnectionManager)
}

func testConnectionManager(t *testing.T) {
	const count, low, high = 30, 2, 4
	n := newSimNet(t, 1)
	n.options = func() []libp2p.Option {
		manager, err := connmgr.NewConnManager(low, high, connmgr.WithGracePeriod(time.Second), connmgr.WithSilencePeriod(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return []libp2p.Option{libp2p.ConnectionManager(manager)}
	}
	n.grow(count)
	var took []time.Duration
	for i := range 12 {
		d := n.nodes[n.rng.IntN(count)]
		start := time.Now()
		if _, err := d.ClosestPeers(t.Context(), fmt.Appendf(nil, "key %d", i)); err != nil {
			t.Error(err)
		}
		took = append(took, time.Since(start))
		time.Sleep(10 * time.Second)
	}
	slices.Sort(took)
	t.Logf("lookups took %v to %v, the median %v", took[0], took[len(took)-1], took[len(took)/2])
	if median := took[len(took)/2]; median > 380*time.Millisecond { // 217 without a manager, 467 with one and without protection
		t.Errorf("half of the lookups took more than %v", median)
	}
	d := n.nodes[0]
	tag, protected := "kad /itest", 0
	for _, other := range n.nodes[1:] {
		if d.Host().ConnManager().IsProtected(other.ID(), tag) {
			protected++
		}
	}
	if protected < k || d.Close() != nil {
		t.Errorf("%d peers are protected, want the %d closest at least", protected, k)
	}
	for _, other := range n.nodes[1:] {
		if d.Host().ConnManager().IsProtected(other.ID(), "") {
			t.Errorf("%s is protected after Close", other.ID())
		}
	}
}
