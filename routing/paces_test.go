package routing

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// expected returns what is expected of a peer.
func expected(p *Paces, id peer.ID) Contact {
	c := []Contact{ContactOf(id)}
	p.Expect(c)
	return c[0]
}

// What is expected of a peer follows from its own answers; of a stranger, from the
// first answers of all peers.
func TestPacesOfRoundTrips(t *testing.T) {
	var p Paces
	if c := expected(&p, "ann"); c.Expect != 0 || c.RoundTrip != 0 || p.Strangers() != 0 {
		t.Errorf("of the first peer, %v and %v are expected, want nothing", c.Expect, c.RoundTrip)
	}
	for range 100 {
		p.Answered("ann", 10*time.Millisecond)
		p.Answered("bob", 300*time.Millisecond)
	}
	for id, took := range map[peer.ID]time.Duration{"ann": 10 * time.Millisecond, "bob": 300 * time.Millisecond} {
		if c := expected(&p, id); c.RoundTrip != took || c.Expect < took || c.Expect > took+60*time.Millisecond {
			t.Errorf("of %s %v and %v are expected, want about %v", id, c.Expect, c.RoundTrip, took)
		}
	}
	stranger := expected(&p, "cat")
	if stranger.RoundTrip != 0 || stranger.Expect < 60*time.Millisecond || stranger.Expect != p.Strangers() {
		t.Errorf("of a stranger %v are expected, want what spans both", stranger.Expect)
	}
	for range 100 {
		p.Answered("ann", 10*time.Millisecond)
	}
	if again := expected(&p, "cat"); again.Expect != stranger.Expect {
		t.Errorf("many answers of one peer change what is expected of strangers, from %v to %v", stranger.Expect, again.Expect)
	}
}

// Where most of the last answers took longer than those before, as much is added to what is
// expected of all peers, strangers too, until answers are as they are expected again.
func TestPacesWhenAllBecomeSlow(t *testing.T) {
	const quick, slow = 2 * time.Millisecond, 102 * time.Millisecond
	var p Paces
	id := func(i int) peer.ID { return peer.ID(fmt.Sprint(i)) }
	for range 10 {
		for i := range 20 {
			p.Answered(id(i), quick)
		}
	}
	before := expected(&p, "ann").Expect
	for i := range manyAnswers / 2 {
		p.Answered(id(i), slow)
	}
	if got := expected(&p, id(19)).Expect; got > quick+leastMargin {
		t.Errorf("half of the answers are slow, and %v are expected of others", got)
	}
	p.Answered(id(manyAnswers/2), slow)
	if got := expected(&p, id(19)).Expect; got < slow || got > 2*slow {
		t.Errorf("most answers are slow, and %v are expected of others", got)
	}
	if got := expected(&p, "ann").Expect; got != before+slow-quick || got != p.Strangers() {
		t.Errorf("most answers are slow, and %v are expected of strangers", got)
	}
	for i := range manyAnswers {
		p.Answered(id(10+i), quick)
	}
	if got := expected(&p, id(19)).Expect; got > quick+leastMargin {
		t.Errorf("answers are quick again, and %v are expected", got)
	}
	for range 1000 {
		p.Answered("ann", time.Hour)
	}
	if got := expected(&p, "ann").Expect; got != maxTimeout {
		t.Errorf("%v are expected, want %v at most", got, maxTimeout)
	}
}

// What is remembered of peers is bounded: the peers that answered last.
func TestPacesAreBounded(t *testing.T) {
	var p Paces
	for i := range 5 * maxPaces {
		p.Answered(peer.ID(fmt.Sprint(i)), time.Second)
		p.Answered("often", time.Millisecond)
	}
	if got := len(p.peers) + len(p.before); got > 2*maxPaces {
		t.Errorf("%d are remembered, want %d at most", got, 2*maxPaces)
	}
	if c := expected(&p, peer.ID(fmt.Sprint(5*maxPaces-1))); c.RoundTrip == 0 {
		t.Error("the last one is forgotten")
	}
	if c := expected(&p, "often"); c.RoundTrip != time.Millisecond {
		t.Errorf("a peer that answered often takes %v, want 1ms", c.RoundTrip)
	}
	if c := expected(&p, "0"); c.RoundTrip != 0 {
		t.Error("the first one is remembered")
	}
}

// The share of failures is that of the last requests.
func TestPacesOfFailures(t *testing.T) {
	var p Paces
	for range 2000 {
		for range 3 {
			p.Answered("ann", time.Millisecond)
		}
		p.Failed()
	}
	if _, failing := p.network(Key{}, nil); failing < 0.23 || failing > 0.27 {
		t.Errorf("%.2f fail, want 0.25", failing)
	}
	for range 10 * lately {
		p.Answered("ann", time.Millisecond)
	}
	if _, failing := p.network(Key{}, nil); failing > 0.01 {
		t.Errorf("%.2f fail, want none", failing)
	}
}

// The size of a network follows from what lookups have found, and from the
// neighbours.
func TestPacesOfSize(t *testing.T) {
	var p Paces
	self := KeyOf([]byte("self"))
	var all []Contact
	for i := range 3000 {
		all = append(all, ContactOf(peer.ID(fmt.Sprint(i))))
	}
	closest := func(key Key) []Contact {
		SortByDistance(key, all)
		return all[:20]
	}
	if size, _ := p.network(self, nil); size.Nodes != 0 {
		t.Errorf("there are %.0f, by nothing", size.Nodes)
	}
	alone, _ := p.network(self, closest(self))
	for i := range 9 {
		key := KeyOf(fmt.Append(nil, "key", i))
		p.found(key, closest(key))
	}
	size, _ := p.network(self, closest(self))
	if size.Nodes < 2400 || size.Nodes > 3600 || size.Error >= alone.Error || alone.Nodes < 1500 || alone.Nodes > 6000 {
		t.Errorf("there are %v by the neighbours, %v by lookups too; want 3000", alone, size)
	}
	if again, _ := p.network(self, closest(self)); again != size {
		t.Errorf("there are %v and then %v: neighbours count once", size, again)
	}
}

// The size follows from lookups that have converged and were not seeded by others, and
// from the neighbours if there are K.
func TestPacesTune(t *testing.T) {
	key, self := KeyOf([]byte("key")), KeyOf([]byte("self"))
	found := closest20(key)
	for _, tt := range []struct {
		name       string
		end        End
		recalled   time.Time
		neighbours int
		known      bool
	}{
		{"converged", Converged, time.Time{}, 0, true},
		{"exhausted", Exhausted, time.Time{}, 0, false},
		{"recalled", Converged, epoch, 0, false},
		{"neighbours", Exhausted, time.Time{}, 20, true},
		{"few neighbours", Exhausted, time.Time{}, 19, false},
	} {
		var p Paces
		p.Failed()
		p.Learn(tt.recalled, key, Result{End: tt.end, Closest: found})
		cfg := p.Tune(LookupConfig{Alpha: 7}, self, closest20(self)[:tt.neighbours])
		if known := cfg.Size.Nodes > 0; known != tt.known || cfg.Failing != 1./lately || cfg.Alpha != 7 {
			t.Errorf("%s: %+v", tt.name, cfg)
		}
	}
}
