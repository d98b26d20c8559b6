package host

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// expected returns what is expected of a peer.
func expected(k *knowledge, id peer.ID) routing.Contact {
	c := []routing.Contact{routing.ContactOf(id)}
	k.judge(c)
	return c[0]
}

// Peers are judged by their own answers, strangers by the first answers of all.
func TestKnowledgeOfRoundTrips(t *testing.T) {
	k := newKnowledge()
	if c := expected(k, "ann"); c.Expect != 0 || c.RoundTrip != 0 {
		t.Errorf("of the first peer, %v and %v are expected, want nothing", c.Expect, c.RoundTrip)
	}
	for range 100 {
		k.answered("ann", 10*time.Millisecond)
		k.answered("bob", 300*time.Millisecond)
	}
	for id, took := range map[peer.ID]time.Duration{"ann": 10 * time.Millisecond, "bob": 300 * time.Millisecond} {
		if c := expected(k, id); c.RoundTrip != took || c.Expect < took || c.Expect > took+60*time.Millisecond {
			t.Errorf("of %s %v and %v are expected, want about %v", id, c.Expect, c.RoundTrip, took)
		}
	}
	stranger := expected(k, "cat")
	if stranger.RoundTrip != 0 || stranger.Expect < 60*time.Millisecond {
		t.Errorf("of a stranger %v are expected, want what spans both", stranger.Expect)
	}
	for range 100 {
		k.answered("ann", 10*time.Millisecond)
	}
	if again := expected(k, "cat"); again.Expect != stranger.Expect {
		t.Errorf("many answers of one peer change what is expected of strangers, from %v to %v", stranger.Expect, again.Expect)
	}
}

// What is remembered of peers is bounded, and those who answered last are.
func TestKnowledgeIsBounded(t *testing.T) {
	k := newKnowledge()
	for i := range 5 * maxPaces {
		k.answered(peer.ID(fmt.Sprint(i)), time.Second)
		k.answered("often", time.Millisecond)
	}
	if got := len(k.paces) + len(k.before); got > 2*maxPaces {
		t.Errorf("%d are remembered, want %d at most", got, 2*maxPaces)
	}
	if c := expected(k, peer.ID(fmt.Sprint(5*maxPaces-1))); c.RoundTrip == 0 {
		t.Error("the last one is forgotten")
	}
	if c := expected(k, "often"); c.RoundTrip != time.Millisecond {
		t.Errorf("who answered often takes %v, want 1ms", c.RoundTrip)
	}
	if c := expected(k, "0"); c.RoundTrip != 0 {
		t.Error("the first one is remembered")
	}
}

// The share of failures is that of the last requests.
func TestKnowledgeOfFailures(t *testing.T) {
	k := newKnowledge()
	for range 2000 {
		for range 3 {
			k.answered("ann", time.Millisecond)
		}
		k.failed()
	}
	if _, failing := k.network(routing.Key{}, nil); failing < 0.23 || failing > 0.27 {
		t.Errorf("%.2f fail, want 0.25", failing)
	}
	for range 10 * lately {
		k.answered("ann", time.Millisecond)
	}
	if _, failing := k.network(routing.Key{}, nil); failing > 0.01 {
		t.Errorf("%.2f fail, want none", failing)
	}
}

// The size of a network follows from whom lookups have found, and from the
// neighbours.
func TestKnowledgeOfSize(t *testing.T) {
	k := newKnowledge()
	self := routing.KeyOf([]byte("self"))
	var all []routing.Contact
	for i := range 3000 {
		all = append(all, routing.ContactOf(peer.ID(fmt.Sprint(i))))
	}
	closest := func(key routing.Key) []routing.Contact {
		routing.SortByDistance(key, all)
		return all[:20]
	}
	if size, _ := k.network(self, nil); size.Nodes != 0 {
		t.Errorf("there are %.0f, by nothing", size.Nodes)
	}
	alone, _ := k.network(self, closest(self))
	for i := range 9 {
		key := routing.KeyOf(fmt.Append(nil, "key", i))
		k.found(key, closest(key))
	}
	size, _ := k.network(self, closest(self))
	if size.Nodes < 2400 || size.Nodes > 3600 || size.Error >= alone.Error || alone.Nodes < 1500 || alone.Nodes > 6000 {
		t.Errorf("there are %v by the neighbours, %v by lookups too; want 3000", alone, size)
	}
	if again, _ := k.network(self, closest(self)); again != size {
		t.Errorf("there are %v and then %v: neighbours count once", size, again)
	}
}

// The neighbours by which the size is estimated are in order, and none is missing.
func TestSizeWithSuspects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		d := n.inert(Config{MaxPerGroup: -1})
		var all []routing.Contact
		for i := range 24 {
			c := routing.ContactOf(idOf(i))
			all = append(all, c)
			for range 8 {
				d.peers.seen(c)
			}
		}
		before := d.lookupConfig(plan{}).Size.Nodes
		routing.SortByDistance(d.peers.self, all)
		for _, c := range all[:7] {
			d.peers.failed(c)
		}
		after := d.lookupConfig(plan{}).Size.Nodes
		if after > 2*before {
			t.Errorf("size %.0f, and %.0f when 7 of 24 contacts are suspect", before, after)
		}
	})
}
